//! Reading JSON by pointer, with defaults for what is not there.

use serde_json::Value as Json;

/// The text at a pointer; empty where there is none.
pub(crate) fn text<'a>(value: &'a Json, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
}

/// The whole number at a pointer.
pub(crate) fn number(value: &Json, pointer: &str) -> Option<i64> {
    value.pointer(pointer)?.as_i64()
}

/// The list at a pointer; empty where there is none.
pub(crate) fn list<'a>(value: &'a Json, pointer: &str) -> &'a [Json] {
    value.pointer(pointer).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

/// A JSON pointer's token for a key.
pub(crate) fn token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
