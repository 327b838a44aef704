//! Events of a namespace: which of them are about an object, and what is told of them.

use serde_json::{Value, json};

use crate::{ObjectRef, error::bounded_to};

/// The longest message of an event, in characters: with the rest an event stays below 4 KiB.
const MAX_MESSAGE: usize = 800;

/// What is told of an event.
pub(super) fn shortened(event: &Value) -> Value {
    let text = |pointer: &str, most: usize| {
        bounded_to(event.pointer(pointer).and_then(Value::as_str).unwrap_or_default(), most)
    };
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "type": text("/type", 20),
        "reason": text("/reason", 128),
        "message": text("/message", MAX_MESSAGE),
        "count": event.get("count").or_else(|| event.pointer("/series/count")).and_then(Value::as_u64).unwrap_or(1),
        "lastTimestamp": bounded_to(time(event), 40),
        "involvedObject": {
            "kind": text("/involvedObject/kind", 63),
            "name": text("/involvedObject/name", 253),
            "uid": text("/involvedObject/uid", 40),
        },
    })
}

/// When it was last seen; RFC 3339 compares as text.
pub(super) fn time(event: &Value) -> &str {
    ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"]
        .iter()
        .find_map(|pointer| event.pointer(pointer).and_then(Value::as_str))
        .unwrap_or_default()
}

/// The newest events about an object, its pods and what it makes in between, newest last.
pub(super) fn about(
    reference: &ObjectRef,
    object: Option<&Value>,
    pods: &[&Value],
    events: &[&Value],
    most: usize,
) -> Vec<Value> {
    let mut found: Vec<&Value> = events
        .iter()
        .copied()
        .filter(|event| {
            let involved = |key: &str| {
                event
                    .get("involvedObject")
                    .and_then(|object| object.get(key))
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            let named = |kind: &str, name: &str, uid: Option<&str>| {
                involved("kind") == kind && involved("name") == name && uid.is_none_or(|uid| involved("uid") == uid)
            };
            named(&reference.kind, &reference.name, object.and_then(crate::uid))
                || (is_between(&reference.kind, involved("kind"))
                    && involved("name").strip_prefix(reference.name.as_str()).is_some_and(|rest| rest.starts_with('-')))
                || pods.iter().any(|pod| {
                    let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
                    named("Pod", name, crate::uid(pod))
                })
        })
        .collect();
    found.sort_by(|a, b| time(a).cmp(time(b)));
    found.split_off(found.len().saturating_sub(most)).into_iter().cloned().collect()
}

/// Kinds that stand between a workload and its pods, named after the workload.
fn is_between(workload: &str, kind: &str) -> bool {
    matches!((workload, kind), ("Deployment", "ReplicaSet") | ("CronJob", "Job"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_cut_to_four_kibibytes() {
        let long = "ä".repeat(100_000);
        let event = json!({"type": long, "reason": long, "message": long, "metadata": {"annotations": {"a": long}},
                           "involvedObject": {"kind": long, "name": long, "uid": long}});
        assert!(shortened(&event).to_string().len() <= 4096);
    }

    #[test]
    fn events_of_an_earlier_object_of_the_same_name_are_left_out() {
        let reference = ObjectRef::namespaced("apps/v1", "Deployment", "team", "web");
        let object = json!({"metadata": {"uid": "new"}});
        let event = |kind: &str, name: &str, uid: &str| json!({"message": uid, "involvedObject": {"kind": kind, "name": name, "uid": uid}});
        let events = [
            event("Deployment", "web", "new"),
            event("Deployment", "web", "old"),
            event("ReplicaSet", "web-5d", "rs"),
            event("ReplicaSet", "webshop-5d", "other"),
            event("Pod", "web-5d-a", "pod"),
        ];
        let pod = json!({"metadata": {"name": "web-5d-a", "uid": "pod"}});
        let found = about(&reference, Some(&object), &[&pod], &events.iter().collect::<Vec<_>>(), 20);
        let found: Vec<&str> = found.iter().filter_map(|event| event["message"].as_str()).collect();
        assert_eq!(found, ["new", "rs", "pod"]);
    }
}
