//! Every mutation of the platform by every kind of person, and what the audit log says of it.

use super::bed::{Bed, PASSWORD, Person, document, text, unknown};
use serde_json::{Value as Json, json};
use std::{collections::BTreeSet, fmt::Write as _};

/// What is asked of the platform here. Mutations that change nothing where they are allowed: what is checked after the
/// role is wrong with each input.
fn inputs(bed: &Bed, team: &str, doomed: &str, cluster: &str, owner: &str) -> Vec<(&'static str, Json)> {
    let enterprise = &bed.enterprise;
    vec![
        ("createUser", json!({ "enterpriseId": enterprise, "name": "!" })),
        ("createEnterprise", json!({ "name": "" })),
        ("setMember", json!({ "enterpriseId": enterprise, "userName": "nobody", "role": "MEMBER" })),
        ("removeMember", json!({ "enterpriseId": enterprise, "userId": bed.admin.id })),
        ("registerCluster", json!({ "enterpriseId": enterprise, "name": "", "driver": "none" })),
        ("updateCluster", json!({ "clusterId": cluster, "displayName": "" })),
        ("removeCluster", json!({ "clusterId": cluster })),
        ("configureLibrary", json!({ "enterpriseId": enterprise, "url": "" })),
        ("checkLibrary", json!({ "enterpriseId": enterprise, "clusterIds": [unknown("Cluster")] })),
        ("createTeam", json!({ "enterpriseId": enterprise, "name": "", "slug": "", "clusterIds": [] })),
        ("openTeamOnCluster", json!({ "teamId": team, "clusterId": cluster })),
        ("setTeamMember", json!({ "teamId": team, "userName": "nobody", "role": "VIEWER" })),
        ("removeTeamMember", json!({ "teamId": team, "userId": owner })),
        ("deleteTeam", json!({ "teamId": doomed })),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mutation_asks_for_its_role() {
    let bed = Bed::new().await;
    let cluster = bed.cluster("hangzhou").await;
    let [owner, developer, viewer, member] = [
        bed.member("owner").await,
        bed.member("developer").await,
        bed.member("viewer").await,
        bed.member("member").await,
    ];
    let elsewhere = bed.done(&bed.admin, "createEnterprise", "enterprise { id }", json!({ "name": "other" })).await;
    let stranger = bed.member_of(&text(&elsewhere["enterprise"]["id"]), "stranger").await;
    let team = bed.team(&owner, "shop", &[&cluster]).await;
    let doomed = [bed.team(&owner, "doomed-by-owner", &[]).await, bed.team(&owner, "doomed-by-admin", &[]).await];
    for team in [&team, &doomed[0], &doomed[1]] {
        for (name, role) in [("developer", "DEVELOPER"), ("viewer", "VIEWER")] {
            let input = json!({ "teamId": team, "userName": name, "role": role });
            bed.done(&owner, "setTeamMember", "team { id }", input).await;
        }
    }
    let fresh = {
        let input = json!({ "enterpriseId": bed.enterprise, "name": "fresh" });
        let made = bed.done(&bed.admin, "createUser", "oneTimePassword", input).await;
        let token = text(&bed.sign_in("fresh", made["oneTimePassword"].as_str().unwrap()).await["token"]);
        Person { name: "fresh".into(), id: String::new(), token }
    };

    let people: [(&str, Option<&Person>, &str); 8] = [
        ("nobody", None, &doomed[0]),
        ("one-time password", Some(&fresh), &doomed[0]),
        ("stranger", Some(&stranger), &doomed[0]),
        ("member", Some(&member), &doomed[0]),
        ("viewer", Some(&viewer), &doomed[0]),
        ("developer", Some(&developer), &doomed[0]),
        ("owner", Some(&owner), &doomed[0]),
        ("administrator", Some(&bed.admin), &doomed[1]),
    ];
    let mut table = String::new();
    let mutations: Vec<&str> = inputs(&bed, &team, "", &cluster, &owner.id).iter().map(|(name, _)| *name).collect();
    for (place, mutation) in mutations.iter().enumerate() {
        let mut by_code: Vec<(String, Vec<&str>)> = Vec::new();
        for (who, person, doomed) in people {
            let (_, input) = inputs(&bed, &team, doomed, &cluster, &owner.id).swap_remove(place);
            let answer = bed.ask(person, &document(mutation, ""), json!({ "input": input })).await;
            let code = match answer.get("errors") {
                Some(errors) => text(&errors[0]["extensions"]["code"]),
                None => "allowed".into(),
            };
            match by_code.iter_mut().find(|(known, _)| *known == code) {
                Some((_, people)) => people.push(who),
                None => by_code.push((code, vec![who])),
            }
        }
        let told: Vec<String> = by_code.iter().map(|(code, people)| format!("{code}: {}", people.join(", "))).collect();
        writeln!(table, "{mutation}\n  {}", told.join("\n  ")).unwrap();
    }
    let platform = "UNAUTHENTICATED: nobody\n  FORBIDDEN: one-time password, member, viewer, developer, owner\n  \
                    NOT_FOUND: stranger\n  allowed: administrator";
    let team_rule = "UNAUTHENTICATED: nobody\n  FORBIDDEN: one-time password, viewer, developer\n  \
                     NOT_FOUND: stranger, member\n  allowed: owner, administrator";
    let mut expected = String::new();
    for mutation in &mutations {
        let rule = match *mutation {
            "createEnterprise" => {
                "UNAUTHENTICATED: nobody\n  FORBIDDEN: one-time password, stranger, member, viewer, developer, owner\n  \
                 allowed: administrator"
            }
            "createTeam" => {
                "UNAUTHENTICATED: nobody\n  FORBIDDEN: one-time password\n  NOT_FOUND: stranger\n  \
                 allowed: member, viewer, developer, owner, administrator"
            }
            "openTeamOnCluster" | "setTeamMember" | "removeTeamMember" | "deleteTeam" => team_rule,
            _ => platform,
        };
        writeln!(expected, "{mutation}\n  {rule}").unwrap();
    }
    assert_eq!(table, expected);

    // Every refusal and every failure is in the log of the enterprise that it was about; no password is.
    let query = "query($id: ID!, $after: Cursor) { enterprise(id: $id) { auditLog(first: 100, after: $after) {
                 totalCount pageInfo { hasNextPage endCursor } nodes { actor action object allowed result } } } }";
    let (mut after, mut entries) = (Json::Null, Vec::new());
    loop {
        let data = bed.data(&bed.admin, query, json!({ "id": bed.enterprise, "after": after })).await;
        let log = &data["enterprise"]["auditLog"];
        entries.extend(log["nodes"].as_array().unwrap().iter().cloned());
        after = log["pageInfo"]["endCursor"].clone();
        if log["pageInfo"]["hasNextPage"] == false {
            assert_eq!(log["totalCount"], entries.len());
            break;
        }
    }
    let told = |actor: &str, action: &str| {
        let of = |e: &&Json| e["actor"] == actor && e["action"] == action;
        entries.iter().find(of).map(|e| (e["allowed"].clone(), text(&e["result"])))
    };
    assert_eq!(told("stranger", "setMember"), Some((json!(false), "NOT_FOUND".into())));
    assert_eq!(told("viewer", "updateCluster"), Some((json!(false), "FORBIDDEN".into())));
    assert_eq!(told("admin", "configureLibrary"), Some((json!(true), "INVALID_URL".into())));
    assert_eq!(told("owner", "deleteTeam"), Some((json!(true), "OK".into())));
    assert!(told("admin", "changePassword").is_some());
    assert!(!json!(entries).to_string().contains(PASSWORD));
    let actions: BTreeSet<&str> = entries.iter().filter_map(|e| e["action"].as_str()).collect();
    for mutation in mutations.iter().filter(|mutation| **mutation != "createEnterprise") {
        assert!(actions.contains(mutation), "{mutation} leaves no trace");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_seen_does_not_exist() {
    let bed = Bed::new().await;
    let cluster = bed.cluster("hangzhou").await;
    let closed = bed.cluster("closed").await;
    bed.done(
        &bed.admin,
        "updateCluster",
        "cluster { acceptsTeams }",
        json!({ "clusterId": closed, "acceptsTeams": false }),
    )
    .await;
    let owner = bed.member("owner").await;
    let member = bed.member("member").await;
    let elsewhere = bed.done(&bed.admin, "createEnterprise", "enterprise { id }", json!({ "name": "other" })).await;
    let stranger = bed.member_of(&text(&elsewhere["enterprise"]["id"]), "stranger").await;
    let team = bed.team(&owner, "shop", &[&cluster]).await;
    let drivers = bed.data(&bed.admin, "{ drivers { nodes { id name } } }", json!({})).await;
    let driver = text(&drivers["drivers"]["nodes"][0]["id"]);
    let log = "query($id: ID!) { enterprise(id: $id) { auditLog(first: 1) { nodes { id } } } }";
    let log = bed.data(&bed.admin, log, json!({ "id": bed.enterprise })).await;
    let entry = text(&log["enterprise"]["auditLog"]["nodes"][0]["id"]);

    for (id, kind, seen_by) in [
        (&bed.enterprise, "Enterprise", vec!["admin", "owner", "member"]),
        (&team, "Team", vec!["admin", "owner"]),
        (&cluster, "Cluster", vec!["admin", "owner", "member"]),
        (&closed, "Cluster", vec!["admin"]),
        (&owner.id, "User", vec!["admin", "owner", "member"]),
        (&driver, "Driver", vec!["admin"]),
        (&entry, "AuditEntry", vec!["admin"]),
    ] {
        for person in [&bed.admin, &owner, &member, &stranger] {
            let query = "query($id: ID!) { node(id: $id) { __typename id } }";
            let answer = bed.ask(Some(person), query, json!({ "id": id })).await;
            if seen_by.contains(&person.name.as_str()) {
                assert_eq!(answer["data"]["node"], json!({ "__typename": kind, "id": id }), "{kind} {}", person.name);
            } else {
                assert!(answer["data"].is_null() || answer["data"]["node"].is_null(), "{kind} {}", person.name);
                assert_eq!(answer["errors"][0]["extensions"]["code"], "NOT_FOUND", "{kind} {}", person.name);
            }
        }
    }
    for id in ["", "x", &unknown("Cluster"), &unknown("Nothing")] {
        let query = "query($id: ID!) { node(id: $id) { id } }";
        assert_eq!(bed.refusal(Some(&bed.admin), query, json!({ "id": id })).await, "NOT_FOUND");
    }

    let query = "query($id: ID!) { enterprise(id: $id) { clusters { nodes { name status config statusMessage
                 kubernetesVersion driver { name } } totalCount } teams { nodes { slug } totalCount }
                 members { totalCount } library { url } auditLog { totalCount } } }";
    let seen = bed.data(&member, query, json!({ "id": bed.enterprise })).await["enterprise"].take();
    let shown = json!({ "name": "hangzhou", "status": "OFFLINE", "config": null, "statusMessage": null,
                        "kubernetesVersion": null, "driver": null });
    assert_eq!(seen["clusters"], json!({ "nodes": [shown], "totalCount": 1 }));
    assert_eq!(seen["teams"], json!({ "nodes": [], "totalCount": 0 }));
    assert!(seen["members"].is_null() && seen["library"].is_null() && seen["auditLog"].is_null());
    let seen = bed.data(&bed.admin, query, json!({ "id": bed.enterprise })).await["enterprise"].take();
    assert_eq!(seen["clusters"]["totalCount"], 2);
    assert!(seen["clusters"]["nodes"][0]["statusMessage"].is_string());
    assert_eq!(seen["clusters"]["nodes"][0]["driver"]["name"], "kubernetes");
    assert_eq!(seen["teams"], json!({ "nodes": [{ "slug": "shop" }], "totalCount": 1 }));
    assert_eq!(seen["members"]["totalCount"], 3);
}
