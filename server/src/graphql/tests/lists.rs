//! Every list is walked page by page, also where two entries are of the same instant.

use super::{
    bed::{Bed, Person, text},
    seed::id_of,
};
use crate::{
    graphql::id::encode_text,
    id::{ApplicationId, TemplateId},
};
use ropeway_domain::operation::{OperationKind, OperationState, PublicationState};
use serde_json::{Value as Json, json};

/// Lists of an enterprise, which administrators see.
const OF_ENTERPRISE: [&str; 5] = ["clusters", "teams", "templates", "members", "auditLog"];
const OF_TEAM: [&str; 2] = ["applications", "members"];
const OF_APPLICATION: [&str; 5] =
    ["components", "kubernetesResources", "publications", "installations", "upgradeRecords"];
const OF_TEMPLATE: [&str; 1] = ["versions"];
const OF_INSTALLATION: [&str; 2] = ["upgradeRecords", "upgradableVersions"];

/// How many entries a list of these tests has at least.
const ENTRIES: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn every_list_is_the_same_in_pages_as_in_one() {
    let bed = Bed::new().await;
    let cluster = bed.cluster("first").await;
    for name in ["second", "third"] {
        bed.cluster(name).await;
        bed.member(name).await;
    }
    let owner = bed.member("owner").await;
    let team = bed.team(&owner, "shops", &[&cluster]).await;
    bed.team(&owner, "others", &[]).await;
    bed.team(&owner, "more", &[]).await;
    for name in ["second", "third"] {
        let input = json!({ "teamId": team, "userName": name, "role": "VIEWER" });
        bed.done(&owner, "setTeamMember", "team { id }", input).await;
    }
    let (mut applications, mut templates) = (Vec::new(), Vec::new());
    for number in 0..ENTRIES {
        let input = json!({ "teamId": team, "clusterId": cluster, "name": format!("Shop {number}") });
        let made = bed.done(&owner, "createApplication", "application { id }", input).await;
        applications.push(text(&made["application"]["id"]));
        let name = format!("shop-{number}");
        let input = json!({ "enterpriseId": bed.enterprise, "teamId": team, "name": name, "scope": "TEAM" });
        let made = bed.done(&owner, "createTemplate", "template { id }", input).await;
        templates.push(text(&made["template"]["id"]));
    }
    let (application, template): (ApplicationId, TemplateId) = (id_of(&applications[0]), id_of(&templates[0]));
    for name in ["web", "api", "cache"] {
        let input = json!({ "applicationId": applications[0], "name": name, "kind": "DEPLOYMENT", "image": "a/b:1" });
        bed.done(&owner, "addComponent", "component { id }", input).await;
        let manifest = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": {} });
        let input = json!({ "applicationId": applications[0], "manifest": manifest });
        bed.done(&owner, "setKubernetesResource", "kubernetesResource { id }", input).await;
    }
    let mut versions = Vec::new();
    for number in ["1.0", "1.1", "1.10", "2.0"] {
        versions.push(bed.seed_version(template, number).await);
    }
    let operation = bed.seed_operation(OperationKind::Upgrade, OperationState::Failed, Some(application), 0).await;
    let mut installations = Vec::new();
    for sequence in 1..=3 {
        bed.seed_publication(application, template, id_of(&owner.id), PublicationState::Published).await;
        let installation = bed.seed_installation(application, template, versions[0]).await;
        installations.push(installation);
        bed.seed_record(installations[0], sequence, (versions[0], versions[1]), operation).await;
    }

    let installation = encode_text(installations[0]);
    for (person, kind, id, lists) in [
        (&bed.admin, "Enterprise", &bed.enterprise, &OF_ENTERPRISE[..]),
        (&owner, "Team", &team, &OF_TEAM),
        (&owner, "Application", &applications[0], &OF_APPLICATION),
        (&owner, "AppTemplate", &templates[0], &OF_TEMPLATE),
        (&owner, "Installation", &installation, &OF_INSTALLATION),
    ] {
        for list in lists {
            let whole = page(&bed, person, (kind, id), list, 100, &Json::Null).await;
            let expected = cursors(&whole);
            assert!(expected.len() >= ENTRIES, "{kind}.{list} has {} entries", expected.len());
            assert_eq!(whole["pageInfo"]["hasNextPage"], false, "{kind}.{list}");
            let (mut found, mut after) = (Vec::new(), Json::Null);
            while found.len() <= expected.len() {
                let one = page(&bed, person, (kind, id), list, 1, &after).await;
                found.extend(cursors(&one));
                after = one["pageInfo"]["endCursor"].clone();
                if one["pageInfo"]["hasNextPage"] == false {
                    break;
                }
            }
            assert_eq!(found, expected, "{kind}.{list}");
        }
    }
}

/// Whoever is at an earlier revision of a number can be upgraded to its current one, and to nothing that is older.
#[tokio::test(flavor = "multi_thread")]
async fn a_later_revision_of_the_same_number_is_an_upgrade() {
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
    bed.seed_version(template, "2.8").await;
    let first = bed.seed_revision(template, "2.9", 1, false).await;
    let second = bed.seed_revision(template, "2.9", 2, true).await;
    let query = "query($id: ID!) { installation(id: $id) { upgradableVersions { nodes { id number revision } } }
        }";
    for (at, expected) in
        [(first, vec![json!({ "id": encode_text(second), "number": "2.9", "revision": 2 })]), (second, vec![])]
    {
        let id = encode_text(bed.seed_installation(application, template, at).await);
        let found = bed.data(&owner, query, json!({ "id": id })).await;
        assert_eq!(found["installation"]["upgradableVersions"]["nodes"], json!(expected));
    }
    let query = "query($id: ID!) { application(id: $id) { upgradableCount } }";
    let found = bed.data(&owner, query, json!({ "id": encode_text(application) })).await;
    assert_eq!(found["application"]["upgradableCount"], 1);
}

async fn page(bed: &Bed, person: &Person, (kind, id): (&str, &str), list: &str, first: u32, after: &Json) -> Json {
    let query = format!(
        "query($id: ID!, $first: Int, $after: Cursor) {{ node(id: $id) {{ ... on {kind} {{
            {list}(first: $first, after: $after) {{ pageInfo {{ hasNextPage endCursor }} edges {{ cursor }} }} }} }} }}"
    );
    bed.data(person, &query, json!({ "id": id, "first": first, "after": after })).await["node"][list].take()
}

fn cursors(page: &Json) -> Vec<String> {
    page["edges"].as_array().unwrap().iter().map(|edge| text(&edge["cursor"])).collect()
}
