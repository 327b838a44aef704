//! Act four: the second cluster shows that it can be upgraded, shows what that would do, and is upgraded.

use super::{
    ApplicationView, Scene,
    install::{self, Installed},
    sample,
};
use crate::demo::client::{list, text};
use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};

/// What an upgrade would do.
pub const PLAN_UPGRADE: &str = "
    query($input: PlanUpgradeInput!) {
      planUpgrade(input: $input) {
        digest text warnings
        blockers { code message component }
        changes { id component path kind before after decision reason }
        steps { number summary }
      }
    }";

/// Upgrades.
pub const UPGRADE: &str = "
    mutation($input: UpgradeInstallationInput!) {
      upgradeInstallation(input: $input) {
        upgradeRecord { id state } operation { id } errors { code message path }
      }
    }";

const RECORD: &str = "
    query($id: ID!) {
      upgradeRecord(id: $id) {
        id kind state canRollBack canRetry
        fromVersion { number } toVersion { number }
        components { name state error }
        changes { id component path decision reason }
        leftForPeople { kind name reason }
      }
    }";

/// An upgrade that was done.
#[derive(Debug, Clone)]
pub struct Upgraded {
    /// The global id of its record.
    pub record: String,
    /// As it runs.
    pub view: ApplicationView,
    /// The plan's text.
    pub text: String,
}

/// Upgrades an installation to a version: waits for nothing but what the API shows.
pub async fn upgrade(scene: &Scene, installed: &Installed, version: &str) -> anyhow::Result<Upgraded> {
    let count = scene.application(&installed.application).await?.0["upgradableCount"].clone();
    ensure!(count == 1, "the application shows that {count} of its installations can be upgraded");
    let look = install::look(scene, &installed.installation).await?;
    let offered = list(&look, "/upgradableVersions/nodes")?;
    ensure!(offered.iter().any(|one| one["id"] == version), "the new version is not offered: {offered:?}");
    scene.progress.done("the application in the second cluster shows: 1 upgradable");

    let plan = plan(scene, &installed.installation, version).await?;
    ensure!(list(&plan, "/blockers")?.is_empty(), "upgrading is blocked: {}", plan["blockers"]);
    for kept in [sample::VARIABLE, sample::FILE] {
        let change = change_of(&plan, kept)?;
        ensure!(change["decision"] == "KEEP", "{kept} would not be kept: {change}");
    }
    let added = change_of(&plan, sample::NEW_VARIABLE)?;
    ensure!(added["decision"] == "APPLY", "{} would not be added: {added}", sample::NEW_VARIABLE);
    let shown = text(&plan, "/text")?.to_owned();
    scene.progress.done("the plan:");
    scene.progress.quote(&shown);

    let input = json!({
        "installationId": installed.installation, "versionId": version, "planDigest": plan["digest"],
    });
    let payload = scene.client.change(UPGRADE, input).await.context("upgrading")?;
    let record = text(&payload, "/upgradeRecord/id")?.to_owned();
    scene.follow(&payload, "upgrading").await?;

    let done = self::record(scene, &record).await?;
    ensure!(done["state"] == "SUCCEEDED", "the record is {}", done["state"]);
    let look = install::look(scene, &installed.installation).await?;
    ensure!(look["version"]["number"] == "3.0", "the installation is at {}", look["version"]["number"]);
    let kept = list(&look, "/keptChanges")?;
    for name in [sample::VARIABLE, sample::FILE] {
        ensure!(kept.iter().any(|change| is_about(change, name)), "{name} is not listed as kept: {kept:?}");
    }
    let view = scene.until_running(&installed.application).await?;
    ensure!(view.image(sample::API)? != installed.view.image(sample::API)?, "the image is the old one");
    ensure!(view.readiness_path(sample::API)? == Some(sample::READINESS[1]), "the probe is the old one");
    ensure!(view.variable(sample::API, sample::NEW_VARIABLE)?.as_deref() == Some("on"), "the new variable is missing");
    check_kept(&view)?;
    view.component(sample::WORKER)?;
    scene.progress.done("upgraded to 3.0: new images and probe, the worker runs, the new variable is there");
    scene.progress.done(format!(
        "kept: {} is still \"{}\", {} still has its content; both are listed as kept",
        sample::VARIABLE,
        sample::VARIABLE_VALUES[0],
        sample::FILE
    ));
    Ok(Upgraded { record, view, text: shown })
}

/// What an upgrade would do.
pub async fn plan(scene: &Scene, installation: &str, version: &str) -> anyhow::Result<Json> {
    let input = json!({ "installationId": installation, "versionId": version });
    let mut data = scene.client.ask(PLAN_UPGRADE, json!({ "input": input })).await.context("planning the upgrade")?;
    Ok(data["planUpgrade"].take())
}

/// A record now.
pub async fn record(scene: &Scene, id: &str) -> anyhow::Result<Json> {
    let mut data = scene.client.ask(RECORD, json!({ "id": id })).await?;
    Ok(data["upgradeRecord"].take())
}

/// The value and the file that release 3.0 changes are those of 2.9.
pub fn check_kept(view: &ApplicationView) -> anyhow::Result<()> {
    let value = view.variable(sample::API, sample::VARIABLE)?;
    ensure!(value.as_deref() == Some(sample::VARIABLE_VALUES[0]), "{} became {value:?}", sample::VARIABLE);
    let content = view.file(sample::API, sample::FILE)?;
    ensure!(content.as_deref() == Some(sample::FILE_CONTENTS[0]), "{} became {content:?}", sample::FILE);
    Ok(())
}

fn change_of<'a>(plan: &'a Json, name: &str) -> anyhow::Result<&'a Json> {
    let found = list(plan, "/changes")?.iter().find(|change| is_about(change, name));
    found.with_context(|| format!("the plan does not mention {name}"))
}

fn is_about(change: &Json, name: &str) -> bool {
    change["path"].as_str().is_some_and(|path| path.ends_with(name))
}
