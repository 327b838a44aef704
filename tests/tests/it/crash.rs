//! A server that dies in the middle of its work.

use anyhow::{Context as _, ensure};
use ropeway::demo::{
    acts::{Scene, compose, install, prepare, publish},
    client::{Client, text},
    progress::Progress,
    source::Source,
};
use ropeway_playground::Options;
use ropeway_tests::{
    app::PASSWORD,
    cluster::TestCluster,
    environment::{self, skip},
    server::ServerProcess,
};
use serde_json::{Value as Json, json};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_goes_on_after_the_server_was_killed() -> anyhow::Result<()> {
    const NAME: &str = "crash::an_installation_goes_on_after_the_server_was_killed";
    if !environment::wants_playgrounds() {
        skip(NAME, "ROPEWAY_TEST_CLUSTERS leaves embedded clusters out");
        return Ok(());
    }
    // Slow enough to be in the middle of the installation for a while.
    let slow = Options { pod_delay: Duration::from_millis(1500), ..Options::new("second", "token") };
    let clusters = [TestCluster::playground("first").await?, TestCluster::playground_with(slow).await?];
    goes_on(&clusters, "crash").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_holds_on_real_control_planes() -> anyhow::Result<()> {
    const NAME: &str = "crash::the_same_holds_on_real_control_planes";
    if !environment::wants_real_clusters() {
        skip(NAME, "ROPEWAY_TEST_CLUSTERS leaves real control planes out");
        return Ok(());
    }
    match TestCluster::two_real().await? {
        Some(clusters) => goes_on(&clusters, "r-crash").await,
        None => {
            skip(NAME, "there is no control plane: Go is missing");
            Ok(())
        }
    }
}

async fn goes_on(clusters: &[TestCluster; 2], name: &str) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let source = Source::start(&folder.path().join("source")).await?;
    source.push_samples().await?;

    let server = ServerProcess::start(folder.path(), None)?;
    let registry = server.registry;
    let password = server.one_time_password.as_deref().context("this is the first start")?;
    let client = prepare::first_sign_in(&Client::new(server.address)?, "admin", password, PASSWORD).await?;
    let enterprise = prepare::enterprise(&client).await?;
    let mut ids = Vec::new();
    for cluster in clusters {
        let shown = prepare::register_cluster(&client, &enterprise, &cluster.name, &cluster.kubeconfig).await?;
        ids.push(text(&shown, "/id")?.to_owned());
    }
    prepare::check_library(&client, &Progress::hidden(), &enterprise).await?;
    let mut scene = Scene {
        client,
        progress: Progress::hidden(),
        enterprise,
        first_cluster: ids[0].clone(),
        second_cluster: ids[1].clone(),
        source: source.host(),
        first_team: format!("{name}-north"),
        second_team: format!("{name}-south"),
        template: "Shop".into(),
    };
    let composed = compose::compose(&scene).await?;
    let template = publish::create_template(&scene).await?;
    let version = publish::publish(&scene, &composed.application, &template, "2.9").await?;
    let (mut input, digest) = install::prepare(&scene, &version.version).await?;
    input["planDigest"] = json!(digest);
    let payload = scene.client.change(install::INSTALL, input).await?;
    let (operation, installation) = (text(&payload, "/operation/id")?, text(&payload, "/installation/id")?);

    // Some of it is done, and some of it is not.
    let mut events = scene.client.events(operation, None).await?;
    let seen = loop {
        let event = events.next().await?.context("the operation ended before the server was killed")?;
        if event["operationEvents"]["kind"] == "STEP_SUCCEEDED" {
            break event["operationEvents"]["cursor"].as_str().context("events have a cursor")?.to_owned();
        }
    };
    let before = scene.client.operation(operation).await?;
    ensure!(before["state"] == "RUNNING", "the operation is {}", before["state"]);
    server.kill()?;

    let server = ServerProcess::start(folder.path(), Some(registry))?;
    ensure!(server.one_time_password.is_none(), "a restart is no first start");
    scene.client = Client::new(server.address)?.with_token(scene.client.token().map(str::to_owned));
    let mut kinds = Vec::new();
    let mut sequences = Vec::new();
    let ended = scene.client.follow(operation, |event| {
        kinds.push(event["kind"].as_str().unwrap_or_default().to_owned());
        sequences.push(event["sequence"].as_u64().unwrap_or_default());
    });
    let ended = ended.await?;
    ensure!(ended["state"] == "SUCCEEDED", "the operation ended as {}: {ended}", ended["state"]);
    ensure!(kinds.iter().any(|kind| kind == "RESUMED"), "another worker went on: {kinds:?}");
    let expected: Vec<u64> = (sequences[0]..).take(sequences.len()).collect();
    ensure!(sequences == expected, "the events have gaps: {sequences:?}");
    let repeated = ended["steps"].as_array().context("steps")?.iter().filter(|step| done_twice(step, &before));
    ensure!(repeated.count() == 0, "a step that was done was done again");
    install::finish(&scene, installation).await?;

    // Whoever followed it before the crash goes on after the last event that they saw.
    let mut rest = scene.client.events(operation, Some(&seen)).await?;
    let next = rest.next().await?.context("there is more")?;
    ensure!(next["operationEvents"]["cursor"] != seen.as_str(), "an event comes twice");
    server.terminate()
}

/// Whether a step had succeeded before and was begun again.
fn done_twice(step: &Json, before: &Json) -> bool {
    let of_before = before["steps"].as_array().into_iter().flatten().find(|one| one["number"] == step["number"]);
    of_before.is_some_and(|one| one["state"] == "SUCCEEDED" && one["attempts"] != step["attempts"])
}
