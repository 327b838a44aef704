//! Garbage collection by owner references: background, foreground and orphan.

use serde_json::Value;

use crate::kind::Kind;
use crate::object::{deleting, has_finalizer, items, list_mut, namespace, text, uid};
use crate::status::Status;
use crate::store::{Key, State};
use crate::write::{Deletion, Part, Writer, change, delete};

/// The objects that name this one as an owner.
pub(super) fn dependents(state: &State, owner: &Value) -> Vec<Key> {
    let wanted = uid(owner);
    state
        .all()
        .filter(|(_, object)| {
            items(object, "/metadata/ownerReferences").iter().any(|reference| reference["uid"] == wanted)
        })
        .map(|(kind, object)| Key::of(kind, object))
        .collect()
}

/// Deletes an object whose owners are gone, and helps one along that waits for its dependents.
pub(super) fn object(state: &mut State, key: &Key, object: &Value) -> Result<(), Status> {
    if deleting(object) {
        return leaving(state, key, object);
    }
    let owners = items(object, "/metadata/ownerReferences");
    if owners.is_empty() {
        return Ok(());
    }
    let present: Vec<bool> = owners.iter().map(|owner| is_present(state, key, owner)).collect();
    if present.iter().any(|present| *present) {
        if present.iter().all(|present| *present) {
            return Ok(());
        }
        change(state, key, Part::Main, &writer(), |object| {
            let mut object = object.clone();
            let mut index = 0;
            list_mut(&mut object["metadata"], "ownerReferences").retain(|_| {
                index += 1;
                present[index - 1]
            });
            Ok(object)
        })?;
        return Ok(());
    }
    let how = Deletion { propagation_policy: Some("Background".to_owned()), ..Deletion::default() };
    delete(state, key, &how, false)?;
    Ok(())
}

fn leaving(state: &mut State, key: &Key, object: &Value) -> Result<(), Status> {
    if has_finalizer(object, "orphan") {
        let wanted = uid(object).to_owned();
        for dependent in dependents(state, object) {
            change(state, &dependent, Part::Main, &writer(), |object| {
                let mut object = object.clone();
                list_mut(&mut object["metadata"], "ownerReferences").retain(|owner| owner["uid"] != wanted.as_str());
                Ok(object)
            })?;
        }
        return release(state, key, "orphan");
    }
    if has_finalizer(object, "foregroundDeletion") {
        let mut blocked = false;
        for dependent in dependents(state, object) {
            let found = state.require(&dependent)?;
            let owners = items(&found, "/metadata/ownerReferences").iter();
            blocked |= owners.clone().any(|owner| owner["uid"] == uid(object) && owner["blockOwnerDeletion"] == true);
            if !deleting(&found) {
                let how = Deletion { propagation_policy: Some("Foreground".to_owned()), ..Deletion::default() };
                delete(state, &dependent, &how, false)?;
            }
        }
        blocked &= !dependents(state, object).is_empty();
        if !blocked {
            return release(state, key, "foregroundDeletion");
        }
    }
    Ok(())
}

/// Takes a finalizer away.
pub(super) fn release(state: &mut State, key: &Key, finalizer: &str) -> Result<(), Status> {
    change(state, key, Part::Main, &writer(), |object| {
        let mut object = object.clone();
        list_mut(&mut object["metadata"], "finalizers").retain(|one| one != finalizer);
        Ok(object)
    })?;
    Ok(())
}

fn is_present(state: &State, key: &Key, owner: &Value) -> bool {
    let kind = Kind::ALL.into_iter().find(|kind| {
        kind.description().kind == text(owner, "/kind") && kind.api_version() == text(owner, "/apiVersion")
    });
    // An owner of a kind that is not served cannot be looked up: nothing is concluded.
    let Some(kind) = kind else { return true };
    let found = state.get(&Key::new(kind, &key.namespace, text(owner, "/name")));
    found.is_some_and(|found| {
        uid(&found) == text(owner, "/uid") && (namespace(&found).is_empty() || namespace(&found) == key.namespace)
    })
}

fn writer() -> Writer {
    Writer::controller("kube-controller-manager")
}
