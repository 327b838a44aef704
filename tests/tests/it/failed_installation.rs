//! An installation or a deployment that fails: what it says, doing the rest of it, and taking it away.

use crate::{
    both::on_both,
    failure::{SOON, set_label},
    small::{self, RETRY_OPERATION},
};
use anyhow::{Context as _, ensure};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service},
};
use kube::{
    Api, Resource,
    api::{ApiResource, DynamicObject, ListParams},
};
use ropeway::demo::{
    acts::{Scene, compose, install, publish},
    client::{list, text},
};
use ropeway_tests::{app::TestApp, cluster::TestCluster, wait::wait_for};
use serde_json::{Value as Json, json};

on_both!(an_unfinished_installation_is_taken_away_or_completed);

async fn an_unfinished_installation_is_taken_away_or_completed(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let label = format!("ropeway.test/{name}");
    let scene = app.scene(clusters, name).await?;
    let application = small::application(&scene).await?;
    set_label(&clusters[0], &label, None).await?;
    let on_node = json!({ "nodeSelector": { label.as_str(): "yes" } });
    let first = small::add(&scene, &application, "first", small::variable("A", "1")).await?;
    let ports = json!([{ "number": 80, "isOpen": true }]);
    let settings = json!({ "dependencies": [first], "attributes": on_node, "ports": ports });
    let second = small::add(&scene, &application, "second", settings).await?;
    small::add(&scene, &application, "third", json!({ "dependencies": [second] })).await?;
    let template = publish::create_template(&scene).await?;
    let version = small::release(&scene, &application, &template, "1").await?;

    // No node of the second cluster takes the second component.
    let mut input = small::for_a_new_team(&scene, &version);
    input["progressDeadlineSeconds"] = json!(SOON);
    let (failed, operation) = small::begin(&scene, input).await?;
    check_failed(&scene, &operation).await?;
    let look = install::look(&scene, &failed.installation).await?;
    ensure!(look["state"] == "PARTIAL" && look["version"]["number"] == "1", "{look}");
    ensure!(!left_over(&clusters[1], &scene.second_team).await?.is_empty(), "nothing was installed at all");
    small::uninstall(&scene, &failed.installation, false).await?;
    let gone = wait_for("a namespace without anything of it", async || {
        Ok(left_over(&clusters[1], &scene.second_team).await?.is_empty().then_some(()))
    });
    if let Err(error) = gone.await {
        return Err(error.context(format!("left: {:?}", left_over(&clusters[1], &scene.second_team).await?)));
    }

    let mut input = small::beside(&scene, &version, &failed);
    input["progressDeadlineSeconds"] = json!(SOON);
    let (again, operation) = small::begin(&scene, input).await?;
    check_failed(&scene, &operation).await?;
    set_label(&clusters[1], &label, None).await?;
    retry(&scene, &operation, ["second", "third"]).await?;
    let look = install::look(&scene, &again.installation).await?;
    ensure!(look["state"] == "INSTALLED", "{look}");
    scene.until_running(&again.application).await?;
    a_failed_deployment_is_completed(&scene, &clusters[0], &application, &second, &label).await
}

/// A deployment that no node takes, until one does.
async fn a_failed_deployment_is_completed(
    scene: &Scene,
    cluster: &TestCluster,
    application: &str,
    component: &str,
    label: &str,
) -> anyhow::Result<()> {
    let label = format!("{label}-2");
    small::edit(scene, component, json!({ "attributes": { "nodeSelector": { label.as_str(): "yes" } } })).await?;
    let input = json!({ "applicationId": application, "progressDeadlineSeconds": SOON });
    let payload = scene.client.change(compose::DEPLOY, input).await?;
    let operation = text(&payload, "/operation/id")?;
    let ended = scene.client.follow(operation, |_| {}).await?;
    ensure!(matches!(text(&ended, "/state")?, "FAILED" | "PARTIAL"), "{ended}");
    set_label(cluster, &label, None).await?;
    let ended = retry(scene, operation, ["second", "second"]).await?;
    ensure!(!about(&ended, "first"), "what did not change was deployed: {ended}");
    scene.until_running(application).await?;
    Ok(())
}

/// The first component runs, the second does not, and the third was not begun: the operation and its events say so.
async fn check_failed(scene: &Scene, operation: &str) -> anyhow::Result<()> {
    let mut told = Vec::new();
    let ended = scene.client.follow(operation, |event| told.push(event.clone())).await?;
    ensure!(ended["state"] == "PARTIAL", "the operation is {}", ended["state"]);
    for (component, expected) in [("first", "SUCCEEDED"), ("second", "FAILED"), ("third", "SKIPPED")] {
        let of = list(&ended, "/steps")?.iter().rfind(|step| step["component"] == component);
        let state = &of.context("there is a step of it")?["state"];
        ensure!(state == expected, "{component} is {state}: {ended}");
    }
    let failure = told.iter().find(|event| event["kind"] == "STEP_FAILED").context("an event tells of the failure")?;
    ensure!(failure["component"] == "second", "{failure}");
    ensure!(text(failure, "/message")?.contains("node"), "no reason: {failure}");
    ensure!(ended["error"]["message"].is_string(), "the operation gives no reason: {ended}");
    Ok(())
}

/// Does what an operation did not: nothing but these components, and successfully.
async fn retry(scene: &Scene, operation: &str, components: [&str; 2]) -> anyhow::Result<Json> {
    let payload = scene.client.change(RETRY_OPERATION, json!({ "operationId": operation })).await?;
    let again = text(&payload, "/operation/id")?;
    ensure!(again != operation, "a retry is an operation of its own");
    let ended = scene.client.follow(again, |_| {}).await?;
    ensure!(ended["state"] == "SUCCEEDED", "{ended}");
    ensure!(!about(&ended, "first"), "what succeeded was done again: {ended}");
    ensure!(components.iter().all(|component| about(&ended, component)), "{ended}");
    Ok(ended)
}

fn about(operation: &Json, component: &str) -> bool {
    operation["steps"].as_array().into_iter().flatten().any(|step| step["component"] == component)
}

/// What an application has in a namespace: kinds and names.
async fn left_over(cluster: &TestCluster, namespace: &str) -> anyhow::Result<Vec<String>> {
    let mut found = of_kind::<Deployment>(cluster, namespace).await?;
    found.extend(of_kind::<Pod>(cluster, namespace).await?);
    found.extend(of_kind::<Service>(cluster, namespace).await?);
    found.extend(of_kind::<ConfigMap>(cluster, namespace).await?);
    found.extend(of_kind::<Secret>(cluster, namespace).await?);
    found.extend(of_kind::<PersistentVolumeClaim>(cluster, namespace).await?);
    // What pods pull with is the team's.
    found.retain(|name| name != "Secret ropeway-library");
    Ok(found)
}

async fn of_kind<K: Resource<DynamicType = ()>>(cluster: &TestCluster, namespace: &str) -> anyhow::Result<Vec<String>> {
    let kind = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client().await?, namespace, &kind);
    let ours = api.list(&ListParams::default().labels("ropeway.dev/application")).await?;
    Ok(ours.into_iter().map(|one| format!("{} {}", kind.kind, one.metadata.name.unwrap_or_default())).collect())
}
