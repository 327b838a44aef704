//! Kubernetes resources besides the components: over an upgrade, its rollback, and when they are removed.

use crate::{
    both::{on_both, on_playgrounds},
    small::{self, change_of, upgrade_to},
};
use anyhow::{Context as _, ensure};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Secret},
    networking::v1::NetworkPolicy,
};
use kube::Api;
use ropeway::demo::{
    acts::{Scene, compose, install, publish, rollback, sample, upgrade},
    client::{list, text},
};
use ropeway_tests::{app::TestApp, cluster::TestCluster};
use serde_json::{Value as Json, json};

on_both!(an_upgrade_takes_resources_and_keeps_configuration);

/// The names in the cluster.
const POLICY: &str = "own-pods";
const CONFIGURATION: &str = "settings";
const KEYS: &str = "keys";

async fn an_upgrade_takes_resources_and_keeps_configuration(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let application = small::application(&scene).await?;
    small::add(&scene, &application, "web", json!({})).await?;
    let keys = set(&scene, &application, 80, "info").await?;
    compose::deploy(&scene, &application).await?;
    let template = publish::create_template(&scene).await?;
    let first = publish(&scene, &application, &template, "1", &keys, 24).await?;
    let installed = small::install(&scene, small::for_a_new_team(&scene, &first)).await?;
    let seen = async || look(&clusters[1], &scene.second_team).await;
    let before = seen().await?;
    ensure!((before.port, before.level.as_str(), before.key.len()) == (80, "info", 24), "installed: {before:?}");
    ensure!(look(&clusters[0], &scene.first_team).await?.key != before.key, "a secret is the same in both clusters");

    set(&scene, &application, 8080, "debug").await?;
    compose::deploy(&scene, &application).await?;
    let second = publish(&scene, &application, &template, "2", &keys, 40).await?;
    let plan = upgrade::plan(&scene, &installed.installation, &second).await?;
    let offered = change_of(&plan, "/data/level")?;
    ensure!(offered["decision"] == "KEEP", "{offered}");
    let taken = list(&plan, "/changes")?.iter().filter(|one| one["decision"] == "APPLY");
    let taken: Vec<&str> = taken.filter_map(|one| one["component"].as_str()).collect();
    ensure!(!taken.is_empty() && taken.iter().all(|owner| owner.contains(POLICY)), "{taken:?} of {}", plan["changes"]);

    let record = upgrade_to(&scene, &installed.installation, &second, &[]).await?;
    ensure!(seen().await? == Seen { port: 8080, ..before.clone() }, "upgraded: {:?}", seen().await?);
    let now = install::look(&scene, &installed.installation).await?;
    let kept = list(&now, "/keptChanges")?;
    ensure!(kept.iter().any(|one| one["id"] == offered["id"]), "it is not listed as kept: {kept:?}");
    roll_back(&scene, &record).await?;
    ensure!(seen().await? == before, "rolled back: {:?}", seen().await?);

    let record = upgrade_to(&scene, &installed.installation, &second, &[text(offered, "/id")?]).await?;
    let accepted = Seen { port: 8080, level: "debug".into(), ..before.clone() };
    ensure!(seen().await? == accepted, "accepted: {:?}", seen().await?);
    roll_back(&scene, &record).await?;
    ensure!(seen().await? == before, "rolled back again: {:?}", seen().await?);
    Ok(())
}

/// Two owners of one object would undo each other's changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_resource_of_the_same_name_is_in_the_way_of_an_installation() -> anyhow::Result<()> {
    const NAME: &str = "kubernetes_resources::a_resource_of_the_same_name_is_in_the_way_of_an_installation";
    on_playgrounds(NAME, async |app, clusters| {
        let scene = app.scene(clusters, "same-name").await?;
        let application = small::application(&scene).await?;
        small::add(&scene, &application, "web", json!({})).await?;
        small::set_resource(&scene, &application, sample::network_policy()).await?;
        let template = publish::create_template(&scene).await?;
        let version = small::release(&scene, &application, &template, "1").await?;
        let installed = small::install(&scene, small::for_a_new_team(&scene, &version)).await?;

        let again = json!({
            "versionId": version, "clusterId": scene.second_cluster, "teamId": installed.team,
            "applicationId": installed.application,
        });
        let data = scene.client.ask(install::PLAN_INSTALLATION, json!({ "input": again })).await?;
        let blockers = &data["planInstallation"]["blockers"];
        ensure!(small::has_code(blockers, "NAME_IN_USE"), "{data}");
        let error = small::refused(scene.client.change(install::INSTALL, again).await)?;
        ensure!(error.has("NAME_IN_USE") && error.to_string().contains("NetworkPolicy"), "{error}");
        scene.until_running(&installed.application).await?;
        Ok(())
    })
    .await
}

/// Gives the application a NetworkPolicy, a ConfigMap and a Secret; the Secret's id.
async fn set(scene: &Scene, application: &str, port: u16, level: &str) -> anyhow::Result<String> {
    let rule = json!({ "from": [{ "podSelector": {} }], "ports": [{ "port": port, "protocol": "TCP" }] });
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": POLICY },
        "spec": { "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [rule] },
    });
    let configuration = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": CONFIGURATION }, "data": { "level": level },
    });
    let keys = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": KEYS }, "stringData": { "key": "of the source" },
    });
    small::set_resource(scene, application, policy).await?;
    small::set_resource(scene, application, configuration).await?;
    small::set_resource(scene, application, keys).await
}

/// Publishes with a rule for the Secret's entry; the version's id.
async fn publish(
    scene: &Scene,
    application: &str,
    template: &str,
    number: &str,
    keys: &str,
    length: u32,
) -> anyhow::Result<String> {
    let entry = json!({ "name": "key", "secret": true, "decision": "GENERATE", "generate": { "length": length } });
    let input = json!({
        "applicationId": application, "templateId": template, "number": number,
        "kubernetesResources": [{ "kubernetesResourceId": keys, "data": [entry] }],
    });
    small::publish(scene, input).await
}

async fn roll_back(scene: &Scene, record: &str) -> anyhow::Result<()> {
    let payload = scene.client.change(rollback::ROLL_BACK, json!({ "recordId": record })).await?;
    scene.follow(&payload, "rolling back").await?;
    let now: Json = upgrade::record(scene, record).await?;
    ensure!(now["state"] == "ROLLED_BACK", "{now}");
    Ok(())
}

/// What of the resources is in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    port: u16,
    level: String,
    key: String,
}

async fn look(cluster: &TestCluster, namespace: &str) -> anyhow::Result<Seen> {
    let client = cluster.client().await?;
    let policy = Api::<NetworkPolicy>::namespaced(client.clone(), namespace).get(POLICY).await?;
    let port = serde_json::to_value(&policy)?.pointer("/spec/ingress/0/ports/0/port").and_then(Json::as_u64);
    let configuration = Api::<ConfigMap>::namespaced(client.clone(), namespace).get(CONFIGURATION).await?;
    let keys = Api::<Secret>::namespaced(client, namespace).get(KEYS).await?;
    Ok(Seen {
        port: port.context("a port")?.try_into()?,
        level: configuration.data.and_then(|mut data| data.remove("level")).context("a level")?,
        key: String::from_utf8(keys.data.and_then(|mut data| data.remove("key")).context("a key")?.0)?,
    })
}
