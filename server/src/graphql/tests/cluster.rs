//! Registering, changing and removing clusters.

use super::bed::{Bed, kubeconfig, text};
use futures::StreamExt as _;
use serde_json::{Value as Json, json};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_kubeconfig_is_refused_with_the_reason_and_without_its_content() {
    let bed = Bed::new().await;
    for (config, reason) in [
        (kubeconfig("exec: {apiVersion: client.authentication.k8s.io/v1, command: canary-7d}"), "exec"),
        (kubeconfig("tokenFile: /canary-7d"), "tokenFile"),
        ("canary-7d: [".into(), "not a kubeconfig"),
        (kubeconfig("token: canary-7d").replace("current-context: a", "current-context: b"), "no context"),
    ] {
        let input =
            json!({ "enterpriseId": bed.enterprise, "name": "a", "driver": "kubernetes", "kubeconfig": config });
        let payload = bed.mutate(&bed.admin, "registerCluster", "cluster { id }", input).await;
        assert!(payload["cluster"].is_null());
        let error = &payload["errors"][0];
        assert_eq!((&error["code"], &error["path"]), (&json!("INVALID_KUBECONFIG"), &json!(["kubeconfig"])));
        let message = text(&error["message"]);
        assert!(message.contains(reason) && !message.contains("canary"), "{message}");
    }
    let query = "query($id: ID!) { enterprise(id: $id) { clusters { totalCount } } }";
    let seen = bed.data(&bed.admin, query, json!({ "id": bed.enterprise })).await;
    assert_eq!(seen["enterprise"]["clusters"]["totalCount"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_with_a_cluster_is_told_at_once() {
    let bed = Bed::new().await;
    bed.cluster("hangzhou").await;
    let input = json!({ "enterpriseId": bed.enterprise, "name": "Hang Zhou", "displayName": "", "driver": "none" });
    let problems = bed.problems(&bed.admin, "registerCluster", input).await;
    let expected =
        ["INVALID_NAME name", "INVALID_NAME displayName", "UNKNOWN_DRIVER driver", "INVALID_KUBECONFIG kubeconfig"];
    assert_eq!(problems, expected);
    let input = json!({
        "enterpriseId": bed.enterprise, "name": "hangzhou", "driver": "kubernetes", "kubeconfig": kubeconfig("token: t"),
        "config": { "noSuchSetting": true },
    });
    let problems = bed.problems(&bed.admin, "registerCluster", input).await;
    assert_eq!(problems[0], "NAME_IN_USE name");
    assert!(problems[1].starts_with("INVALID_CONFIG config"), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_does_not_answer_is_registered_as_offline() {
    let bed = Bed::new().await;
    let input = json!({
        "enterpriseId": bed.enterprise, "name": "hangzhou", "displayName": "杭州", "driver": "kubernetes",
        "kubeconfig": kubeconfig("token: canary-7d"),
    });
    let fields = "cluster { id name displayName status statusMessage config kubernetesVersion acceptsTeams }
                  operation { id kind }";
    let made = bed.done(&bed.admin, "registerCluster", fields, input).await;
    assert_eq!(made["cluster"]["status"], "OFFLINE");
    assert_eq!(made["cluster"]["displayName"], "杭州");
    assert!(text(&made["cluster"]["statusMessage"]).contains("hangzhou"));
    // It is asked to pull from the library once it answers.
    assert!(made["operation"].is_null());

    let id = text(&made["cluster"]["id"]);
    let input = json!({ "clusterId": id, "maintenance": true, "displayName": "Hangzhou" });
    let changed = bed.done(&bed.admin, "updateCluster", "cluster { status displayName }", input).await;
    assert_eq!(changed["cluster"], json!({ "status": "MAINTENANCE", "displayName": "Hangzhou" }));
    let input = json!({ "clusterId": id, "kubeconfig": kubeconfig("token: x"), "context": "none" });
    assert_eq!(bed.problems(&bed.admin, "updateCluster", input).await, ["INVALID_KUBECONFIG kubeconfig"]);
    let input = json!({ "clusterId": id, "kubeconfig": kubeconfig("token: x"), "maintenance": false });
    let changed = bed.done(&bed.admin, "updateCluster", "cluster { status }", input).await;
    assert_eq!(changed["cluster"]["status"], "OFFLINE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_in_use_is_not_removed_and_says_by_whom() {
    let bed = Bed::new().await;
    let cluster = bed.cluster("hangzhou").await;
    let team = bed.team(&bed.admin, "shop", &[&cluster]).await;
    let input = json!({ "clusterId": cluster });
    let payload = bed.mutate(&bed.admin, "removeCluster", "cluster { id }", input.clone()).await;
    let errors = payload["errors"].as_array().unwrap();
    assert!(errors.iter().all(|error| error["code"] == "CLUSTER_IN_USE"));
    assert!(text(&errors[0]["message"]).contains("shop"));
    bed.done(&bed.admin, "deleteTeam", "team { id }", json!({ "teamId": team })).await;
    bed.done(&bed.admin, "removeCluster", "cluster { id }", input).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_gets_the_status_now_and_every_change() {
    let bed = Bed::new().await;
    let jana = bed.member("jana").await;
    let cluster = bed.cluster("hangzhou").await;
    let id = &bed.enterprise;
    let query = format!(
        "subscription {{ clusterStatusChanged(enterpriseId: \"{id}\") {{ name status statusMessage displayName }} }}"
    );
    let mut as_admin = bed.follow(&bed.admin, query.as_str()).await;
    let mut as_member = bed.follow(&jana, query).await;
    let first = next(&mut as_admin).await;
    assert_eq!((&first["name"], &first["status"]), (&json!("hangzhou"), &json!("OFFLINE")));
    assert!(first["statusMessage"].is_string());
    assert!(next(&mut as_member).await["statusMessage"].is_null());
    let input = json!({ "clusterId": cluster, "maintenance": true });
    bed.done(&bed.admin, "updateCluster", "cluster { id }", input).await;
    assert_eq!(next(&mut as_admin).await["status"], "MAINTENANCE");
    assert_eq!(next(&mut as_member).await["status"], "MAINTENANCE");
    // A subscription ends with the membership.
    let input = json!({ "enterpriseId": bed.enterprise, "userId": jana.id });
    bed.done(&bed.admin, "removeMember", "user { id }", input).await;
    let input = json!({ "clusterId": cluster, "displayName": "Hangzhou" });
    bed.done(&bed.admin, "updateCluster", "cluster { id }", input).await;
    assert_eq!(next(&mut as_admin).await["displayName"], "Hangzhou");
    let end = tokio::time::timeout(Duration::from_secs(30), as_member.next()).await.unwrap();
    assert!(end.is_none(), "{end:?}");
}

async fn next(events: &mut futures::stream::BoxStream<'_, async_graphql::Response>) -> Json {
    let event = tokio::time::timeout(Duration::from_secs(30), events.next()).await.unwrap().unwrap();
    let event = serde_json::to_value(&event).unwrap();
    assert!(event.get("errors").is_none(), "{event}");
    event["data"]["clusterStatusChanged"].clone()
}
