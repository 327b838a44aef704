//! Claims.

use super::{Live, Scene, Verdict, event};
use crate::json::text;
use serde_json::Value as Json;

pub(super) fn claim(scene: &Scene<'_>, live: &Live<'_>) -> Verdict {
    match text(&live.object, "/status/phase") {
        "Bound" => Verdict::healthy("Bound", "it has a volume"),
        "Lost" => Verdict::degraded("Lost", "its volume is gone"),
        _ => {
            if let Some(verdict) = event::verdict(&live.events) {
                return verdict;
            }
            let class = live.object.pointer("/spec/storageClassName").and_then(Json::as_str);
            if scene.classes.waits_for_consumer(class) {
                Verdict::healthy("WaitForFirstConsumer", "it gets its volume once a pod uses it")
            } else {
                Verdict::progressing("Pending", "it waits for a volume")
            }
        }
    }
}
