//! Pages, and what they cost.

use super::bed::{Bed, Person, text};
use serde_json::{Value as Json, json};

const TEAMS: &str = "query($id: ID!, $first: Int, $after: Cursor, $search: String) { enterprise(id: $id) {
    teams(first: $first, after: $after, search: $search) { totalCount edges { cursor }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } nodes { slug } } } }";

const WHOLE: &str =
    "query($id: ID!, $first: Int) { enterprise(id: $id) { teams(first: $first) { totalCount nodes { slug
    openings { namespace cluster { name driver { name } } }
    members(first: 2) { totalCount pageInfo { hasNextPage } nodes { role user { name } } } } } } }";

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_walked_page_by_page_without_gap_or_repetition() {
    let bed = Bed::new().await;
    for number in 0..25 {
        bed.team(&bed.admin, &format!("team-{number:02}"), &[]).await;
    }
    let (mut after, mut slugs) = (Json::Null, Vec::new());
    loop {
        let variables = json!({ "id": bed.enterprise, "first": 10, "after": after });
        let page = bed.data(&bed.admin, TEAMS, variables).await["enterprise"]["teams"].take();
        assert_eq!(page["totalCount"], 25);
        assert_eq!(page["pageInfo"]["hasPreviousPage"], !after.is_null());
        assert_eq!(page["edges"][0]["cursor"], page["pageInfo"]["startCursor"]);
        slugs.extend(page["nodes"].as_array().unwrap().iter().map(|team| text(&team["slug"])));
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(slugs, (0..25).map(|number| format!("team-{number:02}")).collect::<Vec<_>>());
    let variables = json!({ "id": bed.enterprise, "search": "m-1" });
    let found = bed.data(&bed.admin, TEAMS, variables).await;
    assert_eq!(found["enterprise"]["teams"]["totalCount"], 10);
    let variables = json!({ "id": bed.enterprise, "search": "%" });
    assert_eq!(bed.data(&bed.admin, TEAMS, variables).await["enterprise"]["teams"]["totalCount"], 0);
    let members = "query($id: ID!, $after: Cursor) { enterprise(id: $id) { members(after: $after) { totalCount } } }";
    let page = bed.data(&bed.admin, TEAMS, json!({ "id": bed.enterprise, "first": 1 })).await;
    let of_teams = page["enterprise"]["teams"]["pageInfo"]["endCursor"].clone();
    let answer = bed.ask(Some(&bed.admin), members, json!({ "id": bed.enterprise, "after": of_teams })).await;
    assert!(text(&answer["errors"][0]["message"]).contains("no cursor of this list"), "{answer}");
    for (variables, message) in [
        (json!({ "id": bed.enterprise, "first": 101 }), "0 to 100"),
        (json!({ "id": bed.enterprise, "first": -1 }), "0 to 100"),
        (json!({ "id": bed.enterprise, "after": "nonsense" }), "no cursor"),
    ] {
        let answer = bed.ask(Some(&bed.admin), TEAMS, variables).await;
        assert!(text(&answer["errors"][0]["message"]).contains(message), "{answer}");
    }
}

// On one thread, so that what is gathered does not depend on how busy the machine is.
#[tokio::test]
async fn a_page_costs_a_constant_number_of_queries() {
    let bed = Bed::new().await;
    let clusters = [bed.cluster("hangzhou").await, bed.cluster("guangzhou").await];
    let people: Vec<Person> = [bed.member("ada").await, bed.member("bob").await].into();
    for number in 0..12 {
        let team = bed.team(&bed.admin, &format!("team-{number:02}"), &[&clusters[0], &clusters[1]]).await;
        for person in &people {
            let input = json!({ "teamId": team, "userName": person.name, "role": "VIEWER" });
            bed.done(&bed.admin, "setTeamMember", "team { id }", input).await;
        }
    }
    let mut costs = Vec::new();
    for first in [1, 12, 3] {
        let look = async || bed.data(&bed.admin, WHOLE, json!({ "id": bed.enterprise, "first": first })).await;
        costs.push(bed.cost(&look).await);
        let seen = look().await;
        let teams = seen["enterprise"]["teams"]["nodes"].as_array().unwrap().clone();
        assert_eq!(teams.len(), first);
        for team in teams {
            assert_eq!(team["openings"].as_array().unwrap().len(), 2);
            assert_eq!(team["openings"][0]["cluster"]["driver"]["name"], "kubernetes");
            assert_eq!(team["members"]["totalCount"], 3);
            assert_eq!(team["members"]["pageInfo"]["hasNextPage"], true);
            let names: Vec<_> =
                team["members"]["nodes"].as_array().unwrap().iter().map(|m| text(&m["user"]["name"])).collect();
            assert_eq!(names, ["ada", "admin"]);
        }
    }
    assert!(costs[0] > 0 && costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
    assert!(costs[0] <= 14, "{costs:?}");
}
