//! A small application of a test's own: quick to deploy and to install, easy to change.

use anyhow::{Context as _, ensure};
use ropeway::demo::{
    acts::{Scene, change, compose, publish, sample, upgrade},
    client::{Refused, list, text},
};
use serde_json::{Value as Json, json};

/// Installs.
pub(crate) const INSTALL: &str = "
    mutation($input: InstallTemplateInput!) {
      installTemplate(input: $input) {
        installation { id state application { id } team { id } } operation { id } plan { digest }
        errors { code message path }
      }
    }";

/// Ends an installation.
pub(crate) const UNINSTALL: &str = "
    mutation($input: UninstallInput!) {
      uninstall(input: $input) { operation { id } errors { code message path } }
    }";

/// Stops an operation after the step that runs.
pub(crate) const CANCEL: &str = "
    mutation($input: CancelOperationInput!) {
      cancelOperation(input: $input) { operation { state } errors { code message path } }
    }";

/// Takes a component out of an application, with the next deployment.
pub(crate) const REMOVE_COMPONENT: &str = "
    mutation($input: RemoveComponentInput!) {
      removeComponent(input: $input) { component { isRemoved } errors { code message path } }
    }";

/// Begins an operation that does what another one did not.
pub(crate) const RETRY_OPERATION: &str = "
    mutation($input: RetryOperationInput!) {
      retryOperation(input: $input) { operation { id } errors { code message path } }
    }";

const CONFIRM: &str = "
    mutation($input: ConfirmPublicationInput!) {
      confirmPublication(input: $input) { publication { version { id } } errors { code message path } }
    }";

const SET_RESOURCE: &str = "
    mutation($input: SetKubernetesResourceInput!) {
      setKubernetesResource(input: $input) { kubernetesResource { id } errors { code message path } }
    }";

/// An installation.
#[derive(Debug, Clone)]
pub(crate) struct Installed {
    pub(crate) installation: String,
    pub(crate) application: String,
    pub(crate) team: String,
}

/// An application without components in the first cluster.
pub(crate) async fn application(scene: &Scene) -> anyhow::Result<String> {
    let team = compose::create_team(scene, &scene.first_team).await?;
    compose::create_application(scene, &team, sample::NAME).await
}

/// Adds a component of one of the sample's images; its id.
pub(crate) async fn add(scene: &Scene, application: &str, slug: &str, settings: Json) -> anyhow::Result<String> {
    let image = sample::image(&scene.source, "web", "2.9");
    let input = json!({ "kind": "DEPLOYMENT", "image": image, "settings": settings });
    compose::add_component(scene, application, slug, input).await
}

/// Gives a component other settings.
pub(crate) async fn edit(scene: &Scene, component: &str, settings: Json) -> anyhow::Result<()> {
    let input = json!({ "componentId": component, "settings": settings });
    scene.client.change(change::UPDATE_COMPONENT, input).await?;
    Ok(())
}

/// The setting of one variable.
pub(crate) fn variable(name: &str, value: &str) -> Json {
    json!({ "environment": [{ "name": name, "value": value }] })
}

/// Sets a Kubernetes resource; its id.
pub(crate) async fn set_resource(scene: &Scene, application: &str, manifest: Json) -> anyhow::Result<String> {
    let input = json!({ "applicationId": application, "manifest": manifest });
    let payload = scene.client.change(SET_RESOURCE, input).await?;
    Ok(text(&payload, "/kubernetesResource/id")?.to_owned())
}

/// Deploys an application, and publishes it.
pub(crate) async fn release(scene: &Scene, application: &str, template: &str, number: &str) -> anyhow::Result<String> {
    compose::deploy(scene, application).await?;
    Ok(publish::publish(scene, application, template, number).await?.version)
}

/// Submits a publication as it is, and confirms it; the version's id.
pub(crate) async fn publish(scene: &Scene, input: Json) -> anyhow::Result<String> {
    let payload = scene.client.change(publish::SUBMIT, input).await?;
    scene.follow(&payload, "publishing").await?;
    let input = json!({ "publicationId": text(&payload, "/publication/id")? });
    let payload = scene.client.change(CONFIRM, input).await?;
    Ok(text(&payload, "/publication/version/id")?.to_owned())
}

/// An installation for a new team in the second cluster.
pub(crate) fn for_a_new_team(scene: &Scene, version: &str) -> Json {
    json!({
        "versionId": version, "clusterId": scene.second_cluster, "applicationName": sample::NAME,
        "newTeam": { "name": scene.second_team, "slug": scene.second_team },
    })
}

/// An installation into the application of an earlier one.
pub(crate) fn beside(scene: &Scene, version: &str, installed: &Installed) -> Json {
    json!({
        "versionId": version, "clusterId": scene.second_cluster, "teamId": installed.team,
        "applicationId": installed.application,
    })
}

/// Ends an installation.
pub(crate) async fn uninstall(scene: &Scene, installation: &str, delete_volumes: bool) -> anyhow::Result<()> {
    let input = json!({ "installationId": installation, "deleteVolumes": delete_volumes });
    let payload = scene.client.change(UNINSTALL, input).await?;
    scene.follow(&payload, "uninstalling").await?;
    Ok(())
}

/// Begins an installation; it, and its operation.
pub(crate) async fn begin(scene: &Scene, input: Json) -> anyhow::Result<(Installed, String)> {
    let payload = scene.client.change(INSTALL, input).await?;
    let of = |pointer: &str| text(&payload, pointer).map(str::to_owned);
    let installed = Installed {
        installation: of("/installation/id")?,
        application: of("/installation/application/id")?,
        team: of("/installation/team/id")?,
    };
    Ok((installed, of("/operation/id")?))
}

/// Installs, and waits until all of it runs.
pub(crate) async fn install(scene: &Scene, input: Json) -> anyhow::Result<Installed> {
    let (installed, operation) = begin(scene, input).await?;
    let ended = scene.client.follow(&operation, |_| {}).await?;
    ensure!(ended["state"] == "SUCCEEDED", "installing: {ended}");
    scene.until_running(&installed.application).await?;
    Ok(installed)
}

/// Upgrades, accepting some changes; the record's id.
pub(crate) async fn upgrade_to(
    scene: &Scene,
    installation: &str,
    version: &str,
    accept: &[&str],
) -> anyhow::Result<String> {
    let input = json!({ "installationId": installation, "versionId": version, "accept": accept });
    let payload = scene.client.change(upgrade::UPGRADE, input).await?;
    scene.follow(&payload, "upgrading").await?;
    let record = text(&payload, "/upgradeRecord/id")?.to_owned();
    let done = upgrade::record(scene, &record).await?;
    ensure!(done["state"] == "SUCCEEDED", "{done}");
    Ok(record)
}

/// The reasons of a refusal; an error where it was none.
pub(crate) fn refused(result: anyhow::Result<Json>) -> anyhow::Result<Refused> {
    let error = result.err().context("it was not refused")?;
    let found = error.chain().find_map(|cause| cause.downcast_ref::<Refused>()).cloned();
    found.with_context(|| format!("it failed for another reason: {error:#}"))
}

/// Whether one of the errors, blockers or the like has this code.
pub(crate) fn has_code(errors: &Json, code: &str) -> bool {
    errors.as_array().is_some_and(|errors| errors.iter().any(|error| error["code"] == code))
}

/// The change of a plan that is about a path.
pub(crate) fn change_of<'a>(plan: &'a Json, path: &str) -> anyhow::Result<&'a Json> {
    let found = list(plan, "/changes")?.iter().find(|one| one["path"].as_str().is_some_and(|of| of.ends_with(path)));
    found.with_context(|| format!("the plan does not mention {path}: {}", plan["changes"]))
}
