//! Composing applications, and looking at them where their cluster does not answer.

use super::{
    bed::{Bed, Person, text, unknown},
    seed::id_of,
};
use crate::{
    graphql::id::encode_text,
    id::{ApplicationId, TemplateId},
};
use futures::StreamExt as _;
use ropeway_domain::operation::{OperationKind, OperationState, PublicationState};
use serde_json::{Value as Json, json};
use std::time::Duration;

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

const WHOLE: &str = "query($id: ID!) { team(id: $id) { applications(first: 20) { totalCount nodes {
    name status upgradableCount undeployed { path } components(first: 1) { nodes { name status pods { name } } }
    kubernetesResources(first: 1) { nodes { name status } } topology { nodes { component { name } } edges { from } }
    team { name } cluster { name }
    installations(first: 2) { totalCount nodes { state template { name } version { number } components { name }
      upgradableVersions(first: 2) { totalCount nodes { number } }
      upgradeRecords(first: 1) { totalCount nodes { state installation { id } fromVersion { number } } } } }
    upgradeRecords(first: 2) { totalCount nodes { state canRetry operation { steps { name }
      events(first: 2) { totalCount nodes { message } } } } }
    publications(first: 1) { totalCount nodes { number createdBy template { name } } }
} } } }";

// On one thread, so that what is gathered does not depend on how busy the machine is.
#[tokio::test]
async fn a_page_of_applications_costs_the_same_whatever_its_length() {
    let c = Composed::new().await;
    let input = json!({ "enterpriseId": c.bed.enterprise, "teamId": c.team, "name": "shop", "scope": "TEAM" });
    let made = c.bed.done(&c.owner, "createTemplate", "template { id }", input).await;
    let template: TemplateId = id_of(&text(&made["template"]["id"]));
    let mut versions = Vec::new();
    for number in ["1.0", "2.0", "3.0", "3.1"] {
        versions.push(c.bed.seed_version(template, number).await);
    }
    let fill = async |application: &str| {
        let at: ApplicationId = id_of(application);
        let operation = c.bed.seed_operation(OperationKind::Upgrade, OperationState::Failed, Some(at), 3).await;
        for place in 0..3 {
            let installation = c.bed.seed_installation(at, template, versions[0]).await;
            c.bed.seed_component(at, &format!("web-{place}"), Some((installation, versions[0])), &[]).await;
            for sequence in 1..=2 {
                c.bed.seed_record(installation, sequence, (versions[0], versions[1]), operation).await;
            }
        }
        c.bed.seed_resource(at, "settings").await;
        for state in [PublicationState::Published, PublicationState::Abandoned] {
            c.bed.seed_publication(at, template, id_of(&c.owner.id), state).await;
        }
    };
    fill(&c.application).await;
    let look = async || {
        let mut seen = c.bed.data(&c.owner, WHOLE, json!({ "id": c.team })).await;
        let all = seen["team"]["applications"]["nodes"].as_array_mut().unwrap().drain(..).collect::<Vec<_>>();
        for one in &all {
            assert_eq!((&one["installations"]["totalCount"], &one["upgradableCount"]), (&json!(3), &json!(3)));
            let offered = &one["installations"]["nodes"][1]["upgradableVersions"];
            assert_eq!(*offered, json!({ "totalCount": 3, "nodes": [{ "number": "3.1" }, { "number": "3.0" }] }));
            let records = &one["installations"]["nodes"][0]["upgradeRecords"];
            assert_eq!((&records["totalCount"], records["nodes"].as_array().unwrap().len()), (&json!(2), 1));
            let records = &one["upgradeRecords"];
            assert_eq!((&records["totalCount"], records["nodes"].as_array().unwrap().len()), (&json!(6), 2));
            let events = &records["nodes"][0]["operation"]["events"];
            let first = json!([{ "message": "event 1" }, { "message": "event 2" }]);
            assert_eq!(*events, json!({ "totalCount": 3, "nodes": first }));
            assert_eq!(one["publications"]["totalCount"], 2);
        }
        all.len()
    };
    let more = async |names: std::ops::Range<u8>| {
        for name in names {
            let input = json!({ "teamId": c.team, "clusterId": c.cluster, "name": format!("shop {name}") });
            let made = c.bed.done(&c.owner, "createApplication", "application { id }", input).await;
            fill(&text(&made["application"]["id"])).await;
        }
    };
    more(1..2).await;
    assert_eq!(look().await, 2);
    let of_two = c.bed.cost(&look).await;
    more(2..20).await;
    assert_eq!(look().await, 20);
    let of_twenty = c.bed.cost(&look).await;
    assert_eq!(of_two, of_twenty, "queries for 2 and for 20 applications");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_gets_the_state_and_then_each_change() {
    let c = Composed::new().await;
    let query = format!(
        "subscription {{ applicationChanged(applicationId: \"{}\") {{ kind application {{ name }} component {{ name }} }} }}",
        c.application
    );
    let mut changes = c.bed.follow(&c.owner, query).await;
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
async fn one_person_follows_a_limited_number_of_things() {
    let c = Composed::new().await;
    let id = &c.application;
    let query = format!("subscription {{ applicationChanged(applicationId: \"{id}\") {{ kind }} }}");
    let clusters =
        format!("subscription {{ clusterStatusChanged(enterpriseId: \"{}\") {{ status }} }}", c.bed.enterprise);
    let follow = async |person: &Person, query: &str| {
        let mut changes = c.bed.follow(person, query).await;
        let answer = tokio::time::timeout(Duration::from_secs(20), changes.next()).await.unwrap().unwrap();
        (changes, serde_json::to_value(&answer).unwrap())
    };
    let begin = async |person: &Person| follow(person, &query).await;
    let mut following = Vec::new();
    let refused = loop {
        let (changes, answer) = begin(&c.owner).await;
        if answer["data"].is_null() {
            break answer;
        }
        following.push(changes);
        assert!(following.len() <= 100, "there is no limit");
    };
    assert_eq!(refused["errors"][0]["extensions"]["code"], "RATE_LIMITED", "{refused}");
    let (_, refused) = follow(&c.owner, &clusters).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "RATE_LIMITED", "{refused}");
    assert_eq!(begin(&c.bed.admin).await.1["data"]["applicationChanged"]["kind"], "STATE", "others are not kept out");
    following.pop();
    assert_eq!(begin(&c.owner).await.1["data"]["applicationChanged"]["kind"], "STATE");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_is_tried_again_with_nothing_left_is_done() {
    let c = Composed::new().await;
    let at: ApplicationId = id_of(&c.application);
    let failed = c.bed.seed_operation(OperationKind::Uninstall, OperationState::Failed, Some(at), 1).await;
    let input = json!({ "operationId": encode_text(failed) });
    let retried = c.bed.done(&c.owner, "retryOperation", "operation { id }", input).await;
    assert!(retried["operation"].is_null());
    let query = "query($id: ID!) { application(id: $id) { id } }";
    assert_eq!(c.bed.refusal(Some(&c.owner), query, json!({ "id": c.application })).await, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn following_an_operation_ends_when_it_may_not_be_seen_any_more() {
    let c = Composed::new().await;
    let viewer = c.bed.member("max").await;
    let input = json!({ "teamId": c.team, "userName": "max", "role": "VIEWER" });
    c.bed.done(&c.owner, "setTeamMember", "team { id }", input).await;
    let at: ApplicationId = id_of(&c.application);
    let operation = c.bed.seed_operation(OperationKind::Deploy, OperationState::Running, Some(at), 2).await;
    let id = encode_text(operation);
    let query = format!("subscription {{ operationEvents(operationId: \"{id}\") {{ sequence }} }}");
    let mut events = c.bed.follow(&viewer, query).await;
    let mut next = async || tokio::time::timeout(Duration::from_secs(20), events.next()).await.expect("it goes on");
    for sequence in [1, 2] {
        let answer = serde_json::to_value(next().await.unwrap()).unwrap();
        assert_eq!(answer["data"]["operationEvents"]["sequence"], sequence, "{answer}");
    }
    let input = json!({ "teamId": c.team, "userId": viewer.id });
    c.bed.done(&c.owner, "removeTeamMember", "team { id }", input).await;
    assert!(next().await.is_none(), "it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_silent_cluster_are_unavailable_and_hide_no_others() {
    let c = Composed::new().await;
    c.add("web", json!({})).await;
    let query = "query($id: ID!) { application(id: $id) { name components { nodes { name events { totalCount } } } } }";
    let answer = c.bed.ask(Some(&c.owner), query, json!({ "id": c.application })).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{answer}");
    let cluster = ropeway_playground::Playground::start(ropeway_playground::Options::new("one", "token-of-a-test"));
    let cluster = cluster.await.unwrap();
    let input = json!({
        "enterpriseId": c.bed.enterprise, "name": "one", "driver": "kubernetes", "kubeconfig": cluster.kubeconfig(),
    });
    let made = c.bed.done(&c.bed.admin, "registerCluster", "cluster { id }", input).await;
    let other = text(&made["cluster"]["id"]);
    let input = json!({ "teamId": c.team, "clusterId": other });
    c.bed.done(&c.owner, "openTeamOnCluster", "team { id }", input).await;
    let input = json!({ "teamId": c.team, "clusterId": other, "name": "Second" });
    let made = c.bed.done(&c.owner, "createApplication", "application { id }", input).await;
    let input = json!({ "applicationId": made["application"]["id"], "name": "api", "image": "nginx" });
    let api = c.bed.done(&c.owner, "addComponent", "component { id }", input).await;
    let query =
        "query($one: ID!, $two: ID!) { one: application(id: $one) { components { nodes { events { totalCount } } } }
                 two: component(id: $two) { events { totalCount } } }";
    let variables = json!({ "one": c.application, "two": api["component"]["id"] });
    let answer = c.bed.ask(Some(&c.owner), query, variables).await;
    assert_eq!(answer["data"]["two"], json!({ "events": { "totalCount": 0 } }), "{answer}");
    assert_eq!(answer["errors"].as_array().map(Vec::len), Some(1), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_executes_a_plan_is_in_the_log_however_it_ends() {
    let c = Composed::new().await;
    let input = json!({ "enterpriseId": c.bed.enterprise, "teamId": c.team, "name": "shop", "scope": "TEAM" });
    let made = c.bed.done(&c.owner, "createTemplate", "template { id }", input).await;
    let template: TemplateId = id_of(&text(&made["template"]["id"]));
    let (old, new) = (c.bed.seed_version(template, "1.0").await, c.bed.seed_version(template, "2.0").await);
    let at: ApplicationId = id_of(&c.application);
    let installation = c.bed.seed_installation(at, template, old).await;
    let operation = c.bed.seed_operation(OperationKind::Upgrade, OperationState::Failed, Some(at), 1).await;
    let record = c.bed.seed_record(installation, 1, (old, new), operation).await;
    let busy = c.bed.seed_operation(OperationKind::Deploy, OperationState::Running, Some(at), 1).await;
    c.bed.seed_lock(at, busy).await;
    let digest = format!("sha256:{}", "7".repeat(64));
    let id = |id: String| json!(id);
    let (of, at_record) = (id(encode_text(installation)), id(encode_text(record)));
    let version = id(encode_text(new));
    for (mutation, input, object) in [
        ("upgradeInstallation", json!({ "installationId": of, "versionId": version, "planDigest": digest }), &of),
        ("uninstall", json!({ "installationId": of }), &of),
        ("rollBackUpgrade", json!({ "recordId": at_record, "planDigest": digest }), &at_record),
        ("retryUpgrade", json!({ "recordId": at_record }), &at_record),
    ] {
        let named = input.get("planDigest").cloned().unwrap_or_default();
        // The application is busy, and the cluster does not answer.
        let document = super::bed::document(mutation, "");
        let answer = c.bed.ask(Some(&c.owner), &document, json!({ "input": input })).await;
        let refused = answer.pointer("/errors/0/extensions/code");
        let refused = refused.or_else(|| answer["data"][mutation].pointer("/errors/0/code")).expect("a reason");
        let log = "query($id: ID!) { enterprise(id: $id) { auditLog(first: 1) { nodes {
                   action object planDigest allowed result } } } }";
        let log = c.bed.data(&c.bed.admin, log, json!({ "id": c.bed.enterprise })).await;
        let expected = json!({
            "action": mutation, "object": object, "planDigest": named, "allowed": true, "result": refused,
        });
        assert_eq!(log["enterprise"]["auditLog"]["nodes"], json!([expected]));
    }
}
