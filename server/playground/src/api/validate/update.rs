//! What may not change in an object once it is there.

use serde_json::{Value, json};

use crate::kind::Kind;
use crate::object::{at, name};
use crate::quantity;
use crate::status::{Cause, Status};

const STATEFUL_SET: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
    'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
const CLAIM: &str = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound \
    claims";
const POD: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
    `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
    tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Checks a change against what cannot change.
pub(crate) fn object(kind: Kind, old: &Value, new: &Value) -> Result<(), Status> {
    let mut causes = Vec::new();
    let mut fixed = |pointer: &str| {
        if at(old, pointer) != at(new, pointer) {
            let path = pointer.trim_start_matches('/').replace('/', ".");
            causes.push(Cause::invalid(path, at(new, pointer), "field is immutable"));
        }
    };
    match kind {
        Kind::Deployment | Kind::ReplicaSet => fixed("/spec/selector"),
        Kind::Job => {
            let suspended = old["spec"]["suspend"] == true && old["status"].get("startTime").is_none();
            for field in ["selector", "completions", "completionMode", "backoffLimitPerIndex", "podFailurePolicy"] {
                fixed(&format!("/spec/{field}"));
            }
            if !suspended {
                fixed("/spec/template");
            }
        }
        Kind::StatefulSet => {
            let free = [
                "replicas",
                "ordinals",
                "template",
                "updateStrategy",
                "revisionHistoryLimit",
                "minReadySeconds",
                "persistentVolumeClaimRetentionPolicy",
            ];
            if without(&old["spec"], &free) != without(&new["spec"], &free) {
                causes.push(Cause::forbidden("spec", STATEFUL_SET));
            }
        }
        Kind::PersistentVolumeClaim => claim(old, new, &mut causes),
        Kind::Pod => {
            let free = |spec: &Value| {
                let mut spec = without(
                    spec,
                    &["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "nodeName"],
                );
                for list in ["containers", "initContainers"] {
                    for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                        container["image"] = Value::Null;
                    }
                }
                spec
            };
            let moved = !old["spec"]["nodeName"].is_null() && old["spec"]["nodeName"] != new["spec"]["nodeName"];
            if moved || free(&old["spec"]) != free(&new["spec"]) {
                causes.push(Cause::forbidden("spec", POD));
            }
        }
        Kind::Service => {
            let stays = |spec: &Value| spec["type"] != "ExternalName";
            let both = stays(&old["spec"]) && stays(&new["spec"]);
            if both && old["spec"]["clusterIP"] != new["spec"]["clusterIP"] {
                let value = json!([new["spec"]["clusterIP"]]);
                causes.push(Cause::invalid("spec.clusterIPs[0]", &value, "may not change once set"));
            }
        }
        Kind::ConfigMap | Kind::Secret => {
            if kind == Kind::Secret {
                fixed("/type");
            }
            if old["immutable"] == true {
                let why = "field is immutable when `immutable` is set";
                for field in ["immutable", "data", "binaryData"] {
                    if old.get(field) != new.get(field) {
                        causes.push(Cause::forbidden(field, why));
                    }
                }
            }
        }
        Kind::RoleBinding if old["roleRef"] != new["roleRef"] => {
            causes.push(Cause::invalid("roleRef", &new["roleRef"], "cannot change roleRef"));
        }
        Kind::StorageClass => {
            for field in ["parameters", "provisioner", "reclaimPolicy"] {
                if old.get(field) != new.get(field) {
                    causes.push(Cause::forbidden(field, &format!("updates to {field} are forbidden.")));
                }
            }
            if old.get("volumeBindingMode") != new.get("volumeBindingMode") {
                causes.push(Cause::invalid("volumeBindingMode", &new["volumeBindingMode"], "field is immutable"));
            }
        }
        _ => {}
    }
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid(kind, name(new), &causes)) }
}

fn claim(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    let mut free = vec!["resources", "volumeAttributesClassName"];
    let bound = old["status"]["phase"] == "Bound";
    if old["spec"].get("volumeName").is_none() {
        free.push("volumeName");
    }
    if old["spec"].get("storageClassName").is_none() {
        free.push("storageClassName");
    }
    let size = |object: &Value| quantity::of(at(object, "/spec/resources/requests/storage"));
    let binding = old["spec"].get("volumeName") != new["spec"].get("volumeName");
    if without(&old["spec"], &free) != without(&new["spec"], &free)
        || (!bound && !binding && old["spec"]["resources"] != new["spec"]["resources"])
    {
        causes.push(Cause::forbidden("spec", CLAIM));
    } else if size(new) < size(old) && size(new) < quantity::of(at(old, "/status/capacity/storage")) {
        let why = "field can not be less than status.capacity";
        causes.push(Cause::forbidden("spec.resources.requests.storage", why));
    } else if size(new) < size(old) && size(new) == quantity::of(at(old, "/status/capacity/storage")) {
        let why = "field can not be less than previous value";
        causes.push(Cause::forbidden("spec.resources.requests.storage", why));
    }
}

fn without(spec: &Value, fields: &[&str]) -> Value {
    let mut spec = spec.clone();
    if let Some(map) = spec.as_object_mut() {
        map.retain(|field, _| !fields.contains(&field.as_str()));
    }
    spec
}
