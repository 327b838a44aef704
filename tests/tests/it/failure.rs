//! What fails is known by component, run again without what succeeded, and taken back.

use crate::{both::on_both, small::UNINSTALL};
use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use ropeway::demo::{
    acts::{
        Scene, change,
        compose::{self, Composed},
        install::{self, Installed},
        publish, rollback, sample, upgrade,
    },
    client::{list, text},
};
use ropeway_tests::{app::TestApp, cluster::TestCluster, wait::wait_for};
use serde_json::{Value as Json, json};

const RETRY: &str = "
    mutation($input: RetryUpgradeInput!) {
      retryUpgrade(input: $input) { upgradeRecord { id } operation { id } errors { code message path } }
    }";

const STEPS: &str = "query($id: ID!) { operation(id: $id) { state steps { name component state error } } }";

const COMPONENTS: &str = "
    query($id: ID!) { installation(id: $id) { state version { number } components { slug version { number } } } }";

/// Seconds that a component may take that will never be healthy.
pub(crate) const SOON: u32 = 15;

on_both!(retry_runs_what_failed_and_nothing_else, a_failed_upgrade_is_taken_back, onfailure_takes_it_back_by_itself,);

/// Where an upgrade to 3.0 cannot succeed: a component asks for a node that only the first cluster has.
struct Trap {
    scene: Scene,
    installed: Installed,
    version: String,
    /// The label of the node.
    label: String,
}

async fn retry_runs_what_failed_and_nothing_else(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let trap = trap(app, clusters, name, sample::API).await?;
    let (record, failed) = upgrade(&trap, "STOP").await?;
    ensure!(failed["state"] == "PARTIAL", "the record is {failed}");
    ensure!(states(&failed)? == [("api", "FAILED"), ("web", "FAILED"), ("worker", "SUCCEEDED")], "{failed}");
    let error = list(&failed, "/components")?.iter().find(|one| one["name"] == "api").map(|one| &one["error"]);
    ensure!(error.and_then(Json::as_str).is_some_and(|error| error.contains("node")), "no reason: {failed}");
    let look = trap.scene.client.ask(COMPONENTS, json!({ "id": trap.installed.installation })).await?;
    let look = &look["installation"];
    ensure!(look["state"] == "PARTIAL" && look["version"]["number"] == "2.9", "{look}");
    for (slug, number) in [("api", "2.9"), ("web", "2.9"), ("worker", "3.0"), ("database", "3.0")] {
        let one = list(look, "/components")?.iter().find(|one| one["slug"] == slug).context("it is there")?;
        ensure!(one["version"]["number"] == number, "{slug} is at {}", one["version"]);
    }

    set_label(&clusters[1], &trap.label, None).await?;
    let payload = trap.scene.client.change(RETRY, json!({ "recordId": record })).await?;
    let operation = text(&payload, "/operation/id")?;
    trap.scene.client.follow(operation, |_| {}).await?;
    let done = trap.scene.client.ask(STEPS, json!({ "id": operation })).await?;
    let steps = list(&done, "/operation/steps")?;
    let about = |name: &str| steps.iter().any(|step| step["component"] == name);
    ensure!(about("api") && about("web") && !about("worker") && !about("database"), "{steps:?}");
    let after = upgrade::record(&trap.scene, &record).await?;
    ensure!(after["state"] == "SUCCEEDED", "{after}");
    ensure!(states(&after)?.iter().all(|(_, state)| *state == "SUCCEEDED"), "{after}");
    let look = install::look(&trap.scene, &trap.installed.installation).await?;
    ensure!(look["state"] == "INSTALLED" && look["version"]["number"] == "3.0", "{look}");
    let kept = list(&look, "/keptChanges")?;
    ensure!(kept.iter().any(|one| one["path"].as_str().is_some_and(|path| path.ends_with(sample::FILE))), "{kept:?}");
    uninstall(&trap, clusters, true).await
}

async fn a_failed_upgrade_is_taken_back(app: &TestApp, clusters: &[TestCluster; 2], name: &str) -> anyhow::Result<()> {
    // The pod of the StatefulSet that can never start must not stand in the way of the old one.
    let trap = trap(app, clusters, name, "database").await?;
    let before = clusters[1].workloads(&trap.scene.second_team).await?;
    let (record, failed) = upgrade(&trap, "STOP").await?;
    ensure!(failed["state"] == "FAILED", "the record is {failed}");
    let look = install::look(&trap.scene, &trap.installed.installation).await?;
    ensure!(look["version"]["number"] == "2.9", "{look}");

    let payload = trap.scene.client.change(rollback::ROLL_BACK, json!({ "recordId": record })).await?;
    trap.scene.follow(&payload, "rolling back").await?;
    let of = upgrade::record(&trap.scene, &record).await?;
    ensure!(of["state"] == "ROLLED_BACK", "{of}");
    is_as_before(&trap, clusters, &before).await?;
    uninstall(&trap, clusters, false).await
}

async fn onfailure_takes_it_back_by_itself(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let trap = trap(app, clusters, name, sample::API).await?;
    let before = clusters[1].workloads(&trap.scene.second_team).await?;
    let (record, _) = upgrade(&trap, "ROLL_BACK").await?;
    wait_for("the rollback", async || {
        let now = upgrade::record(&trap.scene, &record).await?;
        Ok((now["state"] == "ROLLED_BACK").then_some(()))
    })
    .await?;
    is_as_before(&trap, clusters, &before).await
}

/// Publishes 3.0 with a component that only runs on the labelled node of the first cluster, and installs 2.9.
async fn trap(app: &TestApp, clusters: &[TestCluster; 2], name: &str, component: &str) -> anyhow::Result<Trap> {
    let label = format!("ropeway.test/{name}");
    let scene = app.scene(clusters, name).await?;
    let mut composed = compose::compose(&scene).await?;
    // The node where the database is: its disk cannot leave that zone.
    let pods: Api<Pod> = Api::namespaced(clusters[0].client().await?, &scene.first_team);
    let node = pods.get("shop-database-0").await?.spec.and_then(|spec| spec.node_name);
    set_label(&clusters[0], &label, node).await?;
    let template = publish::create_template(&scene).await?;
    let first = publish::publish(&scene, &composed.application, &template, "2.9").await?;
    let installed = install::install(&scene, &first.version).await?;
    change::change(&scene, &mut composed).await?;
    bind(&scene, &composed, component, &label).await?;
    let second = publish::publish(&scene, &composed.application, &template, "3.0").await?;
    Ok(Trap { scene, installed, version: second.version, label })
}

async fn bind(scene: &Scene, composed: &Composed, component: &str, label: &str) -> anyhow::Result<()> {
    let id = composed.components.get(component).context("there is such a component")?;
    let settings = json!({ "attributes": { "nodeSelector": { label: "yes" } } });
    scene.client.change(change::UPDATE_COMPONENT, json!({ "componentId": id, "settings": settings })).await?;
    compose::deploy(scene, &composed.application).await?;
    Ok(())
}

/// Upgrades to what cannot succeed: the record's id, and the record once the operation has ended.
async fn upgrade(trap: &Trap, on_failure: &str) -> anyhow::Result<(String, Json)> {
    let input = json!({
        "installationId": trap.installed.installation, "versionId": trap.version,
        "onFailure": on_failure, "progressDeadlineSeconds": SOON,
    });
    let payload = trap.scene.client.change(upgrade::UPGRADE, input).await?;
    let record = text(&payload, "/upgradeRecord/id")?.to_owned();
    trap.scene.client.follow(text(&payload, "/operation/id")?, |_| {}).await?;
    let ended = upgrade::record(&trap.scene, &record).await?;
    Ok((record, ended))
}

/// What ran before runs again, and runs well; what 3.0 added stays.
async fn is_as_before(
    trap: &Trap,
    clusters: &[TestCluster; 2],
    before: &std::collections::BTreeMap<String, ropeway_tests::cluster::Workload>,
) -> anyhow::Result<()> {
    let now = clusters[1].workloads(&trap.scene.second_team).await?;
    for (name, workload) in before {
        ensure!(now.get(name) == Some(workload), "{name} is now {:?}", now.get(name));
    }
    let look = install::look(&trap.scene, &trap.installed.installation).await?;
    ensure!(look["version"]["number"] == "2.9" && look["state"] == "INSTALLED", "{look}");
    let view = trap.scene.application(&trap.installed.application).await?;
    upgrade::check_kept(&view)
}

/// Ends the installation: no workload is left, and volumes only where they were not asked to go.
async fn uninstall(trap: &Trap, clusters: &[TestCluster; 2], delete_volumes: bool) -> anyhow::Result<()> {
    let input = json!({ "installationId": trap.installed.installation, "deleteVolumes": delete_volumes });
    let payload = trap.scene.client.change(UNINSTALL, input).await?;
    trap.scene.follow(&payload, "uninstalling").await?;
    let left = clusters[1].workloads(&trap.scene.second_team).await?;
    ensure!(left.is_empty(), "{left:?} is left");
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(clusters[1].client().await?, &trap.scene.second_team);
    let claims = claims.list(&ListParams::default()).await?.items.len();
    ensure!(claims == usize::from(!delete_volumes), "{claims} claims are left");
    Ok(())
}

/// How it went for each component, by name.
fn states(record: &Json) -> anyhow::Result<Vec<(&str, &str)>> {
    let mut states: Vec<(&str, &str)> = list(record, "/components")?
        .iter()
        .filter_map(|one| Some((one["name"].as_str()?, one["state"].as_str()?)))
        .collect();
    states.sort_unstable();
    Ok(states)
}

/// Labels a node: this one, or any.
pub(crate) async fn set_label(cluster: &TestCluster, label: &str, node: Option<String>) -> anyhow::Result<()> {
    let nodes: Api<Node> = Api::all(cluster.client().await?);
    let all = nodes.list(&ListParams::default()).await?.items;
    let name = node.or_else(|| all.first()?.metadata.name.clone()).context("it has a node")?;
    let patch = Patch::Merge(json!({ "metadata": { "labels": { label: "yes" } } }));
    nodes.patch(&name, &PatchParams::default(), &patch).await?;
    Ok(())
}
