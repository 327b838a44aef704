//! Kubernetes resources besides the components: over an upgrade, its rollback, and when they are removed; those that
//! cannot be changed, those that pods read, and claims.

use crate::{
    both::on_both,
    small::{self, change_of, upgrade_to},
};
use anyhow::{Context as _, ensure};
use k8s_openapi::api::{
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret},
    networking::v1::NetworkPolicy,
};
use kube::{Api, api::ListParams};
use ropeway::demo::{
    acts::{Scene, compose, install, publish, rollback, sample, upgrade},
    client::{list, text},
};
use ropeway_tests::{app::TestApp, cluster::TestCluster, wait::wait_for};
use serde_json::{Value as Json, json};

on_both!(
    an_upgrade_takes_resources_and_keeps_configuration,
    a_claim_goes_only_where_that_was_accepted,
    an_immutable_secret_stops_no_later_deployment,
    a_resource_of_the_same_name_is_in_the_way_of_an_installation,
);

const REMOVE: &str = "
    mutation($input: RemoveKubernetesResourceInput!) {
      removeKubernetesResource(input: $input) { kubernetesResource { id } errors { code message path } }
    }";

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

/// What pods read restarts them; a claim is kept until its own deletion is accepted.
async fn a_claim_goes_only_where_that_was_accepted(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let application = small::application(&scene).await?;
    small::set_resource(&scene, &application, level("one")).await?;
    let claim = small::set_resource(&scene, &application, spare()).await?;
    let network = small::set_resource(&scene, &application, inner(80)).await?;
    let reads = json!({ "attributes": { "envFrom": [{ "configMapRef": { "name": CONFIGURATION } }] } });
    small::add(&scene, &application, "web", reads).await?;
    let template = publish::create_template(&scene).await?;
    let first = small::release(&scene, &application, &template, "1").await?;
    let installed = small::install(&scene, small::for_a_new_team(&scene, &first)).await?;

    let before = pods(&clusters[0], &scene.first_team).await?;
    small::set_resource(&scene, &application, level("two")).await?;
    for id in [claim, network] {
        scene.client.change(REMOVE, json!({ "kubernetesResourceId": id })).await?;
    }
    compose::deploy(&scene, &application).await?;
    let after = pods(&clusters[0], &scene.first_team).await?;
    ensure!(after != before, "the pod still has the old content of the ConfigMap that it names");
    ensure!(claims(&clusters[0], &scene.first_team).await? == ["spare"], "an edit deleted a claim");
    let second = publish::publish(&scene, &application, &template, "2").await?.version;
    upgrade_to(&scene, &installed.installation, &second, &[]).await?;

    // A resource that was removed and is made again.
    small::set_resource(&scene, &application, inner(8080)).await?;
    let third = small::release(&scene, &application, &template, "3").await?;
    let plan = upgrade::plan(&scene, &installed.installation, &third).await?;
    ensure!(list(&plan, "/blockers")?.is_empty(), "{}", plan["blockers"]);
    let change = |path: &str| {
        let found = list(&plan, "/changes")?.iter().find(|one| one["path"] == path);
        text(found.with_context(|| format!("{path} is not among {}", plan["changes"]))?, "/id")
    };
    let accepted = [change("resource")?, change("manifest/data/level")?];
    let before = pods(&clusters[1], &scene.second_team).await?;
    ensure!(claims(&clusters[1], &scene.second_team).await? == ["spare"], "a claim went without a word");
    let record = upgrade_to(&scene, &installed.installation, &third, &accepted).await?;
    let after = pods(&clusters[1], &scene.second_team).await?;
    ensure!(after != before, "the pod still has the old content of the ConfigMap that it names");
    wait_for("a claim that is gone", async || {
        Ok(claims(&clusters[1], &scene.second_team).await?.is_empty().then_some(()))
    })
    .await?;

    roll_back(&scene, &record).await?;
    upgrade_to(&scene, &installed.installation, &third, &[]).await?;
    Ok(())
}

async fn an_immutable_secret_stops_no_later_deployment(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let application = small::application(&scene).await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "fixed" }, "immutable": true,
        "stringData": { "token": "canary-5a17" },
    });
    small::set_resource(&scene, &application, secret).await?;
    let web = small::add(&scene, &application, "web", json!({})).await?;
    compose::deploy(&scene, &application).await?;
    small::edit(&scene, &web, small::variable("A", "1")).await?;
    compose::deploy(&scene, &application).await?;
    Ok(())
}

/// Two owners of one object would undo each other's changes.
async fn a_resource_of_the_same_name_is_in_the_way_of_an_installation(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
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
}

/// Gives the application a NetworkPolicy, a ConfigMap and a Secret; the Secret's id.
async fn set(scene: &Scene, application: &str, port: u16, info: &str) -> anyhow::Result<String> {
    let rule = json!({ "from": [{ "podSelector": {} }], "ports": [{ "port": port, "protocol": "TCP" }] });
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": POLICY },
        "spec": { "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [rule] },
    });
    let keys = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": KEYS }, "stringData": { "key": "of the source" },
    });
    small::set_resource(scene, application, policy).await?;
    small::set_resource(scene, application, level(info)).await?;
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

fn level(level: &str) -> Json {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": CONFIGURATION }, "data": { "level": level },
    })
}

fn spare() -> Json {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "spare" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "20Gi" } } },
    })
}

fn inner(port: u16) -> Json {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "inner" },
        "spec": {
            "podSelector": { "matchLabels": { "app": "web" } }, "policyTypes": ["Ingress"],
            "ingress": [{ "ports": [{ "protocol": "TCP", "port": port }] }],
        },
    })
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

/// What tells the pods that run apart from others.
async fn pods(cluster: &TestCluster, namespace: &str) -> anyhow::Result<Vec<Option<String>>> {
    let pods: Api<Pod> = Api::namespaced(cluster.client().await?, namespace);
    let pods = pods.list(&ListParams::default()).await?;
    let running = pods.items.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(running.map(|pod| pod.metadata.uid).collect())
}

async fn claims(cluster: &TestCluster, namespace: &str) -> anyhow::Result<Vec<String>> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(cluster.client().await?, namespace);
    let claims = claims.list(&ListParams::default()).await?;
    Ok(claims.items.into_iter().filter_map(|claim| claim.metadata.name).collect())
}
