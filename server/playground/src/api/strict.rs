//! From what a client sent to an object of its kind: identity, types and unknown fields.

use serde_json::{Value, json};

use crate::kind::Kind;
use crate::object::{map_mut, name, namespace, text};
use crate::quantity;
use crate::status::Status;
use crate::write::Unknown;

/// Checks version, kind and namespace, and fills in the namespace.
pub(crate) fn identity(kind: Kind, space: &str, body: &mut Value) -> Result<(), Status> {
    if !body.is_object() {
        return Err(Status::bad_request("the body of the request is no object"));
    }
    let expected = (kind.api_version(), kind.description().kind);
    let found = (text(body, "/apiVersion"), text(body, "/kind"));
    if found != (expected.0.as_str(), expected.1) {
        if found.0.is_empty() || found.1.is_empty() {
            return Err(Status::bad_request("Object 'Kind' is missing: the body must name its apiVersion and kind"));
        }
        return Err(Status::bad_request(format!(
            "the API version in the data ({}, Kind={}) does not match the expected API version ({}, Kind={})",
            found.0, found.1, expected.0, expected.1
        )));
    }
    if kind.description().namespaced {
        let said = namespace(body);
        if !said.is_empty() && said != space {
            let message = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Status::bad_request(message));
        }
        map_mut(body, &["metadata"]).insert("namespace".to_owned(), json!(space));
    } else {
        map_mut(body, &["metadata"]).remove("namespace");
    }
    Ok(())
}

/// Reads an object of the kind; unknown fields are gone afterwards.
pub(crate) fn decode(kind: Kind, space: &str, body: Value, unknown: Unknown) -> Result<(Value, Vec<String>), Status> {
    let mut body = body;
    identity(kind, space, &mut body)?;
    quantity::normalize(&mut body);
    let sent = (unknown != Unknown::Ignore).then(|| body.clone());
    let version = kind.description().version;
    let word = kind.description().kind;
    let cannot = |why: &str| {
        Status::bad_request(format!("{word} in version \"{version}\" cannot be handled as a {word}: {why}"))
    };
    let decoded = kind.decode(body).map_err(|error| cannot(&error.to_string()))?;
    let mut lost = Vec::new();
    if let Some(sent) = sent {
        missing(&sent, &decoded, "", &mut lost);
    }
    let mut decoded = decoded;
    drop_empty(&mut decoded);
    let lost: Vec<String> = lost.into_iter().map(|path| format!("unknown field \"{path}\"")).collect();
    if unknown == Unknown::Refuse && !lost.is_empty() {
        return Err(cannot(&format!("strict decoding error: {}", lost.join(", "))));
    }
    Ok((decoded, lost))
}

/// Checks that an applied configuration has only known fields of the right types.
pub(crate) fn declared(kind: Kind, config: &Value) -> Result<(), Status> {
    let mut config = config.clone();
    quantity::normalize(&mut config);
    let who =
        format!("{}/{}; {}, Kind={}", namespace(&config), name(&config), kind.api_version(), kind.description().kind);
    let cannot = |why: String| Status::unknown(format!("failed to create typed patch object ({who}): {why}"));
    let decoded = kind.decode(config.clone()).map_err(|error| cannot(error.to_string()))?;
    let mut lost = Vec::new();
    missing(&config, &decoded, "", &mut lost);
    match lost.first() {
        None => Ok(()),
        Some(path) => Err(cannot(format!(".{path}: field not declared in schema"))),
    }
}

/// Maps that the API server leaves out when they are empty; so it does with every list but the rules of a role.
const OMITTED_MAPS: &[&str] = &["labels", "annotations", "data", "binaryData", "nodeSelector", "matchLabels"];

fn drop_empty(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|field, value| {
                drop_empty(value);
                let empty_list = value.as_array().is_some_and(Vec::is_empty) && field != "rules";
                let empty_map = value.as_object().is_some_and(serde_json::Map::is_empty);
                !(empty_list || empty_map && OMITTED_MAPS.contains(&field.as_str()))
            });
        }
        Value::Array(items) => items.iter_mut().for_each(drop_empty),
        _ => {}
    }
}

/// Fields of the first value that the second does not have.
fn missing(sent: &Value, read: &Value, path: &str, lost: &mut Vec<String>) {
    match (sent, read) {
        (Value::Object(sent), Value::Object(read)) => {
            for (field, value) in sent {
                let path = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
                match read.get(field) {
                    Some(read) => missing(value, read, &path, lost),
                    None if value.is_null() => {}
                    None => lost.push(path),
                }
            }
        }
        (Value::Array(sent), Value::Array(read)) => {
            for (index, (sent, read)) in sent.iter().zip(read).enumerate() {
                missing(sent, read, &format!("{path}[{index}]"), lost);
            }
        }
        _ => {}
    }
}
