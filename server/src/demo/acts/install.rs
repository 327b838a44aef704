//! Act three: the template is installed in the second cluster, for a team that is made on the way.

use super::{ApplicationView, Scene, sample};
use crate::demo::client::{list, text};
use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};

/// What an installation would do.
pub const PLAN_INSTALLATION: &str = "
    query($input: PlanInstallationInput!) {
      planInstallation(input: $input) {
        digest text warnings
        blockers { code message component }
        asks { owner component name description }
        steps { number summary }
      }
    }";

/// What is supplied where a version asks for a value.
pub const SUPPLIED: &str = "tok-of-the-second-cluster";

/// Installs.
pub const INSTALL: &str = "
    mutation($input: InstallTemplateInput!) {
      installTemplate(input: $input) {
        installation { id state application { id } }
        operation { id }
        errors { code message path }
      }
    }";

const INSTALLATION: &str = "
    query($id: ID!) {
      installation(id: $id) {
        id state
        version { id number }
        application { id }
        upgradableVersions(first: 10) { nodes { id number } }
        keptChanges { id component path before after decision reason }
      }
    }";

/// What was installed.
#[derive(Debug, Clone)]
pub struct Installed {
    /// The global id of the installation.
    pub installation: String,
    /// The global id of the application that it lives in.
    pub application: String,
    /// As it runs.
    pub view: ApplicationView,
}

/// Installs a version: looks at the plan, supplies what it asks for, executes that plan.
pub async fn install(scene: &Scene, version: &str) -> anyhow::Result<Installed> {
    let (mut input, digest) = prepare(scene, version).await?;
    input["planDigest"] = json!(digest);
    let payload = scene.client.change(INSTALL, input).await.context("installing")?;
    let installation = text(&payload, "/installation/id")?.to_owned();
    scene.follow(&payload, "installing").await?;
    finish(scene, &installation).await
}

/// Plans an installation for a new team and answers what it asks for: the input, and the digest of the plan.
pub async fn prepare(scene: &Scene, version: &str) -> anyhow::Result<(Json, String)> {
    let mut input = json!({
        "versionId": version,
        "clusterId": scene.second_cluster,
        "newTeam": { "name": scene.second_team, "slug": scene.second_team },
        "applicationName": sample::NAME,
    });
    let first = plan(scene, &input).await?;
    let asks = list(&first, "/asks")?;
    if !asks.is_empty() {
        let last = |ask: &Json| ask["name"].as_str()?.rsplit('/').next().map(str::to_owned);
        let names: Vec<String> = asks.iter().filter_map(last).collect();
        scene.progress.done(format!("the plan asks for {}, which is supplied", names.join(", ")));
        let value = |ask: &Json| json!({ "owner": ask["owner"], "name": ask["name"], "value": SUPPLIED });
        input["values"] = asks.iter().map(value).collect();
    }
    let plan = plan(scene, &input).await?;
    ensure!(list(&plan, "/blockers")?.is_empty(), "installing is blocked: {}", plan["blockers"]);
    ensure!(list(&plan, "/asks")?.is_empty(), "values are still missing: {}", plan["asks"]);
    scene
        .progress
        .done(format!("preflight finds nothing in the way; the plan has {} steps", list(&plan, "/steps")?.len()));
    Ok((input, text(&plan, "/digest")?.to_owned()))
}

/// Checks what an installation that has ended claims.
pub async fn finish(scene: &Scene, installation: &str) -> anyhow::Result<Installed> {
    let view = look(scene, installation).await?;
    ensure!(view["state"] == "INSTALLED", "the installation is {}", view["state"]);
    let application = text(&view, "/application/id")?.to_owned();
    let view = scene.until_running(&application).await?;
    let resources = list(&view.0, "/kubernetesResources/nodes")?;
    ensure!(resources.len() == 1, "{} Kubernetes resources were installed", resources.len());
    let variable = view.variable(sample::API, sample::VARIABLE)?;
    ensure!(variable.as_deref() == Some(sample::VARIABLE_VALUES[0]), "the environment differs: {variable:?}");
    scene.progress.done(format!("all {} components run in the second cluster", view.components()?.len()));
    Ok(Installed { installation: installation.to_owned(), application, view })
}

/// An installation now.
pub async fn look(scene: &Scene, installation: &str) -> anyhow::Result<Json> {
    let mut data = scene.client.ask(INSTALLATION, json!({ "id": installation })).await?;
    Ok(data["installation"].take())
}

async fn plan(scene: &Scene, input: &Json) -> anyhow::Result<Json> {
    let mut data = scene.client.ask(PLAN_INSTALLATION, json!({ "input": input })).await.context("planning")?;
    Ok(data["planInstallation"].take())
}
