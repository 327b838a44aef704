//! Attributes that an application sets by the names of a Kubernetes PodSpec.
//!
//! They add to what the model says and never replace it.

use super::{Problems, labels};
use crate::{
    foreign,
    json::{text, token},
};
use ropeway_domain::{model::WorkloadKind, rendering::ComponentModel};
use serde_json::{Map, Value as Json};

/// What attributes can add to.
pub(super) struct Parts {
    /// Of the workload.
    pub(super) labels: Map<String, Json>,
    /// Of the workload.
    pub(super) annotations: Map<String, Json>,
    /// The pod's spec, but for its container and volumes.
    pub(super) pod: Map<String, Json>,
    pub(super) env: Vec<Json>,
    pub(super) env_from: Vec<Json>,
    pub(super) mounts: Vec<Json>,
    pub(super) volumes: Vec<Json>,
    pub(super) templates: Vec<Json>,
}

/// The fields of a PodSpec that an attribute may set as a whole.
const POD_FIELDS: &[&str] = &[
    "activeDeadlineSeconds",
    "affinity",
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostUsers",
    "hostname",
    "initContainers",
    "nodeName",
    "nodeSelector",
    "os",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "resourceClaims",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "schedulingGates",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
];

/// Adds the attributes of a component. `pod_labels` go onto the claim templates among them.
pub(super) fn merge(
    index: usize,
    component: &ComponentModel,
    pod_labels: &Map<String, Json>,
    parts: &mut Parts,
    problems: &mut Problems,
) {
    for (name, value) in &component.attributes {
        let path = format!("/components/{index}/attributes/{}", token(name));
        match (name.as_str(), value) {
            ("labels", Json::Object(values)) => add_texts(values, &path, &mut parts.labels, problems),
            ("annotations", Json::Object(values)) => {
                problems.diagnostics.extend(foreign::warnings(value, &path));
                add_texts(values, &path, &mut parts.annotations, problems);
            }
            ("env", Json::Array(items)) => append(items, "/name", &path, &mut parts.env, problems),
            ("envFrom", Json::Array(items)) => parts.env_from.extend(items.iter().cloned()),
            ("volumeMounts", Json::Array(items)) => append(items, "/mountPath", &path, &mut parts.mounts, problems),
            ("volumes", Json::Array(items)) => append(items, "/name", &path, &mut parts.volumes, problems),
            ("volumeClaimTemplates", Json::Array(items)) if component.kind == WorkloadKind::StatefulSet => {
                let items: Vec<_> = items.iter().map(|item| labelled(item, pod_labels)).collect();
                append(&items, "/metadata/name", &path, &mut parts.templates, problems);
            }
            ("volumeClaimTemplates", Json::Array(_)) => {
                problems.error(&path, "attribute.kind", "only a StatefulSet has claim templates".to_owned());
            }
            ("imagePullSecrets", Json::Array(items)) => {
                let mut secrets = parts.pod.get(name).and_then(Json::as_array).cloned().unwrap_or_default();
                append(items, "/name", &path, &mut secrets, problems);
                parts.pod.insert(name.clone(), Json::from(secrets));
            }
            ("restartPolicy", policy) if !allowed_restart(component.kind, policy) => {
                let message = format!("a {:?} cannot have the restart policy {policy}", component.kind);
                problems.error(&path, "attribute.value", message);
            }
            (known, value) if POD_FIELDS.contains(&known) && !value.is_null() => {
                parts.pod.insert(name.clone(), value.clone());
            }
            ("containers" | "ephemeralContainers", _) => {
                let message = "the container is the component itself; make another component of another container";
                problems.error(&path, "attribute.reserved", message.to_owned());
            }
            (known, _) if POD_FIELDS.contains(&known) || LISTS.contains(&known) || MAPS.contains(&known) => {
                problems.error(&path, "attribute.type", format!("the attribute {known:?} has another type"));
            }
            (unknown, _) => {
                let message = format!("a pod has no attribute {unknown:?} that this driver knows");
                problems.error(&path, "attribute.unknown", message);
            }
        }
    }
}

const LISTS: &[&str] = &["env", "envFrom", "imagePullSecrets", "volumeClaimTemplates", "volumeMounts", "volumes"];
const MAPS: &[&str] = &["annotations", "labels"];

fn allowed_restart(kind: WorkloadKind, policy: &Json) -> bool {
    match kind {
        WorkloadKind::Job => policy == "Never" || policy == "OnFailure",
        WorkloadKind::Deployment | WorkloadKind::StatefulSet => policy == "Always",
    }
}

/// Adds labels or annotations; those that are Ropeway's stay.
fn add_texts(values: &Map<String, Json>, path: &str, to: &mut Map<String, Json>, problems: &mut Problems) {
    for (key, value) in values {
        let path = format!("{path}/{}", token(key));
        if labels::is_reserved(key) {
            problems.warning(&path, "attribute.reserved", format!("{key:?} is given by Ropeway and left as it is"));
        } else if value.is_string() {
            to.insert(key.clone(), value.clone());
        } else {
            problems.error(&path, "attribute.type", format!("the value of {key:?} is a text"));
        }
    }
}

/// Adds to a list whose items are told apart by the field at `identity`; those that are there already stay.
fn append(items: &[Json], identity: &str, path: &str, to: &mut Vec<Json>, problems: &mut Problems) {
    for (position, item) in items.iter().enumerate() {
        let path = format!("{path}/{position}");
        let id = text(item, identity);
        if id.is_empty() {
            problems.error(&path, "attribute.type", format!("this is an object with a text at {identity}"));
        } else if to.iter().any(|other| text(other, identity) == id) {
            problems.warning(&path, "attribute.twice", format!("{id:?} is there already and left as it is"));
        } else {
            to.push(item.clone());
        }
    }
}

/// A claim template with the labels that do not change.
fn labelled(template: &Json, pod_labels: &Map<String, Json>) -> Json {
    let mut template = template.clone();
    if let Some(Json::Object(metadata)) = template.get_mut("metadata") {
        let mut labels = metadata.get("labels").and_then(Json::as_object).cloned().unwrap_or_default();
        labels.retain(|key, _| !labels::is_reserved(key));
        labels.extend(pod_labels.clone());
        metadata.insert("labels".to_owned(), Json::Object(labels));
    }
    template
}
