//! A cluster that never answers slows nobody who has nothing to do with it.

use crate::small;
use anyhow::{Context as _, ensure};
use ropeway::demo::{
    acts::{compose, publish},
    client::text,
};
use ropeway_playground::Options;
use ropeway_tests::{app::TestApp, cluster::TestCluster};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinSet;

/// Requests about the cluster that never answers, one after another: more than the server asks it at a time.
const WAITING: usize = 40;

const APPLICATION: &str = "
    query($id: ID!) {
      application(id: $id) { status components(first: 10) { nodes { slug status readyReplicas pods { name } } } }
    }";

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_never_answers_does_not_hold_up_the_others() -> anyhow::Result<()> {
    // Slow enough to be in the middle of the installation for a while.
    let slow = Options { pod_delay: Duration::from_millis(1500), ..Options::new("second", "token") };
    let clusters = [TestCluster::playground("first").await?, TestCluster::playground_with(slow).await?];
    TestApp::run(async |app| {
        let scene = app.scene(&clusters, "silent").await?;
        let application = small::application(&scene).await?;
        let web = small::add(&scene, &application, "web", json!({})).await?;
        let template = publish::create_template(&scene).await?;
        let version = small::release(&scene, &application, &template, "1").await?;
        // Requests that come in are accepted, and stay without an answer.
        let (installed, operation) = small::begin(&scene, small::for_a_new_team(&scene, &version)).await?;
        let silent = clusters[1].playground.as_ref().context("it is an embedded one")?;
        silent.set_frozen(true);
        let (stop, mut waiting) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        for _ in 0..WAITING {
            let (client, id) = (scene.client.clone(), installed.application.clone());
            let stop = Arc::clone(&stop);
            waiting.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    client.ask(APPLICATION, json!({ "id": id })).await?;
                }
                anyhow::Ok(())
            });
        }

        small::edit(&scene, &web, small::variable("A", "1")).await?;
        compose::deploy(&scene, &application).await?;
        let data = scene.client.ask(APPLICATION, json!({ "id": application })).await?;
        ensure!(text(&data, "/application/components/nodes/0/pods/0/name")?.starts_with("shop-web-"), "{data}");
        let state = scene.client.operation(&operation).await?["state"].clone();
        ensure!(state == "RUNNING" || state == "QUEUED", "the other operation is {state} before the cluster answers");

        stop.store(true, Ordering::Relaxed);
        silent.set_frozen(false);
        while let Some(answer) = waiting.join_next().await {
            answer??;
        }
        let ended = scene.client.follow(&operation, |_| {}).await?;
        ensure!(ended["state"] == "SUCCEEDED", "{ended}");
        scene.until_running(&installed.application).await?;
        Ok(())
    })
    .await
}
