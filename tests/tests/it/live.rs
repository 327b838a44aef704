//! Watching: events without a gap, and an application as it changes.

use crate::{both::on_both, small};
use anyhow::{Context as _, ensure};
use ropeway::demo::{
    acts::{Scene, change::UPDATE_COMPONENT, compose, publish, sample},
    client::{Client, Subscription, text},
};
use ropeway_tests::{app::TestApp, cluster::TestCluster};
use serde_json::{Value as Json, json};
use std::time::Duration;
use tokio::{sync::mpsc, time::timeout};

const DEPLOY: &str = "
    mutation($input: DeployApplicationInput!) {
      deployApplication(input: $input) { operation { id } errors { code message path } }
    }";

const CHANGES: &str = "
    subscription($id: ID!) {
      applicationChanged(applicationId: $id) {
        at kind application { id status } component { slug status }
        installation { id state } upgradeRecord { id state } publication { id state }
      }
    }";

const CLUSTERS: &str = "subscription($id: ID!) { clusterStatusChanged(enterpriseId: $id) { name status } }";

/// How long a change may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

on_both!(
    a_client_that_reconnects_at_its_cursor_sees_every_event_once,
    whoever_watches_it_sees_an_application_come_up,
    whoever_watches_an_application_sees_what_is_done_with_it,
);

async fn a_client_that_reconnects_at_its_cursor_sees_every_event_once(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
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
    let error = small::refused(timeout(PATIENCE, foreign.next()).await?.map(Json::from))?;
    ensure!(error.has("NOT_FOUND"), "somebody else follows a team's operation: {error}");
    Ok(())
}

async fn whoever_watches_it_sees_an_application_come_up(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let team = compose::create_team(&scene, &scene.first_team).await?;
    let application = compose::create_application(&scene, &team, "shop").await?;
    compose::add_sample_component(&scene, &application, "cache", &std::collections::BTreeMap::new()).await?;
    let mut changes = scene.client.subscribe(CHANGES, json!({ "id": application })).await?;
    let now = timeout(PATIENCE, changes.next()).await??.context("the state now comes first")?;
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
    ensure!(timeout(PATIENCE, seen).await??, "the subscription ended before the application ran");
    Ok(())
}

/// Publications, installations and upgrades are told to whoever watches their application, and to nobody else.
async fn whoever_watches_an_application_sees_what_is_done_with_it(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let application = small::application(&scene).await?;
    let web = small::add(&scene, &application, "web", json!({})).await?;
    let template = publish::create_template(&scene).await?;
    let mut changes = read(scene.client.subscribe(CHANGES, json!({ "id": application })).await?);
    let first = small::release(&scene, &application, &template, "1").await?;
    let seen = until(&mut changes, "publication", "PUBLISHED").await?;
    ensure!(seen["kind"] == "PUBLICATION" && seen["installation"].is_null(), "{seen}");

    let there = Scene { first_cluster: scene.second_cluster.clone(), ..scene.clone() };
    let team = compose::create_team(&there, &scene.second_team).await?;
    let host = compose::create_application(&there, &team, sample::NAME).await?;
    let mut changes = read(scene.client.subscribe(CHANGES, json!({ "id": host })).await?);
    let input = json!({
        "versionId": first, "clusterId": scene.second_cluster, "teamId": team, "applicationId": host,
    });
    let installed = small::install(&scene, input).await?;
    let seen = until(&mut changes, "installation", "INSTALLED").await?;
    ensure!(seen["kind"] == "INSTALLATION" && seen["publication"].is_null(), "{seen}");
    ensure!(seen["installation"]["id"] == installed.installation.as_str(), "{seen}");
    let image = sample::image(&scene.source, "web", "3.0");
    scene.client.change(UPDATE_COMPONENT, json!({ "componentId": web, "image": image })).await?;
    let second = small::release(&scene, &application, &template, "2").await?;
    let record = small::upgrade_to(&scene, &installed.installation, &second, &[]).await?;
    let seen = until(&mut changes, "upgradeRecord", "SUCCEEDED").await?;
    ensure!(seen["kind"] == "UPGRADE_RECORD" && seen["upgradeRecord"]["id"] == record.as_str(), "{seen}");

    let outsider = app.outsider("mallory").await?.client;
    let colleague = app.person("carol").await?.client;
    for (who, document, id) in [
        (&outsider, CHANGES, &application),
        (&colleague, CHANGES, &application),
        (&outsider, CLUSTERS, &scene.enterprise),
    ] {
        let mut shown = who.subscribe(document, json!({ "id": id })).await?;
        let answer = timeout(PATIENCE, shown.next()).await?;
        let error = small::refused(answer.map(Json::from))?;
        ensure!(error.has("NOT_FOUND"), "{error}");
    }
    let nobody = app.nobody();
    let shown = async { nobody.subscribe(CLUSTERS, json!({ "id": scene.enterprise })).await?.next().await };
    let error = timeout(PATIENCE, shown).await?.err().context("somebody who is not signed in is told")?;
    ensure!(error.to_string().contains("4401"), "{error}");
    Ok(())
}

type Changes = mpsc::UnboundedReceiver<anyhow::Result<Json>>;

/// Reads a subscription all the time: a server lets go of who answers no pings.
fn read(mut changes: Subscription) -> Changes {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(change) = changes.next().await.transpose() {
            if sender.send(change).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The first change of a kind in a state.
async fn until(changes: &mut Changes, field: &str, state: &str) -> anyhow::Result<Json> {
    let seen = async {
        while let Some(change) = changes.recv().await {
            let mut change = change?;
            if change["applicationChanged"][field]["state"] == state {
                return anyhow::Ok(change["applicationChanged"].take());
            }
        }
        anyhow::bail!("the subscription ended")
    };
    timeout(PATIENCE, seen).await.with_context(|| format!("no {field} is {state}"))?
}

/// The event after another one, on a connection of its own; none at the end.
async fn one_event(client: &Client, operation: &str, after: Option<&Json>) -> anyhow::Result<Option<Json>> {
    let cursor = after.and_then(|event| event["cursor"].as_str());
    let mut events = client.events(operation, cursor).await?;
    let next = timeout(PATIENCE, events.next()).await.context("an event comes in time")??;
    Ok(next.map(|mut data| data["operationEvents"].take()))
}
