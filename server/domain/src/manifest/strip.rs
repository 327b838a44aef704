//! Leaving out of a manifest what belongs to one cluster, and to one moment.

use serde_json::{Map, Value as Json};

/// Fields of `metadata` that the API server fills in, or that name other objects of the cluster.
const METADATA: [&str; 12] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Annotations that tools and controllers leave behind.
const ANNOTATIONS: [&str; 8] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "kubectl.kubernetes.io/restartedAt",
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
    "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/selected-node",
    "volume.kubernetes.io/storage-provisioner",
    "kubernetes.io/service-account.uid",
];

pub(super) fn strip(manifest: &mut Map<String, Json>) {
    manifest.remove("status");
    if let Some(Json::Object(metadata)) = manifest.get_mut("metadata") {
        // A name that the API server completed is still a name.
        let is_named = metadata.contains_key("name");
        for field in METADATA.iter().filter(|field| is_named || **field != "generateName") {
            metadata.remove(*field);
        }
        for field in ["labels", "annotations"] {
            let Some(Json::Object(entries)) = metadata.get_mut(field) else { continue };
            entries.retain(|key, _| !crate::validate::is_reserved(key) && !ANNOTATIONS.contains(&key.as_str()));
            if entries.is_empty() {
                metadata.remove(field);
            }
        }
    }
    let core = manifest.get("apiVersion").and_then(Json::as_str) == Some("v1");
    let kind = manifest.get("kind").and_then(Json::as_str).unwrap_or_default().to_owned();
    let Some(Json::Object(spec)) = manifest.get_mut("spec") else { return };
    match kind.as_str() {
        // The volume that one cluster bound to the claim.
        "PersistentVolumeClaim" if core => {
            spec.remove("volumeName");
        }
        // The addresses that one cluster gave to the Service. `None` is a choice.
        "Service" if core => {
            if spec.get("clusterIP").and_then(Json::as_str) != Some("None") {
                spec.remove("clusterIP");
                spec.remove("clusterIPs");
            }
            spec.remove("healthCheckNodePort");
            if let Some(Json::Array(ports)) = spec.get_mut("ports") {
                for port in ports.iter_mut().filter_map(Json::as_object_mut) {
                    port.remove("nodePort");
                }
            }
        }
        _ => {}
    }
}
