//! The schema itself: documented, and limited.

use super::bed::Bed;
use crate::{graphql::sdl, service::authenticate::authenticate};
use serde_json::{Value as Json, json};

const INTROSPECTION: &str = "{ __schema { types { name kind description
    fields(includeDeprecated: true) { name description args { name description } }
    inputFields { name description } enumValues(includeDeprecated: true) { name description } } } }";

#[tokio::test(flavor = "multi_thread")]
async fn everything_in_the_schema_is_described() {
    let bed = Bed::new().await;
    let answer = bed.ask(None, INTROSPECTION, json!({})).await;
    let mut bare = Vec::new();
    let is_bare = |value: &Json| value["description"].as_str().is_none_or(|text| text.trim().is_empty());
    for kind in answer["data"]["__schema"]["types"].as_array().unwrap() {
        let name = kind["name"].as_str().unwrap();
        // Those of the specification are described there.
        if name.starts_with("__") || name == "ID" {
            continue;
        }
        if is_bare(kind) {
            bare.push(name.to_owned());
        }
        for list in ["fields", "inputFields", "enumValues"] {
            for member in kind[list].as_array().into_iter().flatten() {
                let path = format!("{name}.{}", member["name"].as_str().unwrap());
                for argument in member["args"].as_array().into_iter().flatten().filter(|a| is_bare(a)) {
                    bare.push(format!("{path}({})", argument["name"].as_str().unwrap()));
                }
                if is_bare(member) {
                    bare.push(path);
                }
            }
        }
    }
    assert_eq!(bare, Vec::<String>::new());
}

#[test]
fn the_schema_needs_no_process() {
    let text = sdl();
    for part in ["type Query {", "type Mutation {", "type Subscription {", "interface Node {", "scalar Cursor"] {
        assert!(text.contains(part), "{part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_too_deep_or_too_large_is_refused_before_it_runs() {
    let bed = Bed::new().await;
    let large = "{ enterprises(first: 100) { nodes { teams(first: 100) { nodes { members(first: 100) { nodes { role } } } } } } }";
    let mut deep = String::from("name");
    for _ in 0..20 {
        deep = format!("ofType {{ {deep} }}");
    }
    let deep = format!("{{ __type(name: \"Query\") {{ fields {{ type {{ {deep} }} }} }} }}");
    let actor = bed.admin.clone();
    let before = bed.app.database.queries();
    authenticate(&bed.app, &actor.token).await.unwrap();
    let look_up = bed.app.database.queries() - before;
    let before = bed.app.database.queries();
    for query in [large, &deep] {
        assert_eq!(bed.refusal(Some(&actor), query, json!({})).await, "TOO_COMPLEX");
    }
    // Looking the token up is all that it cost.
    assert_eq!(bed.app.database.queries() - before, 2 * look_up);
    assert_eq!(bed.refusal(Some(&actor), "{ nonsense }", json!({})).await, "BAD_REQUEST");
    assert_eq!(bed.refusal(Some(&actor), "{", json!({})).await, "BAD_REQUEST");
}
