//! Claims.

use super::{Live, Scene, Verdict, event};
use crate::json::text;
use serde_json::Value as Json;

/// What a cluster says, as an event that is no warning, of a claim that waits for its first consumer. It says so of no
/// other claims, and it is there where the storage classes may not be read or are known only as they were.
const WAITING: &[&str] = &["WaitForFirstConsumer", "WaitForPodScheduled"];

/// Given to a claim once it is known which node needs its volume: from then on the volume is being made.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

pub(super) fn claim(scene: &Scene<'_>, live: &Live<'_>) -> Verdict {
    match text(&live.object, "/status/phase") {
        "Bound" => Verdict::healthy("Bound", "it has a volume"),
        "Lost" => Verdict::degraded("Lost", "its volume is gone"),
        // Before its events are looked at: one may be older than the wait, and nobody makes pods of a claim that is ill.
        _ if waits_for_consumer(scene, live) => {
            Verdict::healthy("WaitForFirstConsumer", "it gets its volume once a pod uses it")
        }
        _ => event::verdict(&live.events).unwrap_or_else(|| Verdict::progressing("Pending", "it waits for a volume")),
    }
}

fn waits_for_consumer(scene: &Scene<'_>, live: &Live<'_>) -> bool {
    let class = live.object.pointer("/spec/storageClassName").and_then(Json::as_str);
    let has_consumer = live.object.pointer("/metadata/annotations").is_some_and(|all| all[SELECTED_NODE].is_string());
    let is_said = || live.events.iter().any(|event| WAITING.contains(&text(event, "/reason")));
    !has_consumer && (scene.classes.waits_for_consumer(class) || is_said())
}
