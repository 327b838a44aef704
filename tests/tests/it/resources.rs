//! Kubernetes resources beside components: those that cannot be changed, those that pods read, claims, and one that was
//! removed and made again.

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{Api, api::ListParams};
use ropeway::demo::{
    acts::{Scene, change, compose, install, publish, rollback, sample, upgrade},
    client::{list, text},
};
use ropeway_tests::{app::TestApp, cluster::TestCluster};
use serde_json::{Value as Json, json};

const SET: &str = "
    mutation($input: SetKubernetesResourceInput!) {
      setKubernetesResource(input: $input) { kubernetesResource { id } errors { code message path } }
    }";

const REMOVE: &str = "
    mutation($input: RemoveKubernetesResourceInput!) {
      removeKubernetesResource(input: $input) { kubernetesResource { id } errors { code message path } }
    }";

#[tokio::test(flavor = "multi_thread")]
async fn an_immutable_secret_stops_no_later_deployment() -> anyhow::Result<()> {
    let clusters = TestCluster::two_playgrounds().await?;
    TestApp::run(async |app| {
        let scene = app.scene(&clusters, "immutable").await?;
        let team = compose::create_team(&scene, &scene.first_team).await?;
        let application = compose::create_application(&scene, &team, sample::NAME).await?;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "fixed" }, "immutable": true,
            "stringData": { "token": "canary-5a17" },
        });
        set(&scene, &application, &secret).await?;
        let web = json!({ "kind": "DEPLOYMENT", "image": sample::image(&scene.source, "web", "2.9") });
        let web = compose::add_component(&scene, &application, "web", web).await?;
        compose::deploy(&scene, &application).await?;
        let edit = json!({ "componentId": web, "settings": { "environment": [{ "name": "A", "value": "1" }] } });
        scene.client.change(change::UPDATE_COMPONENT, edit).await?;
        compose::deploy(&scene, &application).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_follow_their_rules_in_upgrades() -> anyhow::Result<()> {
    let clusters = TestCluster::two_playgrounds().await?;
    TestApp::run(async |app| {
        let scene = app.scene(&clusters, "resources").await?;
        let team = compose::create_team(&scene, &scene.first_team).await?;
        let application = compose::create_application(&scene, &team, sample::NAME).await?;
        set(&scene, &application, &settings("one")).await?;
        let claim = set(&scene, &application, &claim()).await?;
        let network = set(&scene, &application, &policy(80)).await?;
        let web = json!({
            "kind": "DEPLOYMENT", "image": sample::image(&scene.source, "web", "2.9"),
            "settings": { "attributes": { "envFrom": [{ "configMapRef": { "name": "settings" } }] } },
        });
        compose::add_component(&scene, &application, "web", web).await?;
        compose::deploy(&scene, &application).await?;
        let template = publish::create_template(&scene).await?;
        let first = publish::publish(&scene, &application, &template, "1").await?;
        let input = json!({
            "versionId": first.version, "clusterId": scene.second_cluster,
            "newTeam": { "name": "South", "slug": scene.second_team },
        });
        let payload = scene.client.change(install::INSTALL, input).await?;
        let installation = text(&payload, "/installation/id")?.to_owned();
        scene.follow(&payload, "installing").await?;

        let before = pods(&clusters[0], &scene.first_team).await?;
        set(&scene, &application, &settings("two")).await?;
        for id in [claim, network] {
            scene.client.change(REMOVE, json!({ "kubernetesResourceId": id })).await?;
        }
        compose::deploy(&scene, &application).await?;
        let after = pods(&clusters[0], &scene.first_team).await?;
        ensure!(after != before, "the pod still has the old content of the ConfigMap that it names");
        ensure!(claims(&clusters[0], &scene.first_team).await? == ["spare"], "an edit deleted a claim");
        let second = publish::publish(&scene, &application, &template, "2").await?;
        upgrade_to(&scene, &installation, &second.version, &[]).await?;

        set(&scene, &application, &policy(8080)).await?;
        compose::deploy(&scene, &application).await?;
        let third = publish::publish(&scene, &application, &template, "3").await?;
        let plan = upgrade::plan(&scene, &installation, &third.version).await?;
        ensure!(list(&plan, "/blockers")?.is_empty(), "{}", plan["blockers"]);
        let changes = list(&plan, "/changes")?;
        let id = |path: &str| {
            let found = changes.iter().find(|one| one["path"] == path);
            text(found.with_context(|| format!("{path} is not among {changes:?}"))?, "/id")
        };
        let accepted = [id("resource")?, id("manifest/data/LEVEL")?];
        let before = pods(&clusters[1], &scene.second_team).await?;
        ensure!(claims(&clusters[1], &scene.second_team).await? == ["spare"]);
        let record = upgrade_to(&scene, &installation, &third.version, &accepted).await?;
        let after = pods(&clusters[1], &scene.second_team).await?;
        ensure!(after != before, "the pod still has the old content of the ConfigMap that it names");
        ensure!(
            claims(&clusters[1], &scene.second_team).await?.is_empty(),
            "the claim is there, though it was accepted"
        );

        let payload = scene.client.change(rollback::ROLL_BACK, json!({ "recordId": record })).await?;
        scene.follow(&payload, "rolling back").await?;
        upgrade_to(&scene, &installation, &third.version, &[]).await?;
        Ok(())
    })
    .await
}

fn settings(level: &str) -> Json {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings" }, "data": { "LEVEL": level } })
}

fn claim() -> Json {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "spare" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "20Gi" } } },
    })
}

fn policy(port: u16) -> Json {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "inner" },
        "spec": {
            "podSelector": { "matchLabels": { "app": "web" } }, "policyTypes": ["Ingress"],
            "ingress": [{ "ports": [{ "protocol": "TCP", "port": port }] }],
        },
    })
}

/// The global id of what was set.
async fn set(scene: &Scene, application: &str, manifest: &Json) -> anyhow::Result<String> {
    let input = json!({ "applicationId": application, "manifest": manifest });
    let payload = scene.client.change(SET, input).await?;
    Ok(text(&payload, "/kubernetesResource/id")?.to_owned())
}

/// Upgrades, accepting some changes; the record's id.
async fn upgrade_to(scene: &Scene, installation: &str, version: &str, accept: &[&str]) -> anyhow::Result<String> {
    let input = json!({ "installationId": installation, "versionId": version, "accept": accept });
    let payload = scene.client.change(upgrade::UPGRADE, input).await?;
    scene.follow(&payload, "upgrading").await?;
    let record = text(&payload, "/upgradeRecord/id")?.to_owned();
    let done = upgrade::record(scene, &record).await?;
    ensure!(done["state"] == "SUCCEEDED", "{done}");
    Ok(record)
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
