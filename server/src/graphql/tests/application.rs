//! Composing applications, and looking at them where their cluster does not answer.

use super::bed::{Bed, Person, text, unknown};
use crate::graphql::connection_data;
use async_graphql::Request;
use futures::StreamExt as _;
use serde_json::{Value as Json, json};
use std::{sync::Arc, time::Duration};

const CANARY: &str = "canary-61e7";

struct Composed {
    bed: Bed,
    owner: Person,
    team: String,
    cluster: String,
    application: String,
}

impl Composed {
    async fn new() -> Self {
        let bed = Bed::new().await;
        let cluster = bed.cluster("hangzhou").await;
        let owner = bed.member("jana").await;
        let team = bed.team(&owner, "shops", &[&cluster]).await;
        let input = json!({ "teamId": team, "clusterId": cluster, "name": "Shop" });
        let made = bed.done(&owner, "createApplication", "application { id slug namespace status }", input).await;
        let application = &made["application"];
        assert_eq!((&application["slug"], &application["namespace"]), (&json!("shop"), &json!("shops")));
        assert_eq!(application["status"], "UNDEPLOYED");
        let application = text(&application["id"]);
        Self { bed, owner, team, cluster, application }
    }

    async fn add(&self, name: &str, settings: Json) -> String {
        let input = json!({
            "applicationId": self.application, "name": name, "image": "docker.io/library/nginx:1.29", "settings": settings,
        });
        text(&self.bed.done(&self.owner, "addComponent", "component { id }", input).await["component"]["id"])
    }

    async fn component(&self, id: &str, fields: &str) -> Json {
        let query = format!("query($id: ID!) {{ component(id: $id) {{ {fields} }} }}");
        self.bed.data(&self.owner, &query, json!({ "id": id })).await["component"].take()
    }

    async fn problems(&self, mutation: &str, input: Json) -> Vec<String> {
        self.bed.problems(&self.owner, mutation, input).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_with_a_component_is_told_at_once() {
    let c = Composed::new().await;
    let db = c.add("db", json!({})).await;
    let input = json!({
        "applicationId": c.application, "name": "", "slug": "db", "image": "https://a/b",
        "settings": {
            "environment": [{ "name": "1", "value": "x" }, { "name": "A", "secret": true }],
            "ports": [{ "number": 70000 }, { "number": 80 }],
            "probes": [{ "kind": "READINESS", "httpPath": "x", "tcp": true, "port": 80 }],
            "scaleRule": { "minReplicas": 3, "maxReplicas": 2 },
            "dependencies": [db, unknown("Component")],
            "configFiles": [{ "path": "relative", "content": "" }],
        },
    });
    let problems = c.problems("addComponent", input).await;
    for expected in [
        "INVALID settings.probes.0.kind",
        "SLUG_IN_USE slug",
        "UNKNOWN_COMPONENT settings.dependencies.1",
        "REQUIRED name",
        "INVALID image",
        "INVALID settings.environment.0.name",
        "REQUIRED settings.environment.1.value",
        "OUT_OF_RANGE settings.scaleRule",
    ] {
        assert!(problems.iter().any(|problem| problem == expected), "{expected} of {problems:?}");
    }
    assert!(problems.iter().any(|problem| problem.ends_with("settings.ports.0.number")), "{problems:?}");
    let count = "query($id: ID!) { application(id: $id) { components { totalCount } } }";
    let seen = c.bed.data(&c.owner, count, json!({ "id": c.application })).await;
    assert_eq!(seen["application"]["components"]["totalCount"], 1, "nothing was added");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_sealed_kept_and_shared_by_their_group_and_never_shown() {
    let c = Composed::new().await;
    let generate = json!({ "length": 30, "group": "db" });
    let db = c
        .add(
            "db",
            json!({ "connectionInfo": [
        { "name": "DB_HOST", "value": "shop-db" },
        { "name": "DB_PASSWORD", "decision": "GENERATE", "generate": generate },
    ] }),
        )
        .await;
    let api = c
        .add(
            "api",
            json!({
                "environment": [
                    { "name": "TOKEN", "value": CANARY, "secret": true },
                    { "name": "PASSWORD", "decision": "GENERATE", "generate": generate },
                    { "name": "URL", "value": "postgres://shop-db:5432" },
                ],
                "dependencies": [db],
            }),
        )
        .await;
    let fields = "environment { name value isSecret decision generate { length group } } image dependencies { id }";
    let shown = c.component(&api, fields).await;
    assert_eq!(
        shown["environment"],
        json!([
            { "name": "TOKEN", "value": null, "isSecret": true, "decision": null, "generate": null },
            { "name": "PASSWORD", "value": null, "isSecret": true, "decision": "GENERATE",
              "generate": { "length": 30, "group": "db" } },
            { "name": "URL", "value": "postgres://shop-db:5432", "isSecret": false, "decision": null, "generate": null },
        ])
    );
    assert_eq!(shown["dependencies"], json!([{ "id": db }]));

    let row = |id: &str| {
        let id = crate::graphql::id::parts(id).map(|(_, uuid)| crate::id::ComponentId::new(uuid)).unwrap();
        let app = c.bed.app.clone();
        async move {
            let mut conn = app.database.read().await.unwrap();
            crate::store::component::find(&mut conn, id).await.unwrap().unwrap().desired.unwrap().0
        }
    };
    let before = row(&api).await;
    let password = row(&db).await.connection_info[1].value.sealed().unwrap();
    assert_eq!(before.environment[1].value.sealed(), Some(password), "one group, one value");
    assert_eq!(before.hosts().len(), 1, "the sibling is recognized");
    assert!(!serde_json::to_string(&before).unwrap().contains(CANARY));

    let input = json!({ "componentId": api, "settings": { "environment": [{ "name": "TOKEN", "secret": true }] } });
    c.bed.done(&c.owner, "updateComponent", "component { id }", input).await;
    let after = row(&api).await;
    assert_eq!(after.environment.len(), 1, "a list replaces the list");
    assert_eq!(after.environment[0].value, before.environment[0].value, "a secret sent without a value stays");
    assert_eq!(after.dependencies, before.dependencies, "what is left out stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_others_need_is_not_removed_and_a_cycle_is_refused() {
    let c = Composed::new().await;
    let db = c.add("db", json!({})).await;
    let api = c.add("api", json!({ "dependencies": [db] })).await;
    assert_eq!(c.problems("removeComponent", json!({ "componentId": db })).await, ["COMPONENT_IN_USE componentId"]);
    let cycle = json!({ "componentId": db, "settings": { "dependencies": [api] } });
    assert_eq!(c.problems("updateComponent", cycle).await, ["CYCLE settings.dependencies"]);
    let removed = c.bed.done(&c.owner, "removeComponent", "component { id }", json!({ "componentId": api })).await;
    assert!(removed["component"].is_null(), "it was never in the cluster");
    c.bed.done(&c.owner, "removeComponent", "component { id }", json!({ "componentId": db })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_is_replaced_by_its_kind_and_name_and_shows_no_entry_of_a_secret() {
    let c = Composed::new().await;
    let manifest = |data: Json| json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "keys" }, "stringData": data });
    let fields = "kubernetesResource { id manifest secretNames status }";
    let input = json!({ "applicationId": c.application, "manifest": manifest(json!({ "a": CANARY })) });
    let first = c.bed.done(&c.owner, "setKubernetesResource", fields, input).await;
    assert!(!first.to_string().contains(CANARY), "{first}");
    let input = json!({ "applicationId": c.application, "manifest": manifest(json!({ "b": CANARY })) });
    let second = c.bed.done(&c.owner, "setKubernetesResource", fields, input).await;
    assert_eq!(first["kubernetesResource"]["id"], second["kubernetesResource"]["id"]);
    assert_eq!(second["kubernetesResource"]["secretNames"], json!(["b"]));
    assert_eq!(second["kubernetesResource"]["status"], "UNDEPLOYED");
    for (manifest, expected) in [
        (json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a" } }), "KIND_NOT_ALLOWED manifest.kind"),
        (json!({ "apiVersion": "v1", "kind": "ConfigMap" }), "INVALID_MANIFEST manifest.metadata"),
        (json!([]), "INVALID_MANIFEST manifest"),
    ] {
        let input = json!({ "applicationId": c.application, "manifest": manifest });
        assert_eq!(c.problems("setKubernetesResource", input).await, [expected]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_its_teams_alone() {
    let c = Composed::new().await;
    let stranger = c.bed.member("max").await;
    let query = "query($id: ID!) { application(id: $id) { id } }";
    let variables = json!({ "id": c.application });
    assert_eq!(c.bed.refusal(Some(&stranger), query, variables.clone()).await, "NOT_FOUND");
    let input = json!({ "teamId": c.team, "userName": "max", "role": "VIEWER" });
    c.bed.done(&c.owner, "setTeamMember", "team { id }", input).await;
    c.bed.data(&stranger, query, variables).await;
    let document = super::bed::document("addComponent", "component { id }");
    let input = json!({ "input": { "applicationId": c.application, "name": "a", "image": "a" } });
    assert_eq!(c.bed.refusal(Some(&stranger), &document, input).await, "FORBIDDEN");
    let again = json!({ "teamId": c.team, "clusterId": c.cluster, "name": "Another", "slug": "shop" });
    assert_eq!(c.problems("createApplication", again).await, ["SLUG_IN_USE slug"]);
    let other = c.bed.cluster("guangzhou").await;
    let closed = json!({ "teamId": c.team, "clusterId": other, "name": "Shop" });
    assert_eq!(c.problems("createApplication", closed).await, ["TEAM_NOT_OPEN clusterId"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_applications_costs_the_same_whatever_its_length() {
    let c = Composed::new().await;
    c.add("web", json!({})).await;
    let query = "query($id: ID!) { team(id: $id) { applications(first: 50) { nodes {
        name status upgradableCount undeployed { path } components { nodes { name status pods { name } } }
        kubernetesResources { nodes { name status } } topology { nodes { component { name } } edges { from } }
        team { name } cluster { name }
    } } } }";
    let count = async || {
        let before = c.bed.app.database.queries();
        let seen = c.bed.data(&c.owner, query, json!({ "id": c.team })).await;
        let length = seen["team"]["applications"]["nodes"].as_array().unwrap().len();
        (length, c.bed.app.database.queries() - before)
    };
    count().await;
    let (one, of_one) = count().await;
    for name in ["b", "c", "d", "e"] {
        let input = json!({ "teamId": c.team, "clusterId": c.cluster, "name": name });
        let made = c.bed.done(&c.owner, "createApplication", "application { id }", input).await;
        let input = json!({ "applicationId": made["application"]["id"], "name": "web", "image": "nginx" });
        c.bed.done(&c.owner, "addComponent", "component { id }", input).await;
    }
    let (five, of_five) = count().await;
    assert_eq!((one, five), (1, 5));
    // A loader may be asked in two goes; one query for each of the four others would be four more.
    assert!(of_five < of_one + 4, "{of_one} queries for one application, {of_five} for five");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_gets_the_state_and_then_each_change() {
    let c = Composed::new().await;
    let actor = crate::service::authenticate::authenticate(&c.bed.app, &c.owner.token).await.unwrap().unwrap();
    let query = format!(
        "subscription {{ applicationChanged(applicationId: \"{}\") {{ kind application {{ name }} component {{ name }} }} }}",
        c.application
    );
    let data = Arc::new(connection_data(&c.bed.app, actor));
    let mut changes = c.bed.schema.execute_stream_with_session_data(Request::new(query), data).boxed();
    let mut next = async || {
        let answer = tokio::time::timeout(Duration::from_secs(20), changes.next()).await.unwrap().unwrap();
        serde_json::to_value(&answer).unwrap()["data"]["applicationChanged"].take()
    };
    let first = next().await;
    assert_eq!((&first["kind"], &first["application"]["name"]), (&json!("STATE"), &json!("Shop")));
    c.add("web", json!({})).await;
    loop {
        let change = next().await;
        if change["kind"] == "COMPONENT" {
            assert_eq!(change["component"]["name"], "web");
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_was_never_deployed_is_deleted_at_once() {
    let c = Composed::new().await;
    c.add("web", json!({})).await;
    let input = json!({ "applicationId": c.application });
    let deleted = c.bed.done(&c.owner, "deleteApplication", "application { name } operation { id }", input).await;
    assert!(deleted["operation"].is_null());
    let query = "query($id: ID!) { application(id: $id) { id } }";
    assert_eq!(c.bed.refusal(Some(&c.owner), query, json!({ "id": c.application })).await, "NOT_FOUND");
}
