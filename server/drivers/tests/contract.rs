//! The published JSON Schema of the application model is the one of the types.

use ropeway_domain::rendering::ApplicationModel;
use std::path::Path;

/// `UPDATE=1 cargo test -p ropeway-drivers --test contract` writes it anew.
#[test]
fn the_published_schema_is_that_of_the_application_model() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/wit/application-model.schema.json");
    let schema = schemars::schema_for!(ApplicationModel);
    let schema = format!("{:#}\n", serde_json::to_value(&schema).unwrap());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &schema).unwrap();
    }
    let published = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(published == schema, "the schema differs: write it anew with UPDATE=1, and look at what changed");
}
