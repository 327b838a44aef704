//! What cannot simply be applied again: a Job that ran, and the volumes of a StatefulSet.

use crate::{both::on_both, small::upgrade_to};
use anyhow::{Context as _, ensure};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    batch::v1::Job,
    core::v1::{PersistentVolumeClaim, Pod},
};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use ropeway::demo::{
    acts::{Scene, change, compose, install, publish, rollback, sample, upgrade},
    client::{list, text},
};
use ropeway_tests::{app::TestApp, cluster::TestCluster};
use serde_json::json;

/// How many pods the StatefulSet has.
const REPLICAS: usize = 2;

on_both!(a_job_runs_once_for_each_of_its_templates, a_stateful_set_gets_another_volume_and_a_larger_one);

async fn a_job_runs_once_for_each_of_its_templates(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let team = compose::create_team(&scene, &scene.first_team).await?;
    let application = compose::create_application(&scene, &team, sample::NAME).await?;
    let image = |name: &str, release: &str| sample::image(&scene.source, name, release);
    let job = json!({ "kind": "JOB", "image": image("web", "2.9") });
    let job = compose::add_component(&scene, &application, "migrate", job).await?;
    let web = json!({ "kind": "DEPLOYMENT", "image": image("web", "2.9"), "settings": { "dependencies": [job] } });
    let web = compose::add_component(&scene, &application, "web", web).await?;
    deploy(&scene, &application).await?;
    ensure!(jobs(&clusters[0], &scene.first_team).await? == 1);

    let edit = json!({ "componentId": web, "settings": { "environment": [{ "name": "A", "value": "1" }] } });
    scene.client.change(change::UPDATE_COMPONENT, edit).await?;
    scene.client.change(change::UPDATE_COMPONENT, json!({ "componentId": job, "name": "Migration" })).await?;
    deploy(&scene, &application).await?;
    ensure!(jobs(&clusters[0], &scene.first_team).await? == 1, "what ran already was run again");

    let template = publish::create_template(&scene).await?;
    let first = publish::publish(&scene, &application, &template, "1").await?;
    let input = json!({
        "versionId": first.version, "clusterId": scene.second_cluster,
        "newTeam": { "name": "South", "slug": scene.second_team },
    });
    let payload = scene.client.change(install::INSTALL, input).await?;
    let installation = text(&payload, "/installation/id")?.to_owned();
    scene.follow(&payload, "installing").await?;
    ensure!(jobs(&clusters[1], &scene.second_team).await? == 1);

    let edit = json!({ "componentId": web, "image": image("web", "3.0") });
    scene.client.change(change::UPDATE_COMPONENT, edit).await?;
    deploy(&scene, &application).await?;
    let second = publish::publish(&scene, &application, &template, "2").await?;
    upgrade_to(&scene, &installation, &second.version, &[]).await?;
    ensure!(jobs(&clusters[1], &scene.second_team).await? == 1, "the upgrade ran a Job that it does not change");

    let edit = json!({ "componentId": job, "image": image("web", "3.0") });
    scene.client.change(change::UPDATE_COMPONENT, edit).await?;
    deploy(&scene, &application).await?;
    ensure!(jobs(&clusters[0], &scene.first_team).await? == 2);
    let third = publish::publish(&scene, &application, &template, "3").await?;
    let record = upgrade_to(&scene, &installation, &third.version, &[]).await?;
    ensure!(jobs(&clusters[1], &scene.second_team).await? == 2, "a Job that changes is a new one");

    let payload = scene.client.change(rollback::ROLL_BACK, json!({ "recordId": record })).await?;
    scene.follow(&payload, "rolling back").await?;
    upgrade_to(&scene, &installation, &third.version, &[]).await?;
    ensure!(
        jobs(&clusters[1], &scene.second_team).await? == 3,
        "a rollback ran a Job, or the upgrade after it did not"
    );
    Ok(())
}

async fn a_stateful_set_gets_another_volume_and_a_larger_one(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let team = compose::create_team(&scene, &scene.first_team).await?;
    let application = compose::create_application(&scene, &team, sample::NAME).await?;
    let volume = |name: &str, size: &str| json!({ "name": name, "mountPath": format!("/var/{name}"), "kind": "EXCLUSIVE", "size": size });
    let input = json!({
        "kind": "STATEFUL_SET", "image": sample::image(&scene.source, "database", "16"),
        "settings": { "replicas": REPLICAS, "scaleRule": { "minReplicas": REPLICAS, "maxReplicas": 3 }, "volumes": [volume("data", "20Gi")] },
    });
    let database = compose::add_component(&scene, &application, "database", input).await?;
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

    let volumes = json!([volume("data", "40Gi"), volume("logs", "20Gi")]);
    let edit = json!({ "componentId": database, "settings": { "volumes": volumes } });
    scene.client.change(change::UPDATE_COMPONENT, edit).await?;
    compose::deploy(&scene, &application).await?;
    ensure!(sizes(&clusters[0], &scene.first_team).await? == ["data 40Gi", "logs 20Gi"], "in the first cluster");

    let second = publish::publish(&scene, &application, &template, "2").await?;
    let sets: Api<StatefulSet> = Api::namespaced(clusters[1].client().await?, &scene.second_team);
    let by = PatchParams { field_manager: Some("kubectl-scale".into()), ..PatchParams::default() };
    let more = json!({ "spec": { "replicas": REPLICAS + 1 } });
    sets.patch("shop-database", &by, &Patch::Merge(more)).await?;
    let plan = upgrade::plan(&scene, &installation, &second.version).await?;
    ensure!(list(&plan, "/blockers")?.is_empty(), "{}", plan["blockers"]);
    let changes = list(&plan, "/changes")?;
    let growth = changes.iter().find(|one| one["path"] == "volumes/data/size").context("growth is offered")?;
    ensure!(growth["decision"] == "KEEP", "{growth}");
    let before = pods(&clusters[1], &scene.second_team).await?;
    upgrade_to(&scene, &installation, &second.version, &[text(growth, "/id")?]).await?;
    ensure!(sizes(&clusters[1], &scene.second_team).await? == ["data 40Gi", "logs 20Gi"], "in the second cluster");
    let replicas = sets.get("shop-database").await?.spec.replicas;
    ensure!(replicas == i32::try_from(REPLICAS + 1).ok(), "what somebody scaled is made anew with {replicas:?}");
    let after = pods(&clusters[1], &scene.second_team).await?;
    ensure!(after.iter().zip(&before).all(|(after, before)| after != before), "a pod does not mount the new volume");
    Ok(())
}

/// Deploys without asking for a state: a Job ends.
async fn deploy(scene: &Scene, application: &str) -> anyhow::Result<()> {
    let digest = compose::plan_deployment(scene, application).await?;
    let input = json!({ "applicationId": application, "planDigest": digest });
    let payload = scene.client.change(compose::DEPLOY, input).await?;
    scene.follow(&payload, "deploying").await?;
    Ok(())
}

async fn jobs(cluster: &TestCluster, namespace: &str) -> anyhow::Result<usize> {
    let jobs: Api<Job> = Api::namespaced(cluster.client().await?, namespace);
    Ok(jobs.list(&ListParams::default()).await?.items.len())
}

/// The volumes that the claim templates describe, once the claims of each pod are as large.
async fn sizes(cluster: &TestCluster, namespace: &str) -> anyhow::Result<Vec<String>> {
    let client = cluster.client().await?;
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client, namespace);
    let templates = sets.get("shop-database").await?.spec.volume_claim_templates;
    let mut found = Vec::new();
    for template in templates.unwrap_or_default() {
        let name = template.metadata.name.context("a template has a name")?;
        let mut of_pods = Vec::new();
        for ordinal in 0..REPLICAS {
            let claim = claims.get(&format!("{name}-shop-database-{ordinal}")).await?;
            let asked = claim.spec.and_then(|spec| spec.resources).and_then(|resources| resources.requests);
            of_pods.push(asked.and_then(|asked| asked.get("storage").cloned()).context("a claim has a size")?);
        }
        ensure!(of_pods.windows(2).all(|two| two[0] == two[1]), "the claims of {name} differ: {of_pods:?}");
        found.push(format!("{name} {}", of_pods[0].0));
    }
    found.sort();
    Ok(found)
}

/// What tells the pods of the StatefulSet apart from the ones before.
async fn pods(cluster: &TestCluster, namespace: &str) -> anyhow::Result<Vec<Option<String>>> {
    let pods: Api<Pod> = Api::namespaced(cluster.client().await?, namespace);
    let mut found = Vec::new();
    for ordinal in 0..REPLICAS {
        found.push(pods.get(&format!("shop-database-{ordinal}")).await?.metadata.uid);
    }
    Ok(found)
}
