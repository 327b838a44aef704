//! Watching: events without a gap, and an application as it changes.

use anyhow::{Context as _, ensure};
use ropeway::demo::{
    acts::compose,
    client::{Client, text},
};
use ropeway_tests::{app::TestApp, cluster::TestCluster};
use serde_json::{Value as Json, json};
use std::time::Duration;
use tokio::time::timeout;

const DEPLOY: &str = "
    mutation($input: DeployApplicationInput!) {
      deployApplication(input: $input) { operation { id } errors { code message path } }
    }";

const CHANGES: &str = "
    subscription($id: ID!) {
      applicationChanged(applicationId: $id) { at kind application { id status } component { slug status } }
    }";

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reconnects_at_its_cursor_sees_every_event_once() -> anyhow::Result<()> {
    let clusters = TestCluster::two_playgrounds().await?;
    TestApp::run(async |app| {
        let scene = app.scene(&clusters, "live").await?;
        let team = compose::create_team(&scene, &scene.first_team).await?;
        let application = compose::create_application(&scene, &team, "shop").await?;
        compose::add_sample_component(&scene, &application, "cache", &std::collections::BTreeMap::new()).await?;
        let payload = scene.client.change(DEPLOY, json!({ "applicationId": application })).await?;
        let operation = text(&payload, "/operation/id")?;

        // One that breaks off after each event, and one that stays.
        let mut pieces: Vec<Json> = Vec::new();
        while let Some(event) = one_event(&scene.client, operation, pieces.last()).await? {
            pieces.push(event);
        }
        let mut whole = Vec::new();
        scene.client.follow(operation, |event| whole.push(event.clone())).await?;
        ensure!(pieces == whole, "{} events in pieces, {} in one", pieces.len(), whole.len());
        let sequences: Vec<Option<u64>> = whole.iter().map(|event| event["sequence"].as_u64()).collect();
        let first = sequences.first().copied().flatten().context("there are events")?;
        let expected: Vec<Option<u64>> = (first..).map(Some).take(sequences.len()).collect();
        ensure!(sequences == expected, "the sequence has gaps: {sequences:?}");
        ensure!(whole.last().is_some_and(|event| event["kind"] == "FINISHED"), "the last event is the end");

        let person = app.person("eve").await?;
        let mut foreign = person.client.events(operation, None).await?;
        ensure!(foreign.next().await.is_err(), "somebody else follows a team's operation");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_an_application_sees_it_come_up() -> anyhow::Result<()> {
    let clusters = TestCluster::two_playgrounds().await?;
    TestApp::run(async |app| {
        let scene = app.scene(&clusters, "watch").await?;
        let team = compose::create_team(&scene, &scene.first_team).await?;
        let application = compose::create_application(&scene, &team, "shop").await?;
        compose::add_sample_component(&scene, &application, "cache", &std::collections::BTreeMap::new()).await?;
        let mut changes = scene.client.subscribe(CHANGES, json!({ "id": application })).await?;
        let now = timeout(Duration::from_secs(20), changes.next()).await??.context("the state now comes first")?;
        ensure!(now["applicationChanged"]["application"]["id"] == application.as_str());
        compose::deploy(&scene, &application).await?;
        let seen = async {
            while let Some(change) = changes.next().await? {
                if change["applicationChanged"]["application"]["status"] == "RUNNING" {
                    return anyhow::Ok(true);
                }
            }
            Ok(false)
        };
        ensure!(timeout(Duration::from_secs(30), seen).await??, "the subscription ended before the application ran");
        Ok(())
    })
    .await
}

/// The event after another one, on a connection of its own; none at the end.
async fn one_event(client: &Client, operation: &str, after: Option<&Json>) -> anyhow::Result<Option<Json>> {
    let cursor = after.and_then(|event| event["cursor"].as_str());
    let mut events = client.events(operation, cursor).await?;
    let next = timeout(Duration::from_secs(30), events.next()).await.context("an event comes in time")??;
    Ok(next.map(|mut data| data["operationEvents"].take()))
}
