//! The volumes of a pod: which are there, and on which nodes.

use serde_json::Value;

use super::around::Around;
use super::{Misfit, fit};
use crate::controller::claim::{self, SELECTED_NODE};
use crate::kind::Kind;
use crate::object::{annotation, deleting, items, name, namespace, text};
use crate::store::{Key, State};

/// The claims of a pod that have no volume, and whether they should have one already.
pub(super) fn waiting(state: &State, key: &Key, pod: &Value) -> Result<Vec<(Key, bool)>, String> {
    let mut waiting = Vec::new();
    for called in claim::of_pod(pod) {
        let claim = Key::new(Kind::PersistentVolumeClaim, &key.namespace, called);
        let Some(found) = state.get(&claim) else {
            return Err(format!("persistentvolumeclaim \"{called}\" not found"));
        };
        if deleting(&found) {
            return Err(format!("persistentvolumeclaim \"{called}\" is being deleted"));
        }
        if text(&found, "/status/phase") != "Bound" {
            let class = state.get(&Key::new(Kind::StorageClass, "", text(&found, "/spec/storageClassName")));
            let waits = class.is_some_and(|class| class["volumeBindingMode"] == "WaitForFirstConsumer");
            // Where a node was chosen, the volume was asked for; the change of the claim brings the pod back.
            waiting.push((claim, !waits));
        }
    }
    Ok(waiting)
}

/// Why the volumes of a pod cannot be on a node.
pub(super) fn misfit(state: &State, around: &Around, key: &Key, node: &Value, pod: &Value) -> Option<Misfit> {
    for called in claim::of_pod(pod) {
        let claim = state.get(&Key::new(Kind::PersistentVolumeClaim, &key.namespace, called))?;
        let single = items(&claim, "/spec/accessModes").iter().any(|mode| mode == "ReadWriteOncePod");
        let uses = |other: &Value| namespace(other) == key.namespace && claim::of_pod(other).contains(&called);
        if single && around.pods.iter().any(|other| name(other) != key.name && uses(other)) {
            return Some(Misfit::others(
                "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by \
                 another pod",
            ));
        }
        let selected = annotation(&claim, SELECTED_NODE);
        if text(&claim, "/spec/volumeName").is_empty() {
            // A volume that is being made for another node cannot be waited for on this one.
            if !selected.is_empty() && selected != name(node) && around.nodes.iter().any(|one| name(one) == selected) {
                return Some(Misfit::own("node(s) didn't find available persistent volumes to bind"));
            }
            continue;
        }
        let volume = state.get(&Key::new(Kind::PersistentVolume, "", text(&claim, "/spec/volumeName")))?;
        let required = &volume["spec"]["nodeAffinity"]["required"];
        if required.is_object() && !fit::is_chosen(node, required) {
            return Some(Misfit::own("node(s) didn't match PersistentVolume's node affinity"));
        }
    }
    None
}
