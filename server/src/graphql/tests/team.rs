//! Teams and where they are opened.

use super::bed::{Bed, text, unknown};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_team_belongs_to_whoever_makes_it_and_is_opened_at_once() {
    let bed = Bed::new().await;
    let cluster = bed.cluster("hangzhou").await;
    let jana = bed.member("jana").await;
    let team = bed.team(&jana, "shop", &[&cluster, &cluster]).await;
    let query = "query($id: ID!) { team(id: $id) { name slug openings { namespace cluster { name status config } }
                 members { nodes { role user { name } } totalCount } } }";
    let seen = bed.data(&jana, query, json!({ "id": team })).await["team"].take();
    let cluster = json!({ "name": "hangzhou", "status": "OFFLINE", "config": null });
    assert_eq!(seen["openings"], json!([{ "namespace": "shop", "cluster": cluster }]));
    assert_eq!(seen["members"]["nodes"], json!([{ "role": "OWNER", "user": { "name": "jana" } }]));
    assert_eq!(seen["members"]["totalCount"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_is_told_at_once() {
    let bed = Bed::new().await;
    let cluster = bed.cluster("hangzhou").await;
    let closed = bed.cluster("closed").await;
    bed.done(&bed.admin, "updateCluster", "cluster { id }", json!({ "clusterId": closed, "acceptsTeams": false }))
        .await;
    let jana = bed.member("jana").await;
    bed.team(&jana, "shop", &[&cluster]).await;
    let input = |name: &str, slug: &str, clusters: &[&str]| json!({ "enterpriseId": bed.enterprise, "name": name, "slug": slug, "clusterIds": clusters });
    let problems = bed.problems(&jana, "createTeam", input(" ", "Shop!", &[])).await;
    assert_eq!(problems, ["INVALID_NAME name", "INVALID_NAME slug"]);
    assert_eq!(bed.problems(&jana, "createTeam", input("a", "kube-system", &[])).await, ["RESERVED_NAME slug"]);
    let nowhere = unknown("Cluster");
    let mut problems = bed.problems(&jana, "createTeam", input("a", "shop", &[&cluster, &closed, &nowhere])).await;
    problems.sort_unstable();
    let expected =
        ["NAMESPACE_IN_USE slug", "SLUG_IN_USE slug", "UNKNOWN_CLUSTER clusterIds.1", "UNKNOWN_CLUSTER clusterIds.2"];
    assert_eq!(problems, expected);
    let problems = bed.problems(&bed.admin, "createTeam", input("a", "other", &[&closed])).await;
    assert_eq!(problems, ["CLUSTER_CLOSED clusterIds.0"]);
    let wrong_kind = input("a", "other", &[&bed.enterprise]);
    assert_eq!(bed.problems(&jana, "createTeam", wrong_kind).await, ["INVALID_ID clusterIds"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_administrator_names_another_namespace() {
    let bed = Bed::new().await;
    let cluster = bed.cluster("hangzhou").await;
    let second = bed.cluster("guangzhou").await;
    let jana = bed.member("jana").await;
    let team = bed.team(&jana, "shop", &[&cluster]).await;
    let other = bed.team(&jana, "other", &[]).await;
    let open = |team: &str, cluster: &str, namespace: Option<&str>| json!({ "teamId": team, "clusterId": cluster, "namespace": namespace });
    let refused = bed
        .refusal(
            Some(&jana),
            &super::bed::document("openTeamOnCluster", ""),
            json!({ "input": open(&team, &second, Some("legacy")) }),
        )
        .await;
    assert_eq!(refused, "FORBIDDEN");
    assert_eq!(bed.problems(&jana, "openTeamOnCluster", open(&team, &cluster, None)).await, ["ALREADY_OPEN clusterId"]);
    for (namespace, problem) in [
        ("Legacy", "INVALID_NAME namespace"),
        ("kube-public", "RESERVED_NAME namespace"),
        ("shop", "NAMESPACE_IN_USE namespace"),
    ] {
        let input = open(&other, &cluster, Some(namespace));
        assert_eq!(bed.problems(&bed.admin, "openTeamOnCluster", input).await, [problem]);
    }
    let fields = "team { openings { namespace cluster { id } } }";
    let opened = bed.done(&bed.admin, "openTeamOnCluster", fields, open(&team, &second, Some("legacy"))).await;
    assert_eq!(opened["team"]["openings"][1], json!({ "namespace": "legacy", "cluster": { "id": second } }));
    bed.done(&jana, "openTeamOnCluster", fields, open(&other, &second, None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_is_never_without_an_owner() {
    let bed = Bed::new().await;
    let jana = bed.member("jana").await;
    let otto = bed.member("otto").await;
    let team = bed.team(&jana, "shop", &[]).await;
    let set = |name: &str, role: &str| json!({ "teamId": team, "userName": name, "role": role });
    let remove = |id: &str| json!({ "teamId": team, "userId": id });
    assert_eq!(bed.problems(&jana, "setTeamMember", set("jana", "VIEWER")).await, ["LAST_OWNER userName"]);
    assert_eq!(bed.problems(&jana, "removeTeamMember", remove(&jana.id)).await, ["LAST_OWNER userId"]);
    assert_eq!(bed.problems(&jana, "removeTeamMember", remove(&otto.id)).await, ["UNKNOWN_USER userId"]);
    let elsewhere = bed.done(&bed.admin, "createEnterprise", "enterprise { id }", json!({ "name": "other" })).await;
    bed.member_of(&text(&elsewhere["enterprise"]["id"]), "stranger").await;
    let mut texts = Vec::new();
    for name in ["stranger", "nobody"] {
        assert_eq!(bed.problems(&jana, "setTeamMember", set(name, "VIEWER")).await, ["UNKNOWN_USER userName"]);
        texts.push(bed.mutate(&jana, "setTeamMember", "", set(name, "VIEWER")).await["errors"][0]["message"].take());
    }
    assert_eq!(texts[0], texts[1], "nobody learns who exists elsewhere");
    let done = bed.done(&jana, "setTeamMember", "member { role user { name } }", set("otto", "OWNER")).await;
    assert_eq!(done["member"], json!({ "role": "OWNER", "user": { "name": "otto" } }));
    bed.done(&jana, "removeTeamMember", "team { id } user { name }", remove(&jana.id)).await;
    let query = "query($id: ID!) { team(id: $id) { id } }";
    assert_eq!(bed.refusal(Some(&jana), query, json!({ "id": team })).await, "NOT_FOUND");
    assert_eq!(bed.problems(&otto, "removeTeamMember", remove(&otto.id)).await, ["LAST_OWNER userId"]);
    // Nobody raises their own role, an administrator neither.
    let own = json!({ "input": set("admin", "OWNER") });
    let refused = bed.refusal(Some(&bed.admin), &super::bed::document("setTeamMember", ""), own).await;
    assert_eq!(refused, "FORBIDDEN");
    bed.done(&otto, "deleteTeam", "team { slug }", json!({ "teamId": team })).await;
}

// On one thread, so that what is gathered does not depend on how busy the machine is.
#[tokio::test]
async fn a_page_of_teams_costs_the_same_however_long_it_is() {
    let bed = Bed::new().await;
    let cluster = bed.cluster("hangzhou").await;
    let jana = bed.member("jana").await;
    let query = "query($id: ID!, $cluster: ID!, $other: ID!) { enterprise(id: $id) { teams(first: 50) { nodes { slug
                 members(first: 1) { totalCount nodes { role } } openings { namespace }
                 applications(first: 2) { totalCount nodes { name } pageInfo { hasNextPage } }
                 here: applications(first: 1, clusterId: $cluster) { totalCount nodes { name } }
                 elsewhere: applications(first: 1, clusterId: $other) { totalCount } } } } }";
    let elsewhere = unknown("Cluster");
    let mut costs = Vec::new();
    for more in [2, 10] {
        for number in 0..more {
            let slug = format!("shop-{more}-{number}");
            let team = bed.team(&jana, &slug, &[&cluster]).await;
            for name in ["Charlie", "Alpha", "Bravo"] {
                let input = json!({ "teamId": team, "clusterId": cluster, "name": name });
                bed.done(&jana, "createApplication", "application { id }", input).await;
            }
        }
        let variables = json!({ "id": bed.enterprise, "cluster": cluster, "other": elsewhere });
        let look = async || bed.data(&jana, query, variables.clone()).await;
        costs.push(bed.cost(&look).await);
        let found = look().await;
        for team in found["enterprise"]["teams"]["nodes"].as_array().unwrap() {
            let page = json!({ "hasNextPage": true });
            let first =
                json!({ "totalCount": 3, "nodes": [{ "name": "Alpha" }, { "name": "Bravo" }], "pageInfo": page });
            assert_eq!(team["applications"], first);
            assert_eq!(team["here"], json!({ "totalCount": 3, "nodes": [{ "name": "Alpha" }] }));
            assert_eq!(team["elsewhere"], json!({ "totalCount": 0 }));
        }
    }
    assert_eq!(costs[0], costs[1], "queries for 2 and for 12 teams");
}
