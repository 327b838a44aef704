//! Reading and writing the parts of objects, which are kept as JSON.

use serde_json::{Map, Value, json};

use crate::clock;
use crate::kind::Kind;

static NULL: Value = Value::Null;

/// The value at a JSON pointer, `null` where there is none.
pub(crate) fn at<'a>(object: &'a Value, pointer: &str) -> &'a Value {
    object.pointer(pointer).unwrap_or(&NULL)
}

/// The text at a JSON pointer, empty where there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    at(object, pointer).as_str().unwrap_or("")
}

/// The number at a JSON pointer, zero where there is none.
pub(crate) fn number(object: &Value, pointer: &str) -> i64 {
    at(object, pointer).as_i64().unwrap_or(0)
}

/// The items of the list at a JSON pointer.
pub(crate) fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    at(object, pointer).as_array().map_or(&[], Vec::as_slice)
}

/// The name of an object.
pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// The namespace of an object, empty where it has none.
pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// The unique id of an object.
pub(crate) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// A label of an object, empty where it has none.
pub(crate) fn label<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"]["labels"][key].as_str().unwrap_or("")
}

/// An annotation of an object, empty where it has none.
pub(crate) fn annotation<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"]["annotations"][key].as_str().unwrap_or("")
}

/// Whether the object is being deleted.
pub(crate) fn deleting(object: &Value) -> bool {
    object["metadata"].get("deletionTimestamp").is_some()
}

/// Whether the object has the finalizer.
pub(crate) fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    items(object, "/metadata/finalizers").iter().any(|one| one == finalizer)
}

/// The owner that controls the object.
pub(crate) fn controller(object: &Value) -> Option<&Value> {
    items(object, "/metadata/ownerReferences").iter().find(|owner| owner["controller"] == true)
}

/// Whether the object is controlled by the owner.
pub(crate) fn controlled_by(object: &Value, owner: &Value) -> bool {
    controller(object).is_some_and(|reference| reference["uid"] == owner["metadata"]["uid"])
}

/// The reference that makes the owner the controller of a new object.
pub(crate) fn controller_reference(kind: Kind, owner: &Value) -> Value {
    json!({
        "apiVersion": kind.api_version(), "kind": kind.description().kind, "name": name(owner), "uid": uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// Whether a condition of the object is true.
pub(crate) fn is_condition(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"] == "True")
}

/// A condition of the object.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    items(object, "/status/conditions").iter().find(|condition| condition["type"] == kind)
}

/// Sets a condition; its time of transition changes only with its status.
pub(crate) fn set_condition(status: &mut Value, condition: Value) {
    let now = clock::timestamp();
    let list = list_mut(status, "conditions");
    let mut condition = condition;
    let found = list.iter_mut().find(|one| one["type"] == condition["type"]);
    let since = match &found {
        Some(old) if old["status"] == condition["status"] => old["lastTransitionTime"].clone(),
        _ => json!(now),
    };
    condition["lastTransitionTime"] = since;
    match found {
        Some(old) => *old = condition,
        None => list.push(condition),
    }
}

/// The list in a field, made when missing.
pub(crate) fn list_mut<'a>(object: &'a mut Value, field: &str) -> &'a mut Vec<Value> {
    let slot = fields_mut(object).entry(field).or_insert(Value::Null);
    if !slot.is_array() {
        *slot = json!([]);
    }
    match slot {
        Value::Array(list) => list,
        _ => unreachable!("it was just made a list"),
    }
}

/// The map at a path of fields, made when missing.
pub(crate) fn map_mut<'a>(object: &'a mut Value, path: &[&str]) -> &'a mut Map<String, Value> {
    let mut slot = object;
    for field in path {
        slot = fields_mut(slot).entry(*field).or_insert(Value::Null);
    }
    fields_mut(slot)
}

/// Sets a field where it is missing or null.
pub(crate) fn set_default(fields: &mut Map<String, Value>, field: &str, value: impl Into<Value>) {
    let slot = fields.entry(field).or_insert(Value::Null);
    if slot.is_null() {
        *slot = value.into();
    }
}

/// Whether two readings of an object differ in more than version and ownership of fields.
pub(crate) fn same(left: &Value, right: &Value) -> bool {
    let strip = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
            metadata.remove("managedFields");
        }
        object
    };
    strip(left) == strip(right)
}

fn fields_mut(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(fields) => fields,
        _ => unreachable!("it was just made a map"),
    }
}
