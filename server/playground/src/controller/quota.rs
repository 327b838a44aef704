//! What quotas report as used.

use serde_json::{Value, json};

use super::Next;
use crate::admission::{self, is_bytes};
use crate::quantity;
use crate::status::Status;
use crate::store::{Key, State};
use crate::write::{Part, Writer, change};

/// Writes the used amounts into the status.
pub(super) fn reconcile(state: &mut State, key: &Key, object: &Value) -> Result<Next, Status> {
    let used = admission::used(state, &key.namespace);
    let mut shown = serde_json::Map::new();
    for resource in object["spec"]["hard"].as_object().into_iter().flatten().map(|(resource, _)| resource) {
        let amount = used.get(resource).copied().unwrap_or(0);
        shown.insert(resource.clone(), json!(quantity::spell(amount, is_bytes(resource))));
    }
    change(state, key, Part::Status, &Writer::controller("kube-controller-manager"), |object| {
        let mut object = object.clone();
        object["status"] = json!({"hard": object["spec"]["hard"], "used": shown});
        Ok(object)
    })?;
    Ok(Next::Done)
}
