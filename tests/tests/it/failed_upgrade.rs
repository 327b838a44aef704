//! An upgrade that fails and is to be rolled back by itself.

use crate::small::CANCEL;
use anyhow::{Context as _, ensure};
use ropeway::demo::{
    acts::{Scene, change, compose, install, publish, rollback, upgrade},
    client::{list, text},
};
use ropeway_playground::Options;
use ropeway_tests::{
    app::TestApp,
    cluster::TestCluster,
    environment::{self, skip},
    wait::wait_for,
};
use serde_json::{Value as Json, json};
use std::time::Duration;

const SET_MAINTENANCE: &str = "
    mutation($input: UpdateClusterInput!) { updateCluster(input: $input) { errors { code message path } } }";

const EVENTS: &str = "
    query($id: ID!, $after: Cursor) {
      operation(id: $id) { events(first: 100, after: $after) {
        nodes { kind message } pageInfo { hasNextPage endCursor }
      } }
    }";

/// The rollback cannot begin: that is told, and the application stays taken until a person says that there is to be
/// none. Then the person can roll back.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_cannot_begin_says_why_and_can_be_given_up() -> anyhow::Result<()> {
    const NAME: &str = "failed_upgrade::a_rollback_that_cannot_begin_says_why_and_can_be_given_up";
    if !environment::wants_playgrounds() {
        skip(NAME, "ROPEWAY_TEST_CLUSTERS leaves embedded clusters out");
        return Ok(());
    }
    // Nothing becomes healthy within the time that the upgrade is given, which is enough to set the maintenance in.
    let slow = Options { pod_delay: Duration::from_secs(6), ..Options::new("slow", "token") };
    let clusters = [TestCluster::playground("fast").await?, TestCluster::playground_with(slow).await?];
    TestApp::run(async |app| {
        let scene = app.scene(&clusters, "fails").await?;
        let mut composed = compose::compose(&scene).await?;
        let template = publish::create_template(&scene).await?;
        let first = publish::publish(&scene, &composed.application, &template, "2.9").await?;
        let installed = install::install(&scene, &first.version).await?;
        change::change(&scene, &mut composed).await?;
        let second = publish::publish(&scene, &composed.application, &template, "3.0").await?;

        let input = json!({
            "installationId": installed.installation, "versionId": second.version, "onFailure": "ROLL_BACK",
            "progressDeadlineSeconds": 4,
        });
        let payload = scene.client.change(upgrade::UPGRADE, input).await?;
        let (record, operation) = (text(&payload, "/upgradeRecord/id")?, text(&payload, "/operation/id")?);
        set_maintenance(&scene, true).await?;
        let why = wait_for("the reason why there is no rollback", async || {
            Ok(events(&scene, operation).await?.into_iter().find(|event| event["kind"] == "ROLLBACK_WAITS"))
        })
        .await?;
        ensure!(text(&why, "/message")?.contains("maintenance"), "{why}");

        let taken = scene.client.change(rollback::ROLL_BACK, json!({ "recordId": record })).await;
        let refused = taken.err().context("the application is kept for the rollback")?.to_string();
        ensure!(refused.contains("APPLICATION_BUSY") || refused.contains("another operation"), "{refused}");
        let done = scene.client.change(CANCEL, json!({ "operationId": operation })).await?;
        ensure!(matches!(text(&done, "/operation/state")?, "FAILED" | "PARTIAL"), "{done}");
        let all = events(&scene, operation).await?;
        ensure!(all.last().is_some_and(|last| last["kind"] == "ROLLBACK_GIVEN_UP"), "{all:?}");
        set_maintenance(&scene, false).await?;
        let payload = scene.client.change(rollback::ROLL_BACK, json!({ "recordId": record })).await?;
        scene.follow(&payload, "rolling back").await?;
        let record = upgrade::record(&scene, record).await?;
        ensure!(record["state"] == "ROLLED_BACK", "the record is {}", record["state"]);
        Ok(())
    })
    .await
}

async fn set_maintenance(scene: &Scene, maintenance: bool) -> anyhow::Result<()> {
    let input = json!({ "clusterId": scene.second_cluster, "maintenance": maintenance });
    scene.client.change(SET_MAINTENANCE, input).await.context("setting the cluster's maintenance")?;
    Ok(())
}

/// All events of an operation.
async fn events(scene: &Scene, operation: &str) -> anyhow::Result<Vec<Json>> {
    let mut all = Vec::new();
    let mut after = Json::Null;
    loop {
        let data = scene.client.ask(EVENTS, json!({ "id": operation, "after": after })).await?;
        all.extend_from_slice(list(&data, "/operation/events/nodes")?);
        let page = &data["operation"]["events"]["pageInfo"];
        if page["hasNextPage"] != true {
            return Ok(all);
        }
        after = page["endCursor"].clone();
    }
}
