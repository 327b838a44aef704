//! Act five: the upgrade is rolled back.

use super::{ApplicationView, Scene, install, install::Installed, sample, upgrade, upgrade::Upgraded};
use crate::demo::client::{list, text};
use anyhow::{Context as _, ensure};
use serde_json::json;

/// Rolls back.
pub const ROLL_BACK: &str = "
    mutation($input: RollBackUpgradeInput!) {
      rollBackUpgrade(input: $input) {
        upgradeRecord { id kind state } operation { id } errors { code message path }
      }
    }";

/// Rolls an upgrade back. What it added stays, and is listed.
pub async fn roll_back(scene: &Scene, installed: &Installed, upgraded: &Upgraded) -> anyhow::Result<ApplicationView> {
    let payload =
        scene.client.change(ROLL_BACK, json!({ "recordId": upgraded.record })).await.context("rolling back")?;
    let record = text(&payload, "/upgradeRecord/id")?.to_owned();
    scene.follow(&payload, "rolling back").await?;

    let of = upgrade::record(scene, &upgraded.record).await?;
    ensure!(of["state"] == "ROLLED_BACK", "the upgrade's record is {}", of["state"]);
    let done = upgrade::record(scene, &record).await?;
    ensure!(done["state"] == "SUCCEEDED", "the rollback's record is {}", done["state"]);
    let left = list(&done, "/leftForPeople")?;
    let names = |name: &str| left.iter().any(|one| one["name"].as_str().is_some_and(|text| text.contains(name)));
    ensure!(names(sample::WORKER), "the worker is not listed for people to decide: {left:?}");

    let look = install::look(scene, &installed.installation).await?;
    ensure!(look["version"]["number"] == "2.9", "the installation is at {}", look["version"]["number"]);
    let view = scene.until_running(&installed.application).await?;
    for slug in [sample::API, "web"] {
        let (now, before) = (view.image(slug)?, installed.view.image(slug)?);
        ensure!(now == before, "the image of {slug} did not come back: {now}");
    }
    ensure!(view.readiness_path(sample::API)? == Some(sample::READINESS[0]), "the probe did not come back");
    view.component(sample::WORKER).context("the worker was deleted")?;
    ensure!(view.variable(sample::API, sample::NEW_VARIABLE)?.is_some(), "the added variable was deleted");
    upgrade::check_kept(&view)?;
    scene.progress.done("rolled back: images and probe are those of 2.9");
    scene.progress.done("what 3.0 added still runs and is listed for people to decide:");
    for one in left {
        let of = |name: &str| one[name].as_str().unwrap_or_default();
        scene.progress.quote(&format!("{} {}: {}", of("kind"), of("name"), of("reason")));
    }
    Ok(view)
}
