//! What the cluster adds to new objects or refuses: namespaces, accounts, classes, limits, quotas.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::clock;
use crate::kind::Kind;
use crate::object::{self, annotation, at, items, list_mut, map_mut, name, set_default, text};
use crate::quantity;
use crate::status::Status;
use crate::store::{Key, State};

pub(crate) use quota::{check as quota, is_bytes, used};

mod quota;
mod service;

/// The annotation of the storage class that claims get which name none.
pub(crate) const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// Refuses objects for namespaces that are not there, or on their way out.
pub(crate) fn namespace(state: &State, kind: Kind, called: &str, space: &str) -> Result<(), Status> {
    let found = state.require(&Key::new(Kind::Namespace, "", space))?;
    let leaving = text(&found, "/status/phase") == "Terminating";
    if leaving && kind != Kind::Event { Err(Status::terminating(kind, called, space)) } else { Ok(()) }
}

/// Completes a new object.
pub(crate) fn create(state: &State, kind: Kind, object: &mut Value) -> Result<(), Status> {
    match kind {
        Kind::Pod => pod(state, object)?,
        Kind::PersistentVolumeClaim => {
            if object["spec"].get("storageClassName").is_none() {
                let classes = state.list(Kind::StorageClass, None);
                if let Some(class) = classes.iter().find(|class| annotation(class, DEFAULT_CLASS) == "true") {
                    object["spec"]["storageClassName"] = class["metadata"]["name"].clone();
                }
            }
            finalizer(object, "kubernetes.io/pvc-protection");
        }
        Kind::PersistentVolume => finalizer(object, "kubernetes.io/pv-protection"),
        Kind::Service => service::allocate(state, object)?,
        Kind::Job => job(object),
        Kind::Namespace => {
            object["spec"]["finalizers"] = json!(["kubernetes"]);
            object["status"] = json!({"phase": "Active"});
        }
        _ => {}
    }
    Ok(())
}

/// Carries over what a new state may leave out.
pub(crate) fn update(kind: Kind, old: &Value, new: &mut Value) {
    let carry = |new: &mut Value, fields: &[&str]| {
        for field in fields {
            if let Some(value) = old["spec"].get(*field) {
                set_default(map_mut(new, &["spec"]), field, value.clone());
            }
        }
    };
    match kind {
        Kind::Service => service::carry(old, new),
        Kind::PersistentVolumeClaim => carry(new, &["volumeName", "storageClassName"]),
        Kind::Job => carry(new, &["selector"]),
        _ => {}
    }
}

/// Refuses changes that the cluster does not allow, and gives what they make necessary.
pub(crate) fn change(state: &State, kind: Kind, old: &Value, new: &mut Value) -> Result<(), Status> {
    if kind == Kind::Service {
        service::release(old, new);
        return service::allocate(state, new);
    }
    let size = |object: &Value| quantity::of(at(object, "/spec/resources/requests/storage"));
    if kind == Kind::PersistentVolumeClaim && size(new) > size(old) {
        let class = state.get(&Key::new(Kind::StorageClass, "", text(old, "/spec/storageClassName")));
        if class.is_none_or(|class| class["allowVolumeExpansion"] != true) {
            let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
                       support resize";
            return Err(Status::forbidden(kind, name(new), why));
        }
    }
    Ok(())
}

/// The class of service of a pod.
pub(crate) fn quality(spec: &Value) -> &'static str {
    let containers = || items(spec, "/containers").iter().chain(items(spec, "/initContainers"));
    let set = |container: &Value, field: &str| -> BTreeMap<String, i128> {
        let amounts = container["resources"][field].as_object().into_iter().flatten();
        amounts
            .filter(|(resource, _)| matches!(resource.as_str(), "cpu" | "memory"))
            .map(|(resource, amount)| (resource.clone(), quantity::of(amount)))
            .filter(|(_, amount)| *amount > 0)
            .collect()
    };
    if containers().all(|one| set(one, "limits").is_empty() && set(one, "requests").is_empty()) {
        "BestEffort"
    } else if containers().all(|one| set(one, "limits").len() == 2 && set(one, "limits") == set(one, "requests")) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

fn finalizer(object: &mut Value, finalizer: &str) {
    let list = list_mut(&mut object["metadata"], "finalizers");
    if !list.iter().any(|one| one == finalizer) {
        list.push(json!(finalizer));
    }
}

fn pod(state: &State, pod: &mut Value) -> Result<(), Status> {
    let space = object::namespace(pod).to_owned();
    let called = name(pod).to_owned();
    let account = match text(pod, "/spec/serviceAccountName") {
        "" => "default".to_owned(),
        account => account.to_owned(),
    };
    let Some(found) = state.get(&Key::new(Kind::ServiceAccount, &space, &account)) else {
        let why = format!("error looking up service account {space}/{account}: serviceaccount \"{account}\" not found");
        return Err(Status::forbidden(Kind::Pod, &called, &why));
    };
    classes(pod)?;
    limits(state, pod)?;
    let spec = map_mut(pod, &["spec"]);
    spec.insert("serviceAccountName".to_owned(), json!(account));
    spec.insert("serviceAccount".to_owned(), json!(account));
    set_default(spec, "priority", 0);
    set_default(spec, "preemptionPolicy", "PreemptLowerPriority");
    let secrets = items(&found, "/imagePullSecrets");
    if spec.get("imagePullSecrets").is_none() && !secrets.is_empty() {
        spec.insert("imagePullSecrets".to_owned(), Value::Array(secrets.to_vec()));
    }
    let mounts = |value: Option<&Value>| value.is_none_or(|value| value != false);
    if mounts(found.get("automountServiceAccountToken")) && mounts(spec.get("automountServiceAccountToken")) {
        mount_token(pod);
    }
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let list = list_mut(&mut pod["spec"], "tolerations");
        if !list.iter().any(|one| one["key"] == key || one["key"].is_null() && one["operator"] == "Exists") {
            list.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}));
        }
    }
    Ok(())
}

/// Refuses classes of priority and of runtimes that are not there: there are none but those of the system.
fn classes(pod: &Value) -> Result<(), Status> {
    let spec = &pod["spec"];
    let (runtime, priority) = (text(spec, "/runtimeClassName"), text(spec, "/priorityClassName"));
    let why = if !runtime.is_empty() {
        format!("pod rejected: RuntimeClass {runtime:?} not found")
    } else if !spec["overhead"].is_null() {
        "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead".to_owned()
    } else if !priority.is_empty() && !priority.starts_with("system-") {
        format!("no PriorityClass with name {priority} was found")
    } else if let Some(given) = spec["priority"].as_i64().filter(|given| *given != 0) {
        format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
             computed 0 from the given PriorityClass name"
        )
    } else {
        return Ok(());
    };
    Err(Status::forbidden(Kind::Pod, name(pod), &why))
}

fn mount_token(pod: &mut Value) {
    const PLACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    let volume = format!("kube-api-access-{}", clock::suffix(5));
    let mut used = false;
    for list in ["initContainers", "containers"] {
        for container in pod["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let mounts = list_mut(container, "volumeMounts");
            if !mounts.iter().any(|mount| mount["mountPath"] == PLACE) {
                mounts.push(json!({"name": volume, "readOnly": true, "mountPath": PLACE}));
                used = true;
            }
        }
    }
    if used {
        let field = json!({"apiVersion": "v1", "fieldPath": "metadata.namespace"});
        list_mut(&mut pod["spec"], "volumes").push(json!({"name": volume, "projected": {
            "defaultMode": 420,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
            ],
        }}));
    }
}

/// Applies the limit ranges of the namespace to the containers of a pod.
fn limits(state: &State, pod: &mut Value) -> Result<(), Status> {
    let (space, called) = (object::namespace(pod).to_owned(), name(pod).to_owned());
    for range in state.list(Kind::LimitRange, Some(&space)) {
        for limit in items(&range, "/spec/limits").iter().filter(|limit| limit["type"] == "Container") {
            for list in ["initContainers", "containers"] {
                for container in pod["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                    if let Some(why) = limit_container(limit, container) {
                        return Err(Status::forbidden(Kind::Pod, &called, &why));
                    }
                }
            }
        }
    }
    Ok(())
}

/// Gives a container the amounts that it leaves out, and says which of its amounts is out of bounds.
fn limit_container(limit: &Value, container: &mut Value) -> Option<String> {
    for (from, to) in [("default", "limits"), ("defaultRequest", "requests")] {
        for (resource, amount) in limit[from].as_object().into_iter().flatten() {
            set_default(map_mut(container, &["resources", to]), resource, amount.clone());
        }
    }
    for (bound, field, word) in [("max", "limits", "maximum"), ("min", "requests", "minimum")] {
        for (resource, amount) in limit[bound].as_object().into_iter().flatten() {
            let asked = &container["resources"][field][resource];
            let (least, most) = (quantity::of(amount), quantity::of(asked));
            let broken = if bound == "max" { asked.is_null() || most > least } else { most < least };
            if broken {
                let (bound, asked) = (amount.as_str().unwrap_or(""), asked.as_str());
                let singular = field.trim_end_matches('s');
                let tail = asked.map_or_else(
                    || format!("No {singular} is specified"),
                    |asked| format!("but {singular} is {asked}"),
                );
                return Some(format!("{word} {resource} usage per Container is {bound}, {tail}"));
            }
        }
    }
    None
}

fn job(job: &mut Value) {
    if job["spec"]["manualSelector"] == true {
        return;
    }
    let (called, uid) = (job["metadata"]["name"].clone(), job["metadata"]["uid"].clone());
    let labels = map_mut(job, &["spec", "template", "metadata", "labels"]);
    for (key, value) in [
        ("batch.kubernetes.io/job-name", &called),
        ("job-name", &called),
        ("batch.kubernetes.io/controller-uid", &uid),
        ("controller-uid", &uid),
    ] {
        labels.insert(key.to_owned(), value.clone());
    }
    job["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
}
