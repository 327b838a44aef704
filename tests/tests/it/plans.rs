//! Plans that do not hold any more, and the branches of upgrades and rollbacks.

use crate::{
    both::on_both,
    small::{self, INSTALL, Installed, change_of, has_code, refused, upgrade_to},
};
use anyhow::{Context as _, ensure};
use ropeway::demo::{
    acts::{
        Scene,
        change::UPDATE_COMPONENT,
        compose,
        install::{self, PLAN_INSTALLATION},
        publish, sample, upgrade,
    },
    client::{list, text},
};
use ropeway_tests::{app::TestApp, cluster::TestCluster};
use serde_json::{Value as Json, json};

on_both!(
    a_plan_that_does_not_hold_any_more_is_refused_with_the_new_one,
    components_are_chosen_and_records_taken_back_in_any_order,
    what_was_kept_is_listed_until_an_edit_makes_it_true,
);

const UPGRADE: &str = "
    mutation($input: UpgradeInstallationInput!) {
      upgradeInstallation(input: $input) {
        upgradeRecord { id } operation { id } plan { digest } errors { code message path }
      }
    }";

const ROLL_BACK: &str = "
    mutation($input: RollBackUpgradeInput!) {
      rollBackUpgrade(input: $input) {
        upgradeRecord { id } operation { id } plan { digest } errors { code message path }
      }
    }";

const PLAN_ROLLBACK: &str = "
    query($input: PlanRollbackInput!) {
      planRollback(input: $input) {
        digest text blockers { code } changes { component path before after decision }
        leftForPeople { name } steps { component }
      }
    }";

const PLAN_UNINSTALL: &str = "
    query($input: UninstallInput!) {
      planUninstall(input: $input) {
        digest blockers { code } changes { component path kind decision } leftForPeople { kind name reason } steps { summary }
      }
    }";

const COMPONENTS: &str = "
    query($id: ID!) {
      installation(id: $id) { version { number } components { slug imageDigest version { number } } }
    }";

async fn a_plan_that_does_not_hold_any_more_is_refused_with_the_new_one(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let application = small::application(&scene).await?;
    let web = small::add(&scene, &application, "web", small::variable("A", "1")).await?;
    let template = publish::create_template(&scene).await?;
    let first = small::release(&scene, &application, &template, "1").await?;
    let input = json!({
        "componentId": web, "image": sample::image(&scene.source, "web", "3.0"),
        "settings": small::variable("A", "2"),
    });
    scene.client.change(UPDATE_COMPONENT, input).await?;
    let second = small::release(&scene, &application, &template, "2").await?;

    // Into a team and an application that are there already.
    let there = Scene { first_cluster: scene.second_cluster.clone(), ..scene.clone() };
    let team = compose::create_team(&there, &scene.second_team).await?;
    let host = compose::create_application(&there, &team, "host").await?;
    let input = json!({
        "versionId": first, "clusterId": scene.second_cluster, "teamId": team, "applicationId": host,
    });
    let old = plan(&scene, PLAN_INSTALLATION, &input).await?;
    small::add(&there, &host, "own", json!({})).await?;
    let payload = stale(&scene, INSTALL, PLAN_INSTALLATION, input, &old["digest"], async || {
        let workloads = clusters[1].workloads(&scene.second_team).await?;
        ensure!(workloads.is_empty(), "a stale plan was executed: {:?}", workloads.keys());
        Ok(())
    })
    .await?;
    let installation = text(&payload, "/installation/id")?;
    let is_ready = async |image: &str| {
        let workloads = clusters[1].workloads(&scene.second_team).await?;
        let names: Vec<&String> = workloads.keys().collect();
        ensure!(names == ["host-web"], "these run: {names:?}");
        let view = scene.application(&host).await?;
        ensure!(view.image("web")? == image, "it is at another image: {}", view.image("web")?);
        Ok(view)
    };
    let images = [digest_of(&scene, &first).await?, digest_of(&scene, &second).await?];
    let view = is_ready(&images[0]).await?;

    let web = view.ids()?.remove("web").context("the installation has a web")?;
    let edit = async |value: &str| {
        let settings = json!({ "environment": [{ "name": "A", "value": "1" }, { "name": "B", "value": value }] });
        small::edit(&scene, &web, settings).await
    };
    let input = json!({ "installationId": installation, "versionId": second });
    let old = upgrade::plan(&scene, installation, &second).await?;
    edit("here").await?;
    let payload = stale(&scene, UPGRADE, upgrade::PLAN_UPGRADE, input, &old["digest"], async || {
        is_ready(&images[0]).await.map(drop)
    })
    .await?;
    let record = text(&payload, "/upgradeRecord/id")?;
    let view = is_ready(&images[1]).await?;
    // The value that the versions disagree about is kept, and so is the one that they do not know.
    ensure!(view.variable("web", "A")?.as_deref() == Some("1"), "{:?}", view.variable("web", "A")?);
    ensure!(view.variable("web", "B")?.as_deref() == Some("here"), "{:?}", view.variable("web", "B")?);

    let input = json!({ "recordId": record });
    let old = plan(&scene, PLAN_ROLLBACK, &input).await?;
    edit("there").await?;
    stale(&scene, ROLL_BACK, PLAN_ROLLBACK, input, &old["digest"], async || is_ready(&images[1]).await.map(drop))
        .await?;
    let view = is_ready(&images[0]).await?;
    ensure!(view.variable("web", "B")?.as_deref() == Some("there"), "a rollback undid an edit");
    Ok(())
}

async fn components_are_chosen_and_records_taken_back_in_any_order(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let application = small::application(&scene).await?;
    let volume = json!({ "name": "data", "mountPath": "/data", "kind": "EXCLUSIVE", "size": "1Gi" });
    let web = small::add(&scene, &application, "web", json!({})).await?;
    let store = small::add(&scene, &application, "store", json!({ "volumes": [volume] })).await?;
    let template = publish::create_template(&scene).await?;
    let first = small::release(&scene, &application, &template, "1").await?;
    let other = publish::create_template(&Scene { template: "Other".into(), ..scene.clone() }).await?;
    let elsewhere = publish::publish(&scene, &application, &other, "9").await?.version;
    let image = sample::image(&scene.source, "web", "3.0");
    for component in [&web, &store] {
        scene.client.change(UPDATE_COMPONENT, json!({ "componentId": component, "image": image })).await?;
    }
    let second = small::release(&scene, &application, &template, "2").await?;
    let installed = small::install(&scene, small::for_a_new_team(&scene, &first)).await?;
    refuse(&scene, &installed, &elsewhere, "OTHER_TEMPLATE").await?;

    // One component first, then the rest.
    let chosen = scene.application(&application).await?.component("web")?["key"].clone();
    let input = json!({
        "installationId": installed.installation, "versionId": second, "components": [chosen],
    });
    let payload = scene.client.change(UPGRADE, input).await?;
    scene.follow(&payload, "upgrading web").await?;
    let one = text(&payload, "/upgradeRecord/id")?.to_owned();
    is_at(&scene, &installed, "1", ["1", "2"]).await?;
    let rest = upgrade::plan(&scene, &installed.installation, &second).await?;
    let owners: Vec<&str> = list(&rest, "/changes")?.iter().filter_map(|one| one["component"].as_str()).collect();
    ensure!(!owners.is_empty() && owners.iter().all(|owner| *owner == "store"), "{}", rest["changes"]);
    let two = upgrade_to(&scene, &installed.installation, &second, &[]).await?;
    is_at(&scene, &installed, "2", ["2", "2"]).await?;
    for version in [&first, &second] {
        refuse(&scene, &installed, version, "NO_UPGRADE").await?;
    }

    // The older record, which takes the newer one back as well.
    let error = refused(scene.client.change(ROLL_BACK, json!({ "recordId": one })).await)?;
    ensure!(error.has("NEWER_RECORD"), "{error}");
    is_at(&scene, &installed, "2", ["2", "2"]).await?;
    let shown = plan(&scene, PLAN_ROLLBACK, &json!({ "recordId": one })).await?;
    let images = [digest_of(&scene, &second).await?, digest_of(&scene, &first).await?];
    let change = change_of(&shown, "image")?;
    // People read the first digits.
    let says = |field: &str, digest: &str| {
        change[field].as_str().is_some_and(|text| text.ends_with(&digest[.."sha256:".len() + 12]))
    };
    ensure!(says("before", &images[0]) && says("after", &images[1]), "{change}");
    ensure!(change["decision"] == "APPLY", "{change}");
    let back = roll_back(&scene, json!({ "recordId": one, "acknowledgeNewer": true })).await?;
    is_at(&scene, &installed, "1", ["1", "1"]).await?;
    let newer = upgrade::record(&scene, &two).await?;
    ensure!(newer["state"] == "ROLLED_BACK", "it was taken back as well: {newer}");

    // A rollback can be rolled back.
    let of = upgrade::record(&scene, &back).await?;
    ensure!(of["kind"] == "ROLLBACK" && of["canRollBack"] == true, "{of}");
    roll_back(&scene, json!({ "recordId": back })).await?;
    is_at(&scene, &installed, "2", ["2", "2"]).await?;
    let error = refused(scene.client.change(ROLL_BACK, json!({ "recordId": back })).await)?;
    ensure!(error.has("CANNOT_ROLL_BACK"), "{error}");

    let end = json!({ "installationId": installed.installation });
    let shown = plan(&scene, PLAN_UNINSTALL, &end).await?;
    let changes = list(&shown, "/changes")?;
    ensure!(changes.len() == 2 && changes.iter().all(|one| one["kind"] == "REMOVE"), "{changes:?}");
    let left = list(&shown, "/leftForPeople")?;
    ensure!(left.len() == 1 && left[0]["name"] == "data of store", "the volume is kept: {left:?}");
    ensure!(!list(&shown, "/steps")?.is_empty(), "{shown}");
    let all = json!({ "installationId": installed.installation, "deleteVolumes": true });
    let shown = plan(&scene, PLAN_UNINSTALL, &all).await?;
    ensure!(list(&shown, "/leftForPeople")?.is_empty(), "{shown}");
    is_at(&scene, &installed, "2", ["2", "2"]).await
}

/// Somebody does by hand what an upgrade kept back.
async fn what_was_kept_is_listed_until_an_edit_makes_it_true(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let application = small::application(&scene).await?;
    let web = small::add(&scene, &application, "web", small::variable("A", "1")).await?;
    let template = publish::create_template(&scene).await?;
    let first = small::release(&scene, &application, &template, "1").await?;
    let installed = small::install(&scene, small::for_a_new_team(&scene, &first)).await?;
    small::edit(&scene, &web, small::variable("A", "2")).await?;
    let second = small::release(&scene, &application, &template, "2").await?;
    upgrade_to(&scene, &installed.installation, &second, &[]).await?;
    let here = scene.application(&installed.application).await?.ids()?.remove("web").context("it has a web")?;
    let kept = async || {
        let now = install::look(&scene, &installed.installation).await?;
        anyhow::Ok(list(&now, "/keptChanges")?.iter().map(|one| one["after"].clone()).collect::<Vec<_>>())
    };
    ensure!(kept().await? == ["2"], "what was kept is not listed: {:?}", kept().await?);
    small::edit(&scene, &here, small::variable("A", "3")).await?;
    ensure!(kept().await? == ["2"], "it is not as the version wants it: {:?}", kept().await?);
    small::edit(&scene, &here, small::variable("A", "2")).await?;
    ensure!(kept().await?.is_empty(), "it is as the version wants it: {:?}", kept().await?);
    Ok(())
}

/// Asks for a plan.
async fn plan(scene: &Scene, document: &str, input: &Json) -> anyhow::Result<Json> {
    let data = scene.client.ask(document, json!({ "input": input })).await?;
    data.as_object().and_then(|fields| fields.values().next()).cloned().context("the answer has a plan")
}

/// Executes a plan that was looked at before something else changed: it is refused with the one that is asked for now,
/// and nothing is different. Then executes that one; its payload.
async fn stale(
    scene: &Scene,
    document: &str,
    query: &str,
    mut input: Json,
    old: &Json,
    unchanged: impl AsyncFnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Json> {
    let now = plan(scene, query, &input).await?["digest"].clone();
    input["planDigest"] = old.clone();
    let answer = scene.client.send(document, json!({ "input": input })).await?;
    let payload = answer["data"].as_object().and_then(|fields| fields.values().next()).context("there is a payload")?;
    ensure!(has_code(&payload["errors"], "PLAN_STALE"), "{answer}");
    ensure!(payload["operation"].is_null(), "an operation began: {answer}");
    ensure!(payload["plan"]["digest"] == now && now != *old, "that is not the new plan: {answer}");
    unchanged().await?;
    input["planDigest"] = now;
    let payload = scene.client.change(document, input).await?;
    scene.follow(&payload, "executing the new plan").await?;
    Ok(payload)
}

/// Rolls back; the id of the rollback's record.
async fn roll_back(scene: &Scene, input: Json) -> anyhow::Result<String> {
    let payload = scene.client.change(ROLL_BACK, input.clone()).await?;
    scene.follow(&payload, "rolling back").await?;
    let of = upgrade::record(scene, text(&input, "/recordId")?).await?;
    ensure!(of["state"] == "ROLLED_BACK", "{of}");
    Ok(text(&payload, "/upgradeRecord/id")?.to_owned())
}

/// A version that the installation does not go to, whatever is asked.
async fn refuse(scene: &Scene, installed: &Installed, version: &str, code: &str) -> anyhow::Result<()> {
    let input = json!({ "installationId": installed.installation, "versionId": version });
    let planned = scene.client.ask(upgrade::PLAN_UPGRADE, json!({ "input": input })).await;
    ensure!(refused(planned)?.has(code), "the plan is not refused with {code}");
    let executed = refused(scene.client.change(UPGRADE, input).await)?;
    ensure!(executed.has(code), "{executed}");
    Ok(())
}

/// The number of the installation, and those of its components store and web, of whose version they run the image.
async fn is_at(scene: &Scene, installed: &Installed, whole: &str, parts: [&str; 2]) -> anyhow::Result<()> {
    scene.until_running(&installed.application).await?;
    let data = scene.client.ask(COMPONENTS, json!({ "id": installed.installation })).await?;
    let look = &data["installation"];
    ensure!(look["version"]["number"] == whole, "the installation is at {}", look["version"]);
    for (slug, number) in ["store", "web"].iter().zip(parts) {
        let one = list(look, "/components")?.iter().find(|one| one["slug"] == *slug).context("it is there")?;
        ensure!(one["version"]["number"] == number, "{slug} is at {}", one["version"]);
    }
    let of: Vec<&Json> = list(look, "/components")?.iter().map(|one| &one["imageDigest"]).collect();
    ensure!((of[0] == of[1]) == (parts[0] == parts[1]), "the images are {of:?}");
    Ok(())
}

/// The digest of the one image of a version.
async fn digest_of(scene: &Scene, version: &str) -> anyhow::Result<String> {
    let document = "query($id: ID!) { templateVersion(id: $id) { components { imageDigest } } }";
    let data = scene.client.ask(document, json!({ "id": version })).await?;
    Ok(text(&data, "/templateVersion/components/0/imageDigest")?.to_owned())
}
