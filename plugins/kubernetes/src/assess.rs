//! Live objects to health, with a reason that a person understands.
//!
//! What a controller reports about an object decides whether it is healthy; pods and events of it only explain why it
//! is not yet. Degraded is not the end: what is degraded may mend itself, and is judged again.

mod event;
mod exposure;
mod pod;
mod storage;
mod workload;

use crate::{
    json::{list, text},
    storage_class::StorageClasses,
};
use ropeway_driver_sdk::{Health, HealthItem, HealthState, ObjectRef, Observed, Target};
use serde_json::Value as Json;

/// A live object, its JSON read.
struct Live<'a> {
    reference: &'a ObjectRef,
    object: Json,
    events: Vec<Json>,
}

/// How an object is, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    state: HealthState,
    reason: String,
    message: String,
}

/// Everything that a verdict may look at.
struct Scene<'a> {
    classes: StorageClasses,
    live: Vec<Live<'a>>,
}

/// Judges all objects that no controller owns.
pub(crate) fn assess(target: &Target, objects: &[Observed]) -> Health {
    let scene = Scene {
        classes: StorageClasses::read(&target.storage_classes),
        live: objects.iter().filter_map(read).collect(),
    };
    let items = objects.iter().filter_map(|observed| {
        let verdict = match scene.live.iter().find(|live| live.reference == &observed.reference) {
            Some(live) if controller(&live.object).is_some() => return None,
            Some(live) => judge(&scene, live),
            None if observed.object.is_some() => {
                Verdict::new(HealthState::Unknown, "Unreadable", "what the cluster returned is no JSON object")
            }
            None => {
                let ObjectRef { kind, name, .. } = &observed.reference;
                Verdict::new(HealthState::Missing, "NotFound", format!("the cluster has no {kind} named {name:?}"))
            }
        };
        Some(HealthItem {
            reference: observed.reference.clone(),
            state: verdict.state,
            reason: verdict.reason,
            message: verdict.message,
        })
    });
    Health::of(items.collect())
}

fn judge(scene: &Scene<'_>, live: &Live<'_>) -> Verdict {
    let group = live.reference.api_version.rsplit_once('/').map_or("", |(group, _)| group);
    if live.object.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null()) {
        return Verdict::progressing("Terminating", "it is being deleted");
    }
    match (group, live.reference.kind.as_str()) {
        ("apps", "Deployment") => workload::deployment(scene, live),
        ("apps", "StatefulSet") => workload::stateful_set(scene, live),
        ("apps", "DaemonSet") => workload::daemon_set(scene, live),
        ("batch", "Job") => workload::job(scene, live),
        ("", "Pod") => pod::alone(live),
        ("", "PersistentVolumeClaim") => storage::claim(scene, live),
        ("", "Service") => exposure::service(live),
        ("networking.k8s.io", "Ingress") => exposure::ingress(live),
        _ => Verdict::healthy("Present", "it is in the cluster"),
    }
}

fn read(observed: &Observed) -> Option<Live<'_>> {
    let object: Json = serde_json::from_str(observed.object.as_ref()?).ok()?;
    if !object.is_object() {
        return None;
    }
    let events = observed.events.iter().filter_map(|event| serde_json::from_str(event).ok()).collect();
    Some(Live { reference: &observed.reference, object, events })
}

/// Kind and name of the controller that owns an object.
fn controller(object: &Json) -> Option<(&str, &str)> {
    let owner = list(object, "/metadata/ownerReferences").iter().find(|owner| owner["controller"] == true)?;
    Some((text(owner, "/kind"), text(owner, "/name")))
}

/// The condition of a type, where the object reports it.
fn condition<'a>(object: &'a Json, kind: &str) -> Option<&'a Json> {
    list(object, "/status/conditions").iter().find(|condition| condition["type"] == kind)
}

/// Whether the object reports a condition as true.
fn holds(object: &Json, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"] == "True")
}

impl Verdict {
    fn new(state: HealthState, reason: &str, message: impl Into<String>) -> Self {
        Self { state, reason: reason.to_owned(), message: message.into() }
    }

    fn healthy(reason: &str, message: impl Into<String>) -> Self {
        Self::new(HealthState::Healthy, reason, message)
    }

    fn progressing(reason: &str, message: impl Into<String>) -> Self {
        Self::new(HealthState::Progressing, reason, message)
    }

    fn degraded(reason: &str, message: impl Into<String>) -> Self {
        Self::new(HealthState::Degraded, reason, message)
    }

    /// As a condition says it.
    fn of_condition(state: HealthState, condition: &Json, fallback: &str) -> Self {
        let reason = text(condition, "/reason");
        Self::new(state, if reason.is_empty() { fallback } else { reason }, text(condition, "/message"))
    }
}
