//! Which kinds can be Kubernetes resources of an application.

use super::shape;
use crate::model::InvalidManifest;
use serde_json::{Map, Value as Json};

const COMPONENT: &str = "add a component, which makes it and keeps it";
const CONTROLLER: &str = "a controller of the cluster makes it";
const CLUSTER: &str = "it belongs to the whole cluster; an administrator of the cluster creates it";
const REQUEST: &str = "it is a question to the API server, not an object that stays";
const RIGHTS: &str =
    "it grants rights in the cluster with those of Ropeway; an administrator of the cluster creates it";
const ONE: &str = "add each of its items by itself";

/// Groups, kinds and what to do instead.
const REFUSED: [(&str, &[&str], &str); 19] = [
    ("", &["Pod", "ReplicationController"], COMPONENT),
    ("apps", &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"], COMPONENT),
    ("extensions", &["Deployment", "DaemonSet", "ReplicaSet"], COMPONENT),
    ("batch", &["Job", "CronJob"], COMPONENT),
    ("apps", &["ControllerRevision"], CONTROLLER),
    ("", &["Event", "Endpoints", "Binding", "PodTemplate"], CONTROLLER),
    ("events.k8s.io", &["Event"], CONTROLLER),
    ("discovery.k8s.io", &["EndpointSlice"], CONTROLLER),
    ("coordination.k8s.io", &["Lease", "LeaseCandidate"], CONTROLLER),
    ("", &["Namespace"], "the team's namespace is made when the team is opened on a cluster"),
    ("", &["Node", "PersistentVolume", "ComponentStatus"], CLUSTER),
    ("rbac.authorization.k8s.io", &["ClusterRole", "ClusterRoleBinding"], CLUSTER),
    ("rbac.authorization.k8s.io", &["Role", "RoleBinding"], RIGHTS),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"], CLUSTER),
    ("apiregistration.k8s.io", &["APIService"], CLUSTER),
    ("storage.k8s.io", &["StorageClass", "CSIDriver", "CSINode", "VolumeAttachment", "VolumeAttributesClass"], CLUSTER),
    ("scheduling.k8s.io", &["PriorityClass"], CLUSTER),
    ("node.k8s.io", &["RuntimeClass"], CLUSTER),
    ("networking.k8s.io", &["IngressClass", "IPAddress", "ServiceCIDR"], CLUSTER),
];

/// Groups of which every kind belongs to the whole cluster, or is a question.
const REFUSED_GROUPS: [(&str, &str); 6] = [
    ("admissionregistration.k8s.io", CLUSTER),
    ("certificates.k8s.io", CLUSTER),
    ("flowcontrol.apiserver.k8s.io", CLUSTER),
    ("internal.apiserver.k8s.io", CLUSTER),
    ("authentication.k8s.io", REQUEST),
    ("authorization.k8s.io", REQUEST),
];

fn has_external_addresses(service: &Map<String, Json>) -> bool {
    let addresses = service.get("spec").and_then(|spec| spec.get("externalIPs"));
    addresses.is_some_and(|addresses| !addresses.is_null() && addresses.as_array().is_none_or(|all| !all.is_empty()))
}

pub(super) fn check(api_version: &str, kind: &str) -> Result<(), InvalidManifest> {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let refuse = |instead: &str| Err(InvalidManifest::Kind { kind: kind.to_owned(), instead: instead.to_owned() });
    if kind.ends_with("List") {
        return refuse(ONE);
    }
    if let Some((_, instead)) = REFUSED_GROUPS.iter().find(|(refused, _)| *refused == group) {
        return refuse(instead);
    }
    match REFUSED.iter().find(|(refused, kinds, _)| *refused == group && kinds.contains(&kind)) {
        Some((_, _, instead)) => refuse(instead),
        None => Ok(()),
    }
}

/// Objects of kinds that are possible which the cluster makes itself.
pub(super) fn check_object(kind: &str, name: &str, manifest: &Map<String, Json>) -> Result<(), InvalidManifest> {
    let refuse =
        |instead: &str| Err(InvalidManifest::Kind { kind: format!("{kind} {name}"), instead: instead.to_owned() });
    match kind {
        "ConfigMap" if name == "kube-root-ca.crt" => refuse(CONTROLLER),
        "ServiceAccount" if name == "default" => refuse("every namespace has its own, which is never changed"),
        "Secret" => match manifest.get("type").and_then(Json::as_str) {
            Some("kubernetes.io/service-account-token") => refuse(CONTROLLER),
            Some("bootstrap.kubernetes.io/token") => refuse(CLUSTER),
            _ => Ok(()),
        },
        // With them, whatever others reach at such an address would come here.
        "Service" if has_external_addresses(manifest) => {
            Err(shape("/spec/externalIPs", "not set: addresses outside are the cluster's to give"))
        }
        _ => Ok(()),
    }
}
