//! How lists and maps of each type are merged and owned.
//!
//! Source: the OpenAPI document of Kubernetes 1.36 (`api/openapi-spec/swagger.json`), extensions
//! `x-kubernetes-list-type`, `x-kubernetes-list-map-keys` and `x-kubernetes-map-type`. What the table does not list has
//! none of them: maps and structures are granular, lists are atomic.

use serde_json::Value;

use crate::kind::Kind;

/// A key of an associative list, and its value where an item has none.
type Keys = &'static [(&'static str, Option<&'static str>)];

/// How a place of an object is merged and owned.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// Nothing is said: maps are granular, lists atomic.
    Plain,
    /// A map or structure of the type, field by field.
    Type(&'static str),
    /// One value, whatever it is made of.
    Atomic,
    /// A list whose items have keys; items are of the type (`ATOMIC` for one value).
    List(Keys, &'static str),
    /// A list of unique values.
    Set,
}

/// The item type of associative lists whose items are owned as a whole.
pub(crate) const ATOMIC: &str = "@atomic";

const NAME: Keys = &[("name", None)];
const TYPE: Keys = &[("type", None)];

use Place::{Atomic, List, Set, Type};

#[rustfmt::skip]
const TABLE: &[(&str, &str, Place)] = &[
    ("Object", "metadata", Type("ObjectMeta")), // of every kind
    ("ObjectMeta", "finalizers", Set),
    ("ObjectMeta", "ownerReferences", List(&[("uid", None)], ATOMIC)),

    ("Namespace", "status", Type("Conditioned")),
    ("Conditioned", "conditions", List(TYPE, "")),

    ("Node", "spec", Type("NodeSpec")),
    ("NodeSpec", "podCIDRs", Set),
    ("Node", "status", Type("NodeStatus")),
    ("NodeStatus", "conditions", List(TYPE, "")),
    ("NodeStatus", "addresses", List(TYPE, "")),

    ("PersistentVolume", "spec", Type("PersistentVolumeSpec")),
    ("PersistentVolumeSpec", "nodeAffinity", Type("VolumeNodeAffinity")),
    ("PersistentVolumeSpec", "claimRef", Atomic),
    ("PersistentVolumeSpec", "csi", Type("CSIPersistentVolumeSource")),
    ("PersistentVolumeSpec", "cephfs", Type("SecretRefVolumeSource")),
    ("PersistentVolumeSpec", "cinder", Type("SecretRefVolumeSource")),
    ("PersistentVolumeSpec", "flexVolume", Type("SecretRefVolumeSource")),
    ("PersistentVolumeSpec", "iscsi", Type("SecretRefVolumeSource")),
    ("PersistentVolumeSpec", "rbd", Type("SecretRefVolumeSource")),
    ("PersistentVolumeSpec", "scaleIO", Type("SecretRefVolumeSource")),
    ("PersistentVolumeSpec", "storageos", Type("SecretRefVolumeSource")),
    ("CSIPersistentVolumeSource", "controllerExpandSecretRef", Atomic),
    ("CSIPersistentVolumeSource", "controllerPublishSecretRef", Atomic),
    ("CSIPersistentVolumeSource", "nodeExpandSecretRef", Atomic),
    ("CSIPersistentVolumeSource", "nodePublishSecretRef", Atomic),
    ("CSIPersistentVolumeSource", "nodeStageSecretRef", Atomic),
    ("VolumeNodeAffinity", "required", Atomic),
    ("PersistentVolumeClaim", "spec", Type("PersistentVolumeClaimSpec")),
    ("PersistentVolumeClaim", "status", Type("Conditioned")),
    ("PersistentVolumeClaimSpec", "selector", Atomic),
    ("PersistentVolumeClaimSpec", "dataSource", Atomic),

    ("Service", "spec", Type("ServiceSpec")),
    ("Service", "status", Type("Conditioned")),
    ("ServiceSpec", "ports", List(&[("port", None), ("protocol", Some("TCP"))], "")),
    ("ServiceSpec", "selector", Atomic),
    ("ServiceAccount", "secrets", List(NAME, ATOMIC)),
    ("Event", "involvedObject", Atomic),
    ("Event", "related", Atomic),
    ("ResourceQuota", "spec", Type("ResourceQuotaSpec")),
    ("ResourceQuotaSpec", "scopeSelector", Atomic),

    ("Deployment", "spec", Type("WorkloadSpec")),
    ("Deployment", "status", Type("Conditioned")),
    ("ReplicaSet", "spec", Type("WorkloadSpec")),
    ("ReplicaSet", "status", Type("Conditioned")),
    ("StatefulSet", "spec", Type("WorkloadSpec")),
    ("StatefulSet", "status", Type("Conditioned")),
    ("Job", "spec", Type("WorkloadSpec")),
    ("WorkloadSpec", "selector", Atomic),
    ("WorkloadSpec", "template", Type("PodTemplateSpec")),
    ("PodTemplateSpec", "metadata", Type("ObjectMeta")),
    ("PodTemplateSpec", "spec", Type("PodSpec")),
    ("Job", "status", Type("JobStatus")),
    ("JobStatus", "uncountedTerminatedPods", Type("UncountedTerminatedPods")),
    ("UncountedTerminatedPods", "failed", Set),
    ("UncountedTerminatedPods", "succeeded", Set),

    ("Pod", "spec", Type("PodSpec")),
    ("Pod", "status", Type("PodStatus")),
    ("PodStatus", "conditions", List(TYPE, "")),
    ("PodStatus", "podIPs", List(&[("ip", None)], "")),
    ("PodStatus", "resourceClaimStatuses", List(NAME, "")),
    ("PodStatus", "resources", Type("ResourceRequirements")),
    ("PodSpec", "containers", List(NAME, "Container")),
    ("PodSpec", "initContainers", List(NAME, "Container")),
    ("PodSpec", "ephemeralContainers", List(NAME, "Container")),
    ("PodSpec", "volumes", List(NAME, "Volume")),
    ("PodSpec", "imagePullSecrets", List(NAME, ATOMIC)),
    ("PodSpec", "hostAliases", List(&[("ip", None)], "")),
    ("PodSpec", "topologySpreadConstraints", List(&[("topologyKey", None), ("whenUnsatisfiable", None)], "TopologySpreadConstraint")),
    ("PodSpec", "schedulingGates", List(NAME, "")),
    ("PodSpec", "resourceClaims", List(NAME, "")),
    ("PodSpec", "nodeSelector", Atomic),
    ("PodSpec", "affinity", Type("Affinity")),
    ("PodSpec", "resources", Type("ResourceRequirements")),
    ("Affinity", "nodeAffinity", Type("NodeAffinity")),
    ("NodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", Atomic),
    ("TopologySpreadConstraint", "labelSelector", Atomic),
    ("Container", "ports", List(&[("containerPort", None), ("protocol", Some("TCP"))], "")),
    ("Container", "env", List(NAME, "EnvVar")),
    ("Container", "volumeMounts", List(&[("mountPath", None)], "")),
    ("Container", "volumeDevices", List(&[("devicePath", None)], "")),
    ("Container", "resources", Type("ResourceRequirements")),
    ("ResourceRequirements", "claims", List(NAME, "")),
    ("EnvVar", "valueFrom", Type("EnvVarSource")),
    ("EnvVarSource", "configMapKeyRef", Atomic),
    ("EnvVarSource", "secretKeyRef", Atomic),
    ("EnvVarSource", "fieldRef", Atomic),
    ("EnvVarSource", "resourceFieldRef", Atomic),
    ("EnvVarSource", "fileKeyRef", Atomic),
    ("Volume", "ephemeral", Type("EphemeralVolumeSource")),
    ("Volume", "csi", Type("CSIVolumeSource")),
    ("Volume", "cephfs", Type("SecretRefVolumeSource")),
    ("Volume", "cinder", Type("SecretRefVolumeSource")),
    ("Volume", "scaleIO", Type("SecretRefVolumeSource")),
    ("Volume", "storageos", Type("SecretRefVolumeSource")),
    ("Volume", "flexVolume", Type("SecretRefVolumeSource")),
    ("Volume", "rbd", Type("SecretRefVolumeSource")),
    ("Volume", "iscsi", Type("SecretRefVolumeSource")),
    ("CSIVolumeSource", "nodePublishSecretRef", Atomic),
    ("SecretRefVolumeSource", "secretRef", Atomic),
    ("EphemeralVolumeSource", "volumeClaimTemplate", Type("PersistentVolumeClaimTemplate")),
    ("PersistentVolumeClaimTemplate", "metadata", Type("ObjectMeta")),
    ("PersistentVolumeClaimTemplate", "spec", Type("PersistentVolumeClaimSpec")),

    ("NetworkPolicy", "spec", Type("NetworkPolicySpec")),
    ("NetworkPolicySpec", "podSelector", Atomic),
    ("Ingress", "spec", Type("IngressSpec")),
    ("IngressSpec", "defaultBackend", Type("IngressBackend")),
    ("IngressBackend", "resource", Atomic),
    ("IngressBackend", "service", Type("IngressServiceBackend")),
    ("IngressServiceBackend", "port", Atomic),
    ("PodDisruptionBudget", "spec", Type("PodDisruptionBudgetSpec")),
    ("PodDisruptionBudget", "status", Type("Conditioned")),
    ("PodDisruptionBudgetSpec", "selector", Atomic),
    ("HorizontalPodAutoscaler", "status", Type("Conditioned")),
    ("RoleBinding", "roleRef", Atomic),
];

/// The place of a whole object.
pub(crate) fn root(kind: Kind) -> Place {
    Type(kind.description().kind)
}

impl Place {
    /// The place of a field of a map that is here.
    pub(crate) fn field(self, name: &str) -> Self {
        let Type(of) = self else { return Self::Plain };
        let root = Kind::ALL.iter().any(|kind| kind.description().kind == of);
        let of = if root && name == "metadata" { "Object" } else { of };
        TABLE
            .iter()
            .find(|(owner, field, _)| *owner == of && *field == name)
            .map_or(Self::Plain, |(_, _, place)| *place)
    }

    /// The place of an item of an associative list with this item type.
    pub(crate) fn item(of: &'static str) -> Self {
        match of {
            ATOMIC => Self::Atomic,
            "" => Self::Plain,
            other => Type(other),
        }
    }

    /// What a value here is: a map, an associative list, a set, or one value.
    pub(crate) fn shape(self, value: &Value) -> Shape {
        match (self, value) {
            (Self::Plain | Type(_), Value::Object(_)) => Shape::Map,
            (List(keys, of), Value::Array(_)) => Shape::List(keys, Self::item(of)),
            (Set, Value::Array(_)) => Shape::Set,
            _ => Shape::Leaf,
        }
    }
}

/// What a value is, seen from its place.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// A map, owned by its fields.
    Map,
    /// A list, owned by its items, with its keys and the place of its items.
    List(Keys, Place),
    /// A set, owned by its values.
    Set,
    /// One value.
    Leaf,
}

/// The keys of an item as canonical JSON, or nothing where one is missing.
pub(crate) fn key_of(item: &Value, keys: Keys) -> Option<String> {
    let mut found = std::collections::BTreeMap::new();
    for (key, default) in keys {
        let value = match item.get(key) {
            Some(value) if !value.is_null() => value.clone(),
            _ => Value::from((*default)?),
        };
        found.insert(*key, value);
    }
    serde_json::to_string(&found).ok()
}
