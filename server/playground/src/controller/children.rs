//! The pods of a workload: which are its own, and how they are made.

use serde_json::{Value, json};

use crate::clock;
use crate::kind::Kind;
use crate::object::{
    controlled_by, controller, controller_reference, deleting, is_condition, items, list_mut, name, namespace, text,
};
use crate::selector::Labels;
use crate::status::Status;
use crate::store::{Key, Object, State};
use crate::write::{Deletion, Part, Writer, change, create, delete};

/// The name under which the controllers own fields.
pub(super) fn writer() -> Writer {
    Writer::controller("kube-controller-manager")
}

/// The objects of a kind that the owner controls. Those without an owner that its selector chooses are adopted.
pub(super) fn of(state: &mut State, kind: Kind, owner_kind: Kind, owner: &Value) -> Result<Vec<Object>, Status> {
    let selector = Labels::of(&owner["spec"]["selector"]);
    let mut own = Vec::new();
    for object in state.list(kind, Some(namespace(owner))) {
        if controlled_by(&object, owner) {
            own.push(object);
        } else if controller(&object).is_none()
            && !selector.is_empty()
            && selector.matches(&object)
            && !deleting(&object)
            && !deleting(owner)
            && fits(kind, owner_kind, owner, &object)
        {
            let reference = controller_reference(owner_kind, owner);
            let written = change(state, &Key::of(kind, &object), Part::Main, &writer(), |object| {
                let mut object = object.clone();
                list_mut(&mut object["metadata"], "ownerReferences").push(reference);
                Ok(object)
            })?;
            own.push(written.object);
        }
    }
    Ok(own)
}

/// Creates a pod from the template of its owner; `finish` sets what is particular to it.
pub(super) fn create_pod(
    state: &mut State,
    owner_kind: Kind,
    owner: &Value,
    finish: impl FnOnce(&mut Value),
) -> Result<Object, Status> {
    let template = &owner["spec"]["template"];
    let mut metadata = json!({
        "generateName": format!("{}-", name(owner)), "ownerReferences": [controller_reference(owner_kind, owner)],
    });
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]});
    finish(&mut pod);
    Ok(create(state, Kind::Pod, namespace(owner), pod, &writer())?.object)
}

/// Deletes a pod or another child.
pub(super) fn remove(state: &mut State, kind: Kind, object: &Value) -> Result<(), Status> {
    delete(state, &Key::of(kind, object), &Deletion::default(), false)?;
    Ok(())
}

/// Writes a new status.
pub(super) fn write_status(state: &mut State, key: &Key, status: Value) -> Result<Object, Status> {
    let written = change(state, key, Part::Status, &writer(), |object| {
        let mut object = object.clone();
        object["status"] = status;
        Ok(object)
    })?;
    Ok(written.object)
}

/// Whether a pod counts: neither finished nor on its way out.
pub(super) fn is_active(pod: &Value) -> bool {
    !deleting(pod) && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// Whether a pod is ready.
pub(super) fn is_ready(pod: &Value) -> bool {
    is_condition(pod, "Ready")
}

/// For how many seconds more a ready pod must stay ready until it is available.
pub(super) fn seconds_to_available(pod: &Value, minimum: i64) -> Option<i64> {
    if !is_ready(pod) {
        return None;
    }
    let since = crate::object::condition(pod, "Ready")?["lastTransitionTime"].as_str()?;
    let since: chrono::DateTime<chrono::Utc> = since.parse().ok()?;
    Some((minimum - (clock::now() - since).num_seconds()).max(0)).filter(|_| minimum > 0).or(Some(0))
}

/// A short text that depends on nothing but the value.
pub(super) fn hash(value: &Value) -> String {
    use sha2::{Digest, Sha256};
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let digest = Sha256::digest(value.to_string().as_bytes());
    digest.iter().take(10).map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect()
}

/// A StatefulSet takes only pods with names of its own.
fn fits(kind: Kind, owner_kind: Kind, owner: &Value, object: &Value) -> bool {
    match owner_kind {
        Kind::StatefulSet if kind == Kind::Pod => name(object)
            .strip_prefix(name(owner))
            .and_then(|rest| rest.strip_prefix('-'))
            .is_some_and(|ordinal| ordinal.parse::<u32>().is_ok()),
        Kind::Job => !items(object, "/metadata/finalizers").iter().any(|one| one == "orphan"),
        _ => true,
    }
}
