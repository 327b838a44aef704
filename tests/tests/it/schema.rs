//! The public API's description.

use anyhow::{Context as _, ensure};
use ropeway_tests::{app::TestApp, environment};
use serde_json::{Value as Json, json};
use std::path::Path;

const INTROSPECTION: &str = "
    query {
      __schema { types {
        name kind description
        fields(includeDeprecated: true) { name description args { name description } }
        inputFields { name description }
        enumValues(includeDeprecated: true) { name description }
      } }
    }";

#[test]
fn the_schema_file_is_what_the_server_serves() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema.graphql");
    let served = ropeway::graphql::sdl();
    if environment::updates_schema() {
        std::fs::write(&path, &served).expect("schema.graphql can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = written.lines().zip(served.lines()).position(|(one, other)| one != other);
    assert!(
        written == served,
        "schema.graphql differs from what is served, first in line {}: run the tests with UPDATE_SCHEMA=1",
        differs.map_or(written.lines().count().min(served.lines().count()), |line| line) + 1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_in_the_schema_is_described() -> anyhow::Result<()> {
    TestApp::run(async |app| {
        let data = app.client.ask(INTROSPECTION, json!({})).await?;
        let types = data["__schema"]["types"].as_array().context("there are types")?;
        let mut bare = Vec::new();
        for one in types.iter().filter(|one| !is_of_the_language(one)) {
            let name = one["name"].as_str().unwrap_or_default();
            let is_relay = name.ends_with("Connection") || name.ends_with("Edge");
            note(&mut bare, name, one);
            for list in ["fields", "inputFields", "enumValues"] {
                for part in one[list].as_array().into_iter().flatten() {
                    let path = format!("{name}.{}", part["name"].as_str().unwrap_or_default());
                    note(&mut bare, &path, part);
                    for argument in part["args"].as_array().into_iter().flatten().filter(|_| !is_relay) {
                        note(
                            &mut bare,
                            &format!("{path}({})", argument["name"].as_str().unwrap_or_default()),
                            argument,
                        );
                    }
                }
            }
        }
        ensure!(bare.is_empty(), "{} elements have no description: {}", bare.len(), bare.join(", "));
        Ok(())
    })
    .await
}

fn note(bare: &mut Vec<String>, path: &str, element: &Json) {
    if element["description"].as_str().is_none_or(|text| text.trim().is_empty()) {
        bare.push(path.to_owned());
    }
}

/// What GraphQL itself defines.
fn is_of_the_language(one: &Json) -> bool {
    let name = one["name"].as_str().unwrap_or_default();
    name.starts_with("__") || ["Boolean", "Float", "ID", "Int", "String"].contains(&name)
}
