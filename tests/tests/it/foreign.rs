//! Fields that somebody else changed in a cluster: an upgrade leaves them alone, but for those that it changes itself.

use crate::{
    both::on_both,
    small::{self, has_code},
};
use anyhow::{Context as _, ensure};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Event, Namespace},
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use ropeway::demo::{
    acts::{change, compose, install, publish, rollback, sample, upgrade},
    client::list,
};
use ropeway_tests::{app::TestApp, cluster::TestCluster};
use serde_json::{Value as Json, json};

/// Who changes things behind our back.
const MANAGER: &str = "kubectl-edit";

on_both!(
    what_somebody_else_changed_stays_unless_the_upgrade_changes_it,
    what_goes_on_in_a_namespace_is_told_to_those_whose_it_is,
);

async fn what_somebody_else_changed_stays_unless_the_upgrade_changes_it(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let mut composed = compose::compose(&scene).await?;
    let template = publish::create_template(&scene).await?;
    let first = publish::publish(&scene, &composed.application, &template, "2.9").await?;
    let installed = install::install(&scene, &first.version).await?;
    change::change(&scene, &mut composed).await?;
    let second = publish::publish(&scene, &composed.application, &template, "3.0").await?;

    let api: Api<Deployment> = Api::namespaced(clusters[1].client().await?, &scene.second_team);
    let quiet = upgrade::plan(&scene, &installed.installation, &second.version).await?;
    // The number of replicas is not what 3.0 changes; the path of the readiness probe is.
    let edit = json!({"spec": {"replicas": 3, "template": {"spec": {"containers": [{
        "name": "api", "readinessProbe": {"httpGet": {"path": "/edited", "port": 8080}},
    }]}}}});
    let by = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    let live = api.get("shop-api").await?;
    api.patch("shop-api", &by, &Patch::Merge(merged(&serde_json::to_value(live)?, &edit)?)).await?;

    let plan = upgrade::plan(&scene, &installed.installation, &second.version).await?;
    ensure!(plan["digest"] != quiet["digest"], "the plan rests on what it takes over");
    let warnings = list(&plan, "/warnings")?;
    let told = |what: &[&str]| {
        let fits = |text: &str| text.contains(MANAGER) && what.iter().all(|part| text.contains(part));
        warnings.iter().any(|warning| warning.as_str().is_some_and(fits))
    };
    ensure!(told(&["Deployment shop-api", ".spec.replicas", "left to"]), "{warnings:?}");
    ensure!(told(&["Deployment shop-api", "readinessProbe.httpGet.path", "taken over from"]), "{warnings:?}");

    // What differs from what was deployed is shown, and whose it is now.
    let data = scene.client.ask(DRIFT, json!({ "id": installed.application })).await?;
    let drift = list(&data, "/application/drift")?;
    let shown = |path: &str, deployed: &str, live: &str| {
        let is = |one: &Json, field: &str, text: &str| one[field].as_str().is_some_and(|found| found.contains(text));
        drift.iter().any(|one| {
            is(one, "object", "shop-api")
                && is(one, "path", path)
                && is(one, "deployed", deployed)
                && is(one, "live", live)
                && is(one, "owner", MANAGER)
        })
    };
    ensure!(shown("readinessProbe", sample::READINESS[0], "/edited"), "{drift:?}");

    let upgraded = upgrade::upgrade(&scene, &installed, &second.version).await?;
    ensure!(seen(&api).await? == (Some(3), sample::READINESS[1].to_owned()), "{:?}", seen(&api).await?);
    rollback::roll_back(&scene, &installed, &upgraded).await?;
    ensure!(seen(&api).await? == (Some(3), sample::READINESS[0].to_owned()), "{:?}", seen(&api).await?);

    // Where it is published from, such an edit stands in the way until somebody says what is published.
    let source: Api<Deployment> = Api::namespaced(clusters[0].client().await?, &scene.first_team);
    let live = source.get("shop-api").await?;
    source.patch("shop-api", &by, &Patch::Merge(merged(&serde_json::to_value(live)?, &edit)?)).await?;
    let mut input = json!({ "applicationId": composed.application, "templateId": template, "number": "3.1" });
    let plan = scene.client.ask(publish::PLAN_PUBLICATION, json!({ "input": input })).await?;
    ensure!(!list(&plan, "/planPublication/drift")?.is_empty(), "{plan}");
    ensure!(has_code(&plan["planPublication"]["blockers"], "DRIFT_UNDECIDED"), "{plan}");
    input["onDrift"] = json!("PUBLISH_DEPLOYED");
    let plan = scene.client.ask(publish::PLAN_PUBLICATION, json!({ "input": input })).await?;
    ensure!(!has_code(&plan["planPublication"]["blockers"], "DRIFT_UNDECIDED"), "{plan}");
    Ok(())
}

const DRIFT: &str = "query($id: ID!) { application(id: $id) { drift { object path deployed live owner } } }";

/// A team can have the name of a namespace in which others work, until something is deployed.
async fn what_goes_on_in_a_namespace_is_told_to_those_whose_it_is(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let client = clusters[0].client().await?;
    let theirs = format!("{name}-theirs");
    let namespace = json!({ "metadata": { "name": theirs } });
    let new = PostParams::default();
    Api::<Namespace>::all(client.clone()).create(&new, &serde_json::from_value(namespace)?).await?;
    let event = json!({
        "metadata": { "name": "theirs" }, "type": "Normal", "reason": "Secret", "message": "what others do",
        "involvedObject": {
            "apiVersion": "apps/v1", "kind": "Deployment", "name": "shop-web", "namespace": theirs,
        },
    });
    Api::<Event>::namespaced(client, &theirs).create(&new, &serde_json::from_value(event)?).await?;
    let events = async |component: &str| {
        let data = scene.client.ask(EVENTS, json!({ "id": component })).await?;
        anyhow::Ok(list(&data, "/component/events/nodes")?.to_vec())
    };
    let team = compose::create_team(&scene, &theirs).await?;
    let application = compose::create_application(&scene, &team, sample::NAME).await?;
    let web = small::add(&scene, &application, "web", json!({})).await?;
    ensure!(events(&web).await?.is_empty(), "it was told: {:?}", events(&web).await?);

    // What is one's own is told.
    let application = small::application(&scene).await?;
    let web = small::add(&scene, &application, "web", json!({})).await?;
    compose::deploy(&scene, &application).await?;
    ensure!(!events(&web).await?.is_empty(), "nothing is told");
    Ok(())
}

const EVENTS: &str = "query($id: ID!) { component(id: $id) { events(first: 20) { nodes { message } } } }";

/// A merge patch replaces lists whole: the container as it is, with the edit in it.
fn merged(live: &Json, edit: &Json) -> anyhow::Result<Json> {
    let mut containers = live["spec"]["template"]["spec"]["containers"].clone();
    let edited = &edit["spec"]["template"]["spec"]["containers"][0];
    let one = containers.as_array_mut().context("it has containers")?.iter_mut();
    let one = one.into_iter().find(|one| one["name"] == edited["name"]).context("the container is there")?;
    one["readinessProbe"]["httpGet"] = edited["readinessProbe"]["httpGet"].clone();
    let mut edit = edit.clone();
    edit["spec"]["template"]["spec"]["containers"] = containers;
    Ok(edit)
}

/// The number of replicas, and the path of the readiness probe.
async fn seen(api: &Api<Deployment>) -> anyhow::Result<(Option<i32>, String)> {
    let live = api.get("shop-api").await?;
    let spec = live.spec;
    let containers = spec.template.spec.context("it has pods")?.containers;
    let probe = containers.into_iter().find_map(|one| one.readiness_probe).and_then(|probe| probe.http_get);
    Ok((spec.replicas, probe.and_then(|get| get.path).unwrap_or_default()))
}
