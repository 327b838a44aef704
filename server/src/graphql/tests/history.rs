//! What is told of the past: records of what is not installed any more, publications of people who left.

use super::{
    bed::{Bed, Person, document, text},
    seed::id_of,
};
use crate::{
    graphql::id::encode_text,
    id::{ApplicationId, TemplateId},
    store::installation::{self, Installation},
};
use ropeway_domain::operation::{OperationKind, OperationState, PublicationState};
use serde_json::json;

/// A team with an application and a template.
struct Past {
    bed: Bed,
    owner: Person,
    team: String,
    application: ApplicationId,
    template: TemplateId,
}

impl Past {
    async fn new() -> Self {
        let bed = Bed::new().await;
        let cluster = bed.cluster("hangzhou").await;
        let owner = bed.member("owner").await;
        let team = bed.team(&owner, "shops", &[&cluster]).await;
        let input = json!({ "teamId": team, "clusterId": cluster, "name": "Shop" });
        let made = bed.done(&owner, "createApplication", "application { id }", input).await;
        let application = id_of(&text(&made["application"]["id"]));
        let input = json!({ "enterpriseId": bed.enterprise, "teamId": team, "name": "shop", "scope": "TEAM" });
        let made = bed.done(&owner, "createTemplate", "template { id }", input).await;
        let template = id_of(&text(&made["template"]["id"]));
        Self { bed, owner, team, application, template }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_uninstalled_is_neither_rolled_back_nor_run_again() {
    let Past { bed, owner, application, template, .. } = Past::new().await;
    let (old, new) = (bed.seed_version(template, "1.0").await, bed.seed_version(template, "2.0").await);
    let id = bed.seed_installation(application, template, old).await;
    let operation = bed.seed_operation(OperationKind::Upgrade, OperationState::Failed, Some(application), 1).await;
    let record = encode_text(bed.seed_record(id, 1, (old, new), operation).await);
    let query = "query($id: ID!) { upgradeRecord(id: $id) { canRollBack canRetry } }";
    let found = bed.data(&owner, query, json!({ "id": record })).await;
    assert_eq!(found["upgradeRecord"], json!({ "canRollBack": true, "canRetry": true }));

    let mut conn = bed.app.database.write().await.unwrap();
    let row = installation::find(&mut conn, id).await.unwrap().unwrap();
    let row = Installation { uninstalled_at: Some(bed.clock.now()), ..row };
    installation::update(&mut conn, &row).await.unwrap();
    drop(conn);
    let found = bed.data(&owner, query, json!({ "id": record })).await;
    assert_eq!(found["upgradeRecord"], json!({ "canRollBack": false, "canRetry": false }));
    let input = json!({ "recordId": record });
    assert_eq!(bed.problems(&owner, "rollBackUpgrade", input.clone()).await, ["CANNOT_ROLL_BACK recordId"]);
    assert_eq!(bed.problems(&owner, "retryUpgrade", input.clone()).await, ["CANNOT_RETRY recordId"]);
    let plan = "query($input: PlanRollbackInput!) { planRollback(input: $input) { digest } }";
    let answer = bed.ask(Some(&owner), plan, json!({ "input": input })).await;
    assert_eq!(answer["errors"][0]["extensions"]["errors"][0]["code"], "CANNOT_ROLL_BACK", "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_others_had_installed_is_not_hidden_from_them() {
    let Past { bed, owner, template, .. } = Past::new().await;
    let wide = json!({ "templateId": encode_text(template), "scope": "ENTERPRISE" });
    bed.done(&owner, "updateTemplate", "template { id }", wide).await;
    let cluster = bed.cluster("guangzhou").await;
    let other = bed.member("other").await;
    let team = bed.team(&other, "others", &[&cluster]).await;
    let input = json!({ "teamId": team, "clusterId": cluster, "name": "Mine" });
    let made = bed.done(&other, "createApplication", "application { id }", input).await;
    let version = bed.seed_version(template, "1.0").await;
    let id = bed.seed_installation(id_of(&text(&made["application"]["id"])), template, version).await;
    let mut conn = bed.app.database.write().await.unwrap();
    let row = installation::find(&mut conn, id).await.unwrap().unwrap();
    installation::update(&mut conn, &Installation { uninstalled_at: Some(bed.clock.now()), ..row }).await.unwrap();
    drop(conn);
    let narrow = json!({ "templateId": encode_text(template), "scope": "TEAM" });
    assert_eq!(bed.problems(&owner, "updateTemplate", narrow).await, ["TEMPLATE_IN_USE scope"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_published_and_left_is_still_named() {
    let Past { bed, owner, team, application, template } = Past::new().await;
    let otto = bed.member("otto").await;
    let input = json!({ "teamId": team, "userName": "otto", "role": "DEVELOPER" });
    bed.done(&owner, "setTeamMember", "team { id }", input).await;
    let id = bed.seed_publication(application, template, id_of(&otto.id), PublicationState::Published).await;
    let leave = json!({ "input": { "enterpriseId": bed.enterprise, "userId": otto.id } });
    bed.data(&bed.admin, &document("removeMember", ""), leave).await;
    let query = "query($id: ID!) { publication(id: $id) { createdBy } }";
    let found = bed.data(&owner, query, json!({ "id": encode_text(id) })).await;
    assert_eq!(found["publication"]["createdBy"], "otto");
}
