//! What cannot be done is refused with a code, every reason at once, and nothing is half done.

use crate::{
    both::{on_both, on_playgrounds},
    failure::SOON,
    small::{has_code, refused},
};
use anyhow::{Context as _, ensure};
use ropeway::demo::{
    acts::{Scene, change, compose, install, publish, sample, upgrade},
    client::{Client, list, text},
};
use ropeway_playground::Options;
use ropeway_tests::{app::TestApp, cluster::TestCluster, wait::wait_for};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

const CONFIGURE_LIBRARY: &str = "
    mutation($input: ConfigureLibraryInput!) {
      configureLibrary(input: $input) { library { url } errors { code message path } }
    }";

const LIBRARY: &str = "query($id: ID!) { enterprise(id: $id) { library { url embedded } } }";

const REGISTER: &str = "
    mutation($input: RegisterClusterInput!) {
      registerCluster(input: $input) { cluster { id status statusMessage } operation { id } errors { code message path } }
    }";

const UPDATE_CLUSTER: &str = "
    mutation($input: UpdateClusterInput!) {
      updateCluster(input: $input) { cluster { id status statusMessage } errors { code message path } }
    }";

const CHECK_LIBRARY: &str = "
    mutation($input: CheckLibraryInput!) {
      checkLibrary(input: $input) { operation { id } errors { code message path } }
    }";

const REACHABILITY: &str = "
    query($id: ID!) { enterprise(id: $id) { library { reachability { reachable cluster { id } } } } }";

const CLUSTERS: &str = "query($id: ID!) { enterprise(id: $id) { clusters(first: 10) { nodes { name } } } }";

const PUBLICATIONS: &str = "query($id: ID!) { application(id: $id) { publications(first: 10) { nodes { id } } } }";

const CREATE_TEAM: &str = "
    mutation($input: CreateTeamInput!) { createTeam(input: $input) { team { id } errors { code message path } } }";

const DEPLOY: &str = "
    mutation($input: DeployApplicationInput!) {
      deployApplication(input: $input) { operation { id } plan { digest } errors { code message path } }
    }";

on_both!(
    an_image_that_is_missing_is_named_before_anything_is_copied,
    secrets_without_a_decision_are_listed_and_nothing_is_published,
    a_stale_plan_is_refused_with_the_new_one,
);

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_registry_does_not_become_the_library() -> anyhow::Result<()> {
    TestApp::run(async |app| {
        let library = async || app.client.ask(LIBRARY, json!({ "id": app.enterprise })).await;
        let before = library().await?;
        // Nobody listens on port 1.
        let input = json!({ "enterpriseId": app.enterprise, "url": "http://127.0.0.1:1", "plainHttp": true });
        let refused = refused(app.client.change(CONFIGURE_LIBRARY, input).await)?;
        ensure!(refused.has("LIBRARY_UNREACHABLE"), "{refused}");
        ensure!(library().await? == before, "the library was changed");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_that_is_none_is_refused() -> anyhow::Result<()> {
    TestApp::run(async |app| {
        for kubeconfig in ["", "not: a kubeconfig", "{{", "apiVersion: v1\nkind: Config\nclusters: []\n"] {
            let input = json!({
                "enterpriseId": app.enterprise, "name": "broken", "driver": "kubernetes", "kubeconfig": kubeconfig,
            });
            let refused = refused(app.client.change(REGISTER, input).await)?;
            ensure!(refused.has("INVALID_KUBECONFIG"), "{kubeconfig:?}: {refused}");
        }
        let data = app.client.ask(CLUSTERS, json!({ "id": app.enterprise })).await?;
        ensure!(list(&data, "/enterprise/clusters/nodes")?.is_empty(), "a broken cluster was registered");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_refuses_the_kubeconfig_is_offline_until_it_gets_a_right_one() -> anyhow::Result<()> {
    TestApp::run(async |app| {
        let cluster = TestCluster::playground("refusing").await?;
        let kubeconfig = cluster.kubeconfig.replace("token-of-a-test", "token-of-nobody");
        let input = json!({
            "enterpriseId": app.enterprise, "name": "refusing", "driver": "kubernetes", "kubeconfig": kubeconfig,
        });
        let payload = app.client.change(REGISTER, input).await?;
        ensure!(payload["cluster"]["status"] == "OFFLINE", "{payload}");
        let reason = payload["cluster"]["statusMessage"].as_str().unwrap_or_default();
        ensure!(reason.contains("credentials"), "{payload}");
        ensure!(payload["operation"].is_null(), "it is asked to pull although it does not answer: {payload}");
        let id = text(&payload, "/cluster/id")?;
        let check = json!({ "enterpriseId": app.enterprise, "clusterIds": [id] });
        let refused = refused(app.client.change(CHECK_LIBRARY, check).await)?;
        ensure!(refused.has("CLUSTER_OFFLINE"), "{refused}");

        let input = json!({ "clusterId": id, "kubeconfig": cluster.kubeconfig });
        let payload = app.client.change(UPDATE_CLUSTER, input).await?;
        ensure!(payload["cluster"]["status"] == "ONLINE", "{payload}");
        wait_for("the check whether it reaches the library", async || {
            let data = app.client.ask(REACHABILITY, json!({ "id": app.enterprise })).await?;
            let all = list(&data, "/enterprise/library/reachability")?;
            Ok(all.iter().any(|one| one["reachable"] == true && one["cluster"]["id"] == id).then_some(()))
        })
        .await
    })
    .await
}

async fn an_image_that_is_missing_is_named_before_anything_is_copied(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let application = one_component(&scene, &sample::image(&scene.source, "web", "0.0")).await?;
    // The cluster is asked for it: it says that it cannot be pulled, and that is a failure.
    let input = json!({ "applicationId": application, "progressDeadlineSeconds": SOON });
    let payload = scene.client.change(DEPLOY, input).await?;
    let ended = scene.client.follow(text(&payload, "/operation/id")?, |_| {}).await?;
    ensure!(ended["state"] == "PARTIAL", "the operation is {}", ended["state"]);
    let step = list(&ended, "/steps")?.iter().find(|step| step["component"] == "only").context("it has a step")?;
    let why = step["error"].as_str().unwrap_or_default();
    ensure!(why.contains("web:0.0") && why.to_lowercase().contains("pull"), "the reason is not the image: {ended}");
    let template = publish::create_template(&scene).await?;
    let input = json!({ "applicationId": application, "templateId": template, "number": "1" });
    let plan = scene.client.ask(publish::PLAN_PUBLICATION, json!({ "input": input })).await?;
    ensure!(has_code(&plan["planPublication"]["blockers"], "IMAGE_NOT_FOUND"), "{plan}");
    let refused = refused(scene.client.change(publish::SUBMIT, input).await)?;
    ensure!(refused.has("IMAGE_NOT_FOUND"), "{refused}");
    no_publication(&scene, &application).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_another_architecture_is_refused_before_anything_is_changed() -> anyhow::Result<()> {
    let first = TestCluster::playground("first").await?;
    let arm = Options { nodes: Options::nodes(2, "arm64"), ..Options::new("arm", "token") };
    let clusters = [first, TestCluster::playground_with(arm).await?];
    TestApp::run(async |app| {
        let scene = app.scene(&clusters, "arch").await?;
        let image = app.source.push("only-amd64", "1", &["amd64"], &[1000]).await?;
        let application = one_component(&scene, &image).await?;
        compose::deploy(&scene, &application).await?;
        let template = publish::create_template(&scene).await?;
        let version = publish::publish(&scene, &application, &template, "1").await?;
        let input = json!({
            "versionId": version.version, "clusterId": scene.second_cluster,
            "newTeam": { "name": "South", "slug": scene.second_team },
        });
        let plan = scene.client.ask(install::PLAN_INSTALLATION, json!({ "input": input })).await?;
        ensure!(has_code(&plan["planInstallation"]["blockers"], "ARCHITECTURE"), "{plan}");
        let refused = refused(scene.client.change(install::INSTALL, input).await)?;
        ensure!(refused.has("ARCHITECTURE"), "{refused}");
        ensure!(!clusters[1].has_namespace(&scene.second_team).await?, "the namespace was made");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cycle_of_dependencies_is_refused_and_named() -> anyhow::Result<()> {
    const NAME: &str = "bad_input::a_cycle_of_dependencies_is_refused_and_named";
    on_playgrounds(NAME, a_cycle).await
}

async fn a_cycle(app: &TestApp, clusters: &[TestCluster; 2]) -> anyhow::Result<()> {
    let scene = app.scene(clusters, "cycle").await?;
    let team = compose::create_team(&scene, &scene.first_team).await?;
    let application = compose::create_application(&scene, &team, "ring").await?;
    let image = sample::image(&scene.source, "web", "2.9");
    let add = async |slug: &str, needs: Vec<&str>| {
        let input = json!({ "kind": "DEPLOYMENT", "image": image, "settings": { "dependencies": needs } });
        compose::add_component(&scene, &application, slug, input).await
    };
    let left = add("left", vec![]).await?;
    let right = add("right", vec![&left]).await?;
    let close = json!({ "componentId": left, "settings": { "dependencies": [right] } });
    let refused = refused(scene.client.change(change::UPDATE_COMPONENT, close).await)?;
    ensure!(refused.has("CYCLE"), "{refused}");
    let said = refused.to_string();
    ensure!(said.contains("left") && said.contains("right"), "the cycle is not named: {said}");
    compose::deploy(&scene, &application).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slug_in_use_is_refused() -> anyhow::Result<()> {
    on_playgrounds("bad_input::a_slug_in_use_is_refused", a_slug_twice).await
}

async fn a_slug_twice(app: &TestApp, clusters: &[TestCluster; 2]) -> anyhow::Result<()> {
    let scene = app.scene(clusters, "slug").await?;
    let team = compose::create_team(&scene, &scene.first_team).await?;
    let input = json!({
        "enterpriseId": scene.enterprise, "name": "Another", "slug": scene.first_team,
        "clusterIds": [scene.first_cluster],
    });
    let error = refused(scene.client.change(CREATE_TEAM, input).await)?;
    ensure!(error.has("SLUG_IN_USE"), "{error}");

    let application = compose::create_application(&scene, &team, "shop").await?;
    let again = refused(compose::create_application(&scene, &team, "shop").await.map(Json::from))?;
    ensure!(again.has("SLUG_IN_USE"), "{again}");
    let image = sample::image(&scene.source, "web", "2.9");
    let input = json!({ "kind": "DEPLOYMENT", "image": image });
    compose::add_component(&scene, &application, "web", input.clone()).await?;
    let twice = refused(compose::add_component(&scene, &application, "web", input).await.map(Json::from))?;
    ensure!(twice.has("SLUG_IN_USE"), "{twice}");
    ensure!(scene.application(&application).await?.components()?.len() == 1, "it was added twice");
    Ok(())
}

async fn secrets_without_a_decision_are_listed_and_nothing_is_published(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let composed = compose::compose(&scene).await?;
    let template = publish::create_template(&scene).await?;
    let input = json!({ "applicationId": composed.application, "templateId": template, "number": "2.9" });
    let refused = refused(scene.client.change(publish::SUBMIT, input).await)?;
    ensure!(refused.has("SECRET_UNDECIDED"), "{refused}");
    let said = refused.to_string();
    for name in [sample::ASKED, "SESSION_SECRET"] {
        ensure!(said.contains(name), "{name} is not listed: {said}");
    }
    no_publication(&scene, &composed.application).await?;
    Ok(())
}

async fn a_stale_plan_is_refused_with_the_new_one(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let application = one_component(&scene, &sample::image(&scene.source, "web", "2.9")).await?;
    let old = compose::plan_deployment(&scene, &application).await?;
    let image = sample::image(&scene.source, "cache", "7");
    let more = json!({ "kind": "DEPLOYMENT", "image": image });
    compose::add_component(&scene, &application, "more", more).await?;
    let input = json!({ "applicationId": application, "planDigest": old });
    let answer = scene.client.send(DEPLOY, json!({ "input": input })).await?;
    let payload = &answer["data"]["deployApplication"];
    ensure!(has_code(&payload["errors"], "PLAN_STALE"), "{answer}");
    ensure!(payload["operation"].is_null(), "an operation began: {answer}");
    let new = text(payload, "/plan/digest")?;
    ensure!(new != old, "the new plan has the old digest");
    ensure!(new == compose::plan_deployment(&scene, &application).await?, "that is not the new plan");
    ensure!(clusters[0].workloads(&scene.first_team).await?.is_empty(), "something was deployed");
    scene.client.change(DEPLOY, json!({ "applicationId": application, "planDigest": new })).await?;
    scene.until_running(&application).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_nothing_is_shown() -> anyhow::Result<()> {
    TestApp::run(async |app| {
        let nobody: Client = app.nobody();
        for (document, id) in [(CLUSTERS, &app.enterprise), (LIBRARY, &app.enterprise)] {
            let refused = refused(nobody.ask(document, json!({ "id": id })).await)?;
            ensure!(refused.has("UNAUTHENTICATED"), "{refused}");
        }
        let input = json!({ "installationId": "x", "versionId": "y" });
        let refused = refused(nobody.change(upgrade::UPGRADE, input).await)?;
        ensure!(refused.has("UNAUTHENTICATED"), "{refused}");
        Ok(())
    })
    .await
}

/// An application with one component, not deployed.
async fn one_component(scene: &Scene, image: &str) -> anyhow::Result<String> {
    let team = compose::create_team(scene, &scene.first_team).await?;
    let application = compose::create_application(scene, &team, "single").await?;
    let input = json!({ "kind": "DEPLOYMENT", "image": image });
    compose::add_component(scene, &application, "only", input).await?;
    let ids: BTreeMap<String, String> = scene.application(&application).await?.ids()?;
    ensure!(ids.len() == 1, "{ids:?}");
    Ok(application)
}

async fn no_publication(scene: &Scene, application: &str) -> anyhow::Result<()> {
    let data = scene.client.ask(PUBLICATIONS, json!({ "id": application })).await?;
    ensure!(list(&data, "/application/publications/nodes")?.is_empty(), "a publication was made: {data}");
    Ok(())
}
