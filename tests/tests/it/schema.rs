//! The public API's description.

use ropeway_tests::environment;
use std::path::Path;

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
