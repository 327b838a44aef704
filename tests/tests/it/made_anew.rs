//! An object that Kubernetes cannot change as wanted: the plan asks for it, and it is made anew once that is accepted.

use crate::{
    both::on_both,
    failure::{SOON, set_label},
    small::{self, change_of, has_code, refused},
};
use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use ropeway::demo::{
    acts::{Scene, compose, publish, rollback, upgrade},
    client::{list, text},
};
use ropeway_tests::{app::TestApp, cluster::TestCluster, wait::wait_for};
use serde_json::{Value as Json, json};

const PLAN_DEPLOYMENT: &str = "
    query($input: PlanDeploymentInput!) {
      planDeployment(input: $input) { digest blockers { code message } changes { id path decision } }
    }";

const PLAN_ROLLBACK: &str = "
    query($input: PlanRollbackInput!) {
      planRollback(input: $input) { digest blockers { code message } changes { id path decision } }
    }";

/// The object, as its change names it.
const PATH: &str = "ConfigMap/settings";

on_both!(what_cannot_change_is_made_anew_once_accepted, what_was_agreed_to_holds_for_the_way_back);

async fn what_cannot_change_is_made_anew_once_accepted(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let application = small::application(&scene).await?;
    small::add(&scene, &application, "web", json!({})).await?;
    small::set_resource(&scene, &application, settings("info")).await?;
    let template = publish::create_template(&scene).await?;
    let first = small::release(&scene, &application, &template, "1").await?;
    let installed = small::install(&scene, small::for_a_new_team(&scene, &first)).await?;

    // A deployment.
    let made = look(&clusters[0], &scene.first_team).await?;
    small::set_resource(&scene, &application, settings("debug")).await?;
    let mut input = json!({ "applicationId": application });
    let asked = ask(&scene, PLAN_DEPLOYMENT, "planDeployment", &input).await?;
    let error = refused(scene.client.change(compose::DEPLOY, input.clone()).await)?;
    ensure!(error.has("IMMUTABLE"), "{error}");
    input["accept"] = json!([asked, "0".repeat(32)]);
    let error = refused(scene.client.change(compose::DEPLOY, input.clone()).await)?;
    ensure!(error.has("INVALID_CHOICE"), "{error}");
    ensure!(look(&clusters[0], &scene.first_team).await? == made, "it was changed before it was accepted");
    input["accept"] = json!([asked]);
    let payload = scene.client.change(compose::DEPLOY, input).await?;
    scene.follow(&payload, "deploying").await?;
    is_made_anew(&clusters[0], &scene.first_team, &made, "debug").await?;

    // An upgrade, which takes the content of a configuration only if that is accepted as well.
    let second = publish::publish(&scene, &application, &template, "2").await?.version;
    let made = look(&clusters[1], &scene.second_team).await?;
    let plan = upgrade::plan(&scene, &installed.installation, &second).await?;
    ensure!(list(&plan, "/blockers")?.is_empty(), "what is kept is in the way: {plan}");
    let level = text(change_of(&plan, "/data/level")?, "/id")?.to_owned();
    let mut input = json!({ "installationId": installed.installation, "versionId": second, "accept": [level] });
    let asked = ask(&scene, upgrade::PLAN_UPGRADE, "planUpgrade", &input).await?;
    let error = refused(scene.client.change(upgrade::UPGRADE, input.clone()).await)?;
    ensure!(error.has("IMMUTABLE"), "{error}");
    input["accept"] = json!([level, asked, "0".repeat(32)]);
    let error = refused(scene.client.change(upgrade::UPGRADE, input).await)?;
    ensure!(error.has("INVALID_CHOICE"), "{error}");
    let record = small::upgrade_to(&scene, &installed.installation, &second, &[&level, &asked]).await?;
    let made = is_made_anew(&clusters[1], &scene.second_team, &made, "debug").await?;

    // And back.
    let mut input = json!({ "recordId": record });
    let asked = ask(&scene, PLAN_ROLLBACK, "planRollback", &input).await?;
    let error = refused(scene.client.change(rollback::ROLL_BACK, input.clone()).await)?;
    ensure!(error.has("IMMUTABLE"), "{error}");
    input["accept"] = json!([asked]);
    let payload = scene.client.change(rollback::ROLL_BACK, input).await?;
    scene.follow(&payload, "rolling back").await?;
    let now = upgrade::record(&scene, &record).await?;
    ensure!(now["state"] == "ROLLED_BACK", "{now}");
    is_made_anew(&clusters[1], &scene.second_team, &made, "info").await?;
    Ok(())
}

/// Nobody is there to be asked again when a failed upgrade is rolled back by itself.
async fn what_was_agreed_to_holds_for_the_way_back(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let label = format!("ropeway.test/{name}");
    let scene = app.scene(clusters, name).await?;
    let application = small::application(&scene).await?;
    let web = small::add(&scene, &application, "web", json!({})).await?;
    small::set_resource(&scene, &application, settings("info")).await?;
    let template = publish::create_template(&scene).await?;
    let first = small::release(&scene, &application, &template, "1").await?;
    let installed = small::install(&scene, small::for_a_new_team(&scene, &first)).await?;
    let made = look(&clusters[1], &scene.second_team).await?;

    // No node of the second cluster takes the new component.
    set_label(&clusters[0], &label, None).await?;
    small::edit(&scene, &web, json!({ "attributes": { "nodeSelector": { label.as_str(): "yes" } } })).await?;
    small::set_resource(&scene, &application, settings("debug")).await?;
    let mut input = json!({ "applicationId": application });
    input["accept"] = json!([ask(&scene, PLAN_DEPLOYMENT, "planDeployment", &input).await?]);
    let payload = scene.client.change(compose::DEPLOY, input).await?;
    scene.follow(&payload, "deploying").await?;
    let second = publish::publish(&scene, &application, &template, "2").await?.version;
    let plan = upgrade::plan(&scene, &installed.installation, &second).await?;
    let level = text(change_of(&plan, "/data/level")?, "/id")?;
    let mut input = json!({ "installationId": installed.installation, "versionId": second, "accept": [level] });
    let asked = ask(&scene, upgrade::PLAN_UPGRADE, "planUpgrade", &input).await?;
    input["accept"] = json!([level, asked]);
    input["onFailure"] = json!("ROLL_BACK");
    input["progressDeadlineSeconds"] = json!(SOON);
    let payload = scene.client.change(upgrade::UPGRADE, input).await?;
    let failed = scene.client.follow(text(&payload, "/operation/id")?, |_| {}).await?;
    ensure!(failed["state"] == "PARTIAL", "{failed}");
    let now = is_made_anew(&clusters[1], &scene.second_team, &made, "debug").await;
    let record = text(&payload, "/upgradeRecord/id")?;
    wait_for("a rollback by itself", async || {
        let now = upgrade::record(&scene, record).await?;
        Ok((now["state"] == "ROLLED_BACK").then_some(()))
    })
    .await?;
    // The rollback may have been faster than the look.
    let before = now.unwrap_or(made);
    is_made_anew(&clusters[1], &scene.second_team, &before, "info").await?;
    scene.until_running(&installed.application).await?;
    Ok(())
}

/// A ConfigMap that cannot be changed.
fn settings(level: &str) -> Json {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings" },
        "immutable": true, "data": { "level": level },
    })
}

/// The change by which a plan asks for making it anew, which is in the way until it is accepted.
async fn ask(scene: &Scene, query: &str, name: &str, input: &Json) -> anyhow::Result<String> {
    let mut data = scene.client.ask(query, json!({ "input": input })).await?;
    let plan = data[name].take();
    ensure!(has_code(&plan["blockers"], "IMMUTABLE"), "nothing is in the way: {plan}");
    let change = change_of(&plan, PATH)?;
    ensure!(change["decision"] == "KEEP", "{change}");
    let id = text(change, "/id")?.to_owned();
    let mut accepting = input.clone();
    let accept = accepting["accept"].as_array().cloned().unwrap_or_default();
    accepting["accept"] = accept.into_iter().chain([json!(id)]).collect();
    let mut data = scene.client.ask(query, json!({ "input": accepting })).await?;
    let plan = data[name].take();
    ensure!(list(&plan, "/blockers")?.is_empty(), "it is accepted: {plan}");
    ensure!(change_of(&plan, PATH)?["decision"] == "APPLY", "{plan}");
    Ok(id)
}

/// Which object there is, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    uid: String,
    level: String,
}

async fn look(cluster: &TestCluster, namespace: &str) -> anyhow::Result<Made> {
    let settings = Api::<ConfigMap>::namespaced(cluster.client().await?, namespace).get("settings").await?;
    Ok(Made {
        uid: settings.metadata.uid.context("it has a uid")?,
        level: settings.data.and_then(|mut data| data.remove("level")).context("it has a level")?,
    })
}

async fn is_made_anew(cluster: &TestCluster, namespace: &str, before: &Made, level: &str) -> anyhow::Result<Made> {
    let now = look(cluster, namespace).await?;
    ensure!(now.uid != before.uid && now.level == level, "it was {before:?} and is {now:?}");
    Ok(now)
}
