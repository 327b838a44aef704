//! Kubernetes resources of an application: other objects, which are taken as they are.

use super::{Context, Problems, environment::is_data_key, labels, wave};
use crate::{foreign, json::text};
use ropeway_domain::rendering::{ModelValue, ResourceModel};
use ropeway_driver_sdk::{ApplyMode, Manifest};
use serde_json::{Map, Value as Json};

/// Kinds that belong to a cluster as a whole.
const CLUSTER_KINDS: &[&str] = &[
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterTrustBundle",
    "CustomResourceDefinition",
    "FlowSchema",
    "IngressClass",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
    "VolumeAttributesClass",
];

/// Renders a Kubernetes resource; none where it cannot be.
pub(super) fn render(
    context: &Context<'_>,
    index: usize,
    resource: &ResourceModel,
    problems: &mut Problems,
) -> Option<Manifest> {
    let path = format!("/resources/{index}/manifest");
    let mut object = Json::Object(resource.manifest.clone());
    let kind = text(&object, "/kind").to_owned();
    for pointer in ["/apiVersion", "/kind", "/metadata/name"] {
        if text(&object, pointer).is_empty() {
            problems.error(&format!("{path}{pointer}"), "resource.shape", "every object has this text".to_owned());
            return None;
        }
    }
    if CLUSTER_KINDS.contains(&kind.as_str()) {
        let message = format!("a {kind} belongs to the cluster as a whole, not to an application");
        problems.error(&format!("{path}/kind"), "resource.kind", message);
        return None;
    }
    if let Some(annotations) = object.pointer("/metadata/annotations") {
        problems.diagnostics.extend(foreign::warnings(annotations, &format!("{path}/metadata/annotations")));
    }
    if let Json::Object(fields) = &mut object {
        fields.remove("status");
        if kind == "Secret" {
            secret_entries(index, resource, fields, problems);
        } else if !resource.secret_data.is_empty() {
            let path = format!("/resources/{index}/secretData");
            problems.error(&path, "resource.secret", "only a Secret has secret entries".to_owned());
        }
    }
    if let Some(Json::Object(metadata)) = object.get_mut("metadata") {
        let mut all = metadata.get("labels").and_then(Json::as_object).cloned().unwrap_or_default();
        all.retain(|key, _| !labels::is_reserved(key));
        all.extend(labels::of_resource(context, resource));
        metadata.insert("labels".to_owned(), Json::Object(all));
        metadata.insert("namespace".to_owned(), Json::from(context.target.namespace.as_str()));
    }
    Some(Manifest {
        wave: wave::CONFIGURATION,
        mode: ApplyMode::ServerSideApply,
        component: Some(resource.key.to_string()),
        object: object.to_string(),
    })
}

fn secret_entries(index: usize, resource: &ResourceModel, fields: &mut Map<String, Json>, problems: &mut Problems) {
    for field in ["data", "stringData"] {
        let is_empty = |value: Json| value.as_object().is_some_and(Map::is_empty);
        if fields.remove(field).is_some_and(|value| !is_empty(value)) {
            let path = format!("/resources/{index}/manifest/{field}");
            problems.error(&path, "resource.secret", "the entries of a Secret stand in secretData".to_owned());
        }
    }
    let mut entries = Map::new();
    for (position, entry) in resource.secret_data.iter().enumerate() {
        let path = format!("/resources/{index}/secretData/{position}/name");
        if !is_data_key(&entry.name) {
            problems.error(&path, "resource.secret", format!("{:?} is no key of a Secret", entry.name));
        }
        let value = match &entry.value {
            ModelValue::Plain(value) => value,
            ModelValue::Secret { secret } => secret,
        };
        if entries.insert(entry.name.clone(), Json::from(value.as_str())).is_some() {
            problems.error(&path, "resource.secret", format!("two entries are named {:?}", entry.name));
        }
    }
    if !entries.is_empty() {
        fields.insert("stringData".to_owned(), Json::Object(entries));
    }
}
