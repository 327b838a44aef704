//! Namespaces: what each is furnished with, and how one is emptied.

use serde_json::{Value, json};

use super::Next;
use crate::kind::Kind;
use crate::object::deleting;
use crate::status::Status;
use crate::store::{Key, State};
use crate::write::{Deletion, Part, Writer, change, create, delete};

/// Furnishes a namespace, or empties one that is being deleted.
pub(super) fn reconcile(state: &mut State, key: &Key, object: &Value) -> Result<Next, Status> {
    if !deleting(object) {
        furnish(state, &key.name)?;
        return Ok(Next::Done);
    }
    let mut left = false;
    for kind in Kind::ALL.into_iter().filter(|kind| kind.description().namespaced) {
        for object in state.list(kind, Some(&key.name)) {
            left = true;
            if !deleting(&object) {
                let how = Deletion { propagation_policy: Some("Background".to_owned()), ..Deletion::default() };
                delete(state, &Key::of(kind, &object), &how, false)?;
            }
        }
    }
    if left {
        let rest = Kind::ALL.into_iter().filter(|kind| kind.description().namespaced);
        if rest.into_iter().any(|kind| !state.list(kind, Some(&key.name)).is_empty()) {
            return Ok(Next::Done);
        }
    }
    change(state, key, Part::Main, &Writer::controller("kube-controller-manager"), |object| {
        let mut object = object.clone();
        object["spec"]["finalizers"] = json!([]);
        Ok(object)
    })?;
    Ok(Next::Done)
}

/// The account and the certificate that each namespace has.
pub(super) fn furnish(state: &mut State, name: &str) -> Result<(), Status> {
    let writer = Writer::controller("kube-controller-manager");
    if state.get(&Key::new(Kind::ServiceAccount, name, "default")).is_none() {
        let body = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        create(state, Kind::ServiceAccount, name, body, &writer)?;
    }
    if state.get(&Key::new(Kind::ConfigMap, name, "kube-root-ca.crt")).is_none() {
        let about = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such \
                     as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions \
                     of Kubernetes clusters.";
        let body = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "kube-root-ca.crt", "annotations": {"kubernetes.io/description": about}},
            "data": {"ca.crt": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"},
        });
        create(state, Kind::ConfigMap, name, body, &writer)?;
    }
    Ok(())
}
