//! Several installations beside each other, and what is removed without the rest.

use crate::{
    both::on_both,
    small::{self, REMOVE_COMPONENT, refused, upgrade_to},
};
use anyhow::{Context as _, ensure};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret, networking::v1::NetworkPolicy};
use kube::{Api, api::ListParams};
use ropeway::demo::acts::{change::UPDATE_COMPONENT, compose, publish, sample};
use ropeway_tests::{app::TestApp, cluster::TestCluster, wait::wait_for};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

on_both!(installations_in_one_namespace_do_not_mix, what_is_removed_goes_with_the_next_deployment,);

const REMOVE_RESOURCE: &str = "
    mutation($input: RemoveKubernetesResourceInput!) {
      removeKubernetesResource(input: $input) { kubernetesResource { isRemoved } errors { code message path } }
    }";

const DELETE: &str = "
    mutation($input: DeleteApplicationInput!) {
      deleteApplication(input: $input) { operation { id } kept { kind name } errors { code message path } }
    }";

const GONE: &str = "query($id: ID!) { application(id: $id) { id } }";

/// Two applications of one team, and two installations in one of them.
async fn installations_in_one_namespace_do_not_mix(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let application = small::application(&scene).await?;
    let store = json!({ "connectionInfo": [
            { "name": "STORE_HOST", "value": "shop-store" },
            { "name": "STORE_PASSWORD", "decision": "GENERATE", "generate": { "length": 24 } },
        ], "ports": [{ "number": 6379, "isOpen": true }] });
    let store = small::add(&scene, &application, "store", store).await?;
    let web = small::add(&scene, &application, "web", json!({ "dependencies": [store] })).await?;
    let template = publish::create_template(&scene).await?;
    let first = small::release(&scene, &application, &template, "1").await?;
    let edit = json!({ "componentId": web, "image": sample::image(&scene.source, "web", "3.0") });
    scene.client.change(UPDATE_COMPONENT, edit).await?;
    let second = small::release(&scene, &application, &template, "2").await?;

    let mut input = small::for_a_new_team(&scene, &first);
    input["applicationName"] = json!("one");
    let one = small::install(&scene, input.clone()).await?;
    input["newTeam"] = Json::Null;
    input["teamId"] = json!(one.team);
    let error = refused(scene.client.change(small::INSTALL, input.clone()).await)?;
    ensure!(error.has("SLUG_IN_USE"), "{error}");
    input["applicationName"] = json!("two");
    let two = small::install(&scene, input).await?;
    let beside = small::install(&scene, small::beside(&scene, &first, &one)).await?;
    ensure!(beside.application == one.application && two.application != one.application);

    // Each has its own names, its own store, and its own password.
    let seen = async || look(&clusters[1], &scene.second_team).await;
    let before = seen().await?;
    ensure!(before.len() == 6, "these run: {:?}", before.keys());
    let hosts: BTreeSet<&str> = before.values().filter_map(|one| one.host.as_deref()).collect();
    let names: BTreeSet<&str> = before.keys().map(String::as_str).filter(|name| name.contains("-store")).collect();
    ensure!(hosts == names && hosts.len() == 3, "stores {names:?} are reached at {hosts:?}");
    let passwords = passwords(&clusters[1], &scene.second_team).await?;
    ensure!(passwords.len() == 3, "{} passwords for three stores", passwords.len());

    upgrade_to(&scene, &two.installation, &second, &[]).await?;
    let now = seen().await?;
    let changed: Vec<&String> =
        now.iter().filter(|(name, one)| before.get(*name) != Some(one)).map(|(name, _)| name).collect();
    ensure!(changed == ["two-web"], "an upgrade of one changed {changed:?}");

    small::uninstall(&scene, &beside.installation, false).await?;
    let left: Vec<String> = seen().await?.into_keys().collect();
    ensure!(left == ["one-store", "one-web", "two-store", "two-web"], "{left:?} are left");
    scene.until_running(&one.application).await?;
    scene.until_running(&two.application).await?;
    Ok(())
}

async fn what_is_removed_goes_with_the_next_deployment(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let application = small::application(&scene).await?;
    let base = small::add(&scene, &application, "base", json!({})).await?;
    let web = small::add(&scene, &application, "web", json!({ "dependencies": [base] })).await?;
    let policy = small::set_resource(&scene, &application, sample::network_policy()).await?;
    compose::deploy(&scene, &application).await?;

    let error = refused(scene.client.change(REMOVE_COMPONENT, json!({ "componentId": base })).await)?;
    ensure!(error.has("COMPONENT_IN_USE"), "{error}");
    let payload = scene.client.change(REMOVE_COMPONENT, json!({ "componentId": web })).await?;
    ensure!(payload["component"]["isRemoved"] == true, "{payload}");
    let payload = scene.client.change(REMOVE_RESOURCE, json!({ "kubernetesResourceId": policy })).await?;
    ensure!(payload["kubernetesResource"]["isRemoved"] == true, "{payload}");
    let there = async || objects(&clusters[0], &scene.first_team).await;
    ensure!(there().await? == (vec!["shop-base".into(), "shop-web".into()], 1), "an edit deleted something");
    let view = compose::deploy(&scene, &application).await?;
    ensure!(view.components()?.len() == 1, "{}", view.0);
    ensure!(there().await? == (vec!["shop-base".into()], 0), "it is left: {:?}", there().await?);

    // An application that runs.
    let payload = scene.client.change(DELETE, json!({ "applicationId": application })).await?;
    ensure!(payload["operation"]["id"].is_string(), "{payload}");
    wait_for("an application that is gone", async || {
        let shown = scene.client.ask(GONE, json!({ "id": application })).await;
        if shown.is_ok() {
            return Ok(None);
        }
        let error = refused(shown)?;
        ensure!(error.has("NOT_FOUND"), "{error}");
        Ok(Some(()))
    })
    .await?;
    ensure!(there().await? == (vec![], 0), "it is left: {:?}", there().await?);
    Ok(())
}

/// What tells a workload apart, and the host of the store that it is told.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    uid: Option<String>,
    generation: Option<i64>,
    host: Option<String>,
}

async fn look(cluster: &TestCluster, namespace: &str) -> anyhow::Result<BTreeMap<String, Seen>> {
    let deployments: Api<Deployment> = Api::namespaced(cluster.client().await?, namespace);
    let mut found = BTreeMap::new();
    for one in deployments.list(&ListParams::default()).await? {
        let pod = one.spec.template.spec.context("it has pods")?;
        let mut variables = pod.containers.into_iter().flat_map(|container| container.env.unwrap_or_default());
        let host = variables.find(|variable| variable.name == "STORE_HOST").and_then(|variable| variable.value);
        let seen = Seen { uid: one.metadata.uid, generation: one.metadata.generation, host };
        found.insert(one.metadata.name.context("it has a name")?, seen);
    }
    Ok(found)
}

/// The different passwords of stores in a namespace.
async fn passwords(cluster: &TestCluster, namespace: &str) -> anyhow::Result<BTreeSet<Vec<u8>>> {
    let secrets: Api<Secret> = Api::namespaced(cluster.client().await?, namespace);
    let all = secrets.list(&ListParams::default()).await?;
    Ok(all.into_iter().filter_map(|secret| Some(secret.data?.remove("STORE_PASSWORD")?.0)).collect())
}

/// The Deployments of a namespace, and how many NetworkPolicies it has.
async fn objects(cluster: &TestCluster, namespace: &str) -> anyhow::Result<(Vec<String>, usize)> {
    let client = cluster.client().await?;
    let policies: Api<NetworkPolicy> = Api::namespaced(client, namespace);
    let deployments = cluster.workloads(namespace).await?.into_keys().collect();
    Ok((deployments, policies.list(&ListParams::default()).await?.items.len()))
}
