//! Cancelling operations: who may, and what ends.

use super::bed::{Bed, text};
use crate::{
    graphql::id::{decode, encode_text},
    id::{ApplicationId, OperationId},
    operation::{
        Action,
        action::EnsureNamespace,
        journal::{self, NewOperation, NewStep},
    },
    store::{application, application_lock, event, operation},
};
use ropeway_domain::operation::OperationKind;
use serde_json::json;

struct Begun {
    bed: Bed,
    application: ApplicationId,
    operation: OperationId,
}

impl Begun {
    async fn new() -> Self {
        let bed = Bed::new().await;
        let cluster = bed.cluster("hangzhou").await;
        let team = bed.team(&bed.admin, "shops", &[&cluster]).await;
        let input = json!({ "teamId": team, "clusterId": cluster, "name": "Shop" });
        let made = bed.done(&bed.admin, "createApplication", "application { id }", input).await;
        let application = decode(&text(&made["application"]["id"]).into(), "id").unwrap();
        let mut conn = bed.app.database.write().await.unwrap();
        let row = application::find(&mut conn, application).await.unwrap().unwrap();
        let step = NewStep {
            name: "namespace shops".into(),
            component_key: None,
            component_name: None,
            needs: [].into(),
            action: Action::EnsureNamespace(EnsureNamespace {
                cluster_id: row.cluster_id,
                namespace: "shops".into(),
                labels: [].into(),
                is_named_by_administrator: false,
                pull_secret: None,
            }),
        };
        let new = NewOperation::in_application(OperationKind::Deploy, &row, "Jana", vec![step]);
        let now = bed.clock.now();
        let operation = conn.transaction(async |conn| journal::begin(conn, new, now).await).await.unwrap().id;
        drop(conn);
        Self { bed, application, operation }
    }

    async fn holder(&self) -> Option<OperationId> {
        let mut conn = self.bed.app.database.read().await.unwrap();
        application_lock::holder(&mut conn, self.application).await.unwrap()
    }

    async fn last_event(&self) -> (String, String) {
        let mut conn = self.bed.app.database.read().await.unwrap();
        let row = operation::find(&mut conn, self.operation).await.unwrap().unwrap();
        let last = event::after(&mut conn, self.operation, row.next_sequence - 2, 10).await.unwrap().pop().unwrap();
        (last.kind, last.message)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_waits_is_cancelled_once_and_by_those_who_may() {
    let begun = Begun::new().await;
    let bed = &begun.bed;
    let input = json!({ "operationId": encode_text(begun.operation) });
    let stranger = bed.member("ada").await;
    let query = "mutation($input: CancelOperationInput!) { cancelOperation(input: $input) { errors { code } } }";
    assert_eq!(bed.refusal(Some(&stranger), query, json!({ "input": input })).await, "NOT_FOUND");
    assert_eq!(begun.holder().await, Some(begun.operation));

    let done = bed.done(&bed.admin, "cancelOperation", "operation { state steps { state } }", input.clone()).await;
    assert_eq!(done["operation"], json!({ "state": "CANCELLED", "steps": [{ "state": "SKIPPED" }] }));
    assert_eq!(begun.holder().await, None);
    let told = begun.last_event().await;
    assert_eq!(told.0, "FINISHED");
    let again = bed.problems(&bed.admin, "cancelOperation", input).await;
    assert_eq!(again, ["OPERATION_FINISHED operationId"]);
    assert_eq!(begun.last_event().await, told);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_what_waits_for_its_rollback_lets_the_application_go() {
    let begun = Begun::new().await;
    let bed = &begun.bed;
    let input = json!({ "operationId": encode_text(begun.operation) });
    bed.done(&bed.admin, "cancelOperation", "operation { state }", input.clone()).await;
    // It ended, and keeps its application for a rollback.
    let mut conn = bed.app.database.write().await.unwrap();
    assert!(application_lock::take(&mut conn, begun.application, begun.operation, None).await.unwrap());
    drop(conn);
    let done = bed.done(&bed.admin, "cancelOperation", "operation { state }", input.clone()).await;
    assert_eq!(done["operation"]["state"], "CANCELLED");
    assert_eq!(begun.holder().await, None);
    let (kind, message) = begun.last_event().await;
    assert_eq!((kind.as_str(), message.as_str()), ("ROLLBACK_GIVEN_UP", "Administrator asked for no rollback"));
    assert_eq!(bed.problems(&bed.admin, "cancelOperation", input).await, ["OPERATION_FINISHED operationId"]);
}
