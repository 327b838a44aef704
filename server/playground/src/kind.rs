//! The kinds of objects that a playground holds, and what the API says of each.

use k8s_openapi::api;
use serde_json::Value;

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Namespace,
    Node,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    Service,
    ConfigMap,
    Secret,
    ServiceAccount,
    Event,
    ResourceQuota,
    LimitRange,
    Endpoints,
    Deployment,
    ReplicaSet,
    StatefulSet,
    Job,
    NetworkPolicy,
    Ingress,
    IngressClass,
    PodDisruptionBudget,
    HorizontalPodAutoscaler,
    StorageClass,
    Role,
    RoleBinding,
    Lease,
    ControllerRevision,
}

/// What discovery says of a kind.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(crate) struct Description {
    /// The kind's name.
    pub(crate) kind: &'static str,
    /// Its name in addresses.
    pub(crate) plural: &'static str,
    /// Its name for one.
    pub(crate) singular: &'static str,
    /// Short names that kubectl takes.
    pub(crate) short: &'static [&'static str],
    /// The API group, empty for the core.
    pub(crate) group: &'static str,
    /// The version in the group.
    pub(crate) version: &'static str,
    /// Whether objects live in a namespace.
    pub(crate) namespaced: bool,
    /// Whether there is a status subresource.
    pub(crate) status: bool,
    /// Whether there is a scale subresource.
    pub(crate) scale: bool,
    /// Whether changes of the spec are counted.
    pub(crate) generation: bool,
    /// Whether `kubectl get all` shows it.
    pub(crate) all: bool,
}

macro_rules! description {
    ($kind:literal, $plural:literal, $singular:literal, $short:expr, $group:literal, $version:literal $(, $flag:ident)*) => {
        Description {
            kind: $kind,
            plural: $plural,
            singular: $singular,
            short: &$short,
            group: $group,
            version: $version,
            $($flag: true,)*
            ..NONE
        }
    };
}

const NONE: Description = Description {
    kind: "",
    plural: "",
    singular: "",
    short: &[],
    group: "",
    version: "",
    namespaced: false,
    status: false,
    scale: false,
    generation: false,
    all: false,
};

impl Kind {
    /// All kinds, in the order of discovery.
    pub(crate) const ALL: [Self; 27] = [
        Self::Namespace,
        Self::Node,
        Self::PersistentVolume,
        Self::PersistentVolumeClaim,
        Self::Pod,
        Self::Service,
        Self::ConfigMap,
        Self::Secret,
        Self::ServiceAccount,
        Self::Event,
        Self::ResourceQuota,
        Self::LimitRange,
        Self::Endpoints,
        Self::Deployment,
        Self::ReplicaSet,
        Self::StatefulSet,
        Self::Job,
        Self::NetworkPolicy,
        Self::Ingress,
        Self::IngressClass,
        Self::PodDisruptionBudget,
        Self::HorizontalPodAutoscaler,
        Self::StorageClass,
        Self::Role,
        Self::RoleBinding,
        Self::Lease,
        Self::ControllerRevision,
    ];

    /// What discovery says of this kind.
    pub(crate) fn description(self) -> &'static Description {
        static TABLE: std::sync::LazyLock<Vec<Description>> =
            std::sync::LazyLock::new(|| Kind::ALL.iter().map(|kind| kind.describe()).collect());
        &TABLE[self as usize]
    }

    /// The kind that an address names.
    pub(crate) fn find(group: &str, version: &str, plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| {
            let found = kind.description();
            found.group == group && found.version == version && found.plural == plural
        })
    }

    /// `v1` or `apps/v1`.
    pub(crate) fn api_version(self) -> String {
        let description = self.description();
        if description.group.is_empty() {
            description.version.to_owned()
        } else {
            format!("{}/{}", description.group, description.version)
        }
    }

    /// The plural with its group: `pods`, `deployments.apps`.
    pub(crate) fn qualified(self) -> String {
        let description = self.description();
        if description.group.is_empty() {
            description.plural.to_owned()
        } else {
            format!("{}.{}", description.plural, description.group)
        }
    }

    /// Reads the value as the type of this kind and writes it again: what is unknown is gone, what has a wrong type is an error.
    pub(crate) fn decode(self, value: Value) -> Result<Value, serde_json::Error> {
        fn through<T: serde::de::DeserializeOwned + serde::Serialize>(
            value: Value,
        ) -> Result<Value, serde_json::Error> {
            serde_json::to_value(serde_json::from_value::<T>(value)?)
        }
        match self {
            Self::Namespace => through::<api::core::v1::Namespace>(value),
            Self::Node => through::<api::core::v1::Node>(value),
            Self::PersistentVolume => through::<api::core::v1::PersistentVolume>(value),
            Self::PersistentVolumeClaim => through::<api::core::v1::PersistentVolumeClaim>(value),
            Self::Pod => through::<api::core::v1::Pod>(value),
            Self::Service => through::<api::core::v1::Service>(value),
            Self::ConfigMap => through::<api::core::v1::ConfigMap>(value),
            Self::Secret => through::<api::core::v1::Secret>(value),
            Self::ServiceAccount => through::<api::core::v1::ServiceAccount>(value),
            Self::Event => through::<api::core::v1::Event>(value),
            Self::ResourceQuota => through::<api::core::v1::ResourceQuota>(value),
            Self::LimitRange => through::<api::core::v1::LimitRange>(value),
            Self::Endpoints => through::<api::core::v1::Endpoints>(value),
            Self::Deployment => through::<api::apps::v1::Deployment>(value),
            Self::ReplicaSet => through::<api::apps::v1::ReplicaSet>(value),
            Self::StatefulSet => through::<api::apps::v1::StatefulSet>(value),
            Self::Job => through::<api::batch::v1::Job>(value),
            Self::NetworkPolicy => through::<api::networking::v1::NetworkPolicy>(value),
            Self::Ingress => through::<api::networking::v1::Ingress>(value),
            Self::IngressClass => through::<api::networking::v1::IngressClass>(value),
            Self::PodDisruptionBudget => through::<api::policy::v1::PodDisruptionBudget>(value),
            Self::HorizontalPodAutoscaler => through::<api::autoscaling::v2::HorizontalPodAutoscaler>(value),
            Self::StorageClass => through::<api::storage::v1::StorageClass>(value),
            Self::Role => through::<api::rbac::v1::Role>(value),
            Self::RoleBinding => through::<api::rbac::v1::RoleBinding>(value),
            Self::Lease => through::<api::coordination::v1::Lease>(value),
            Self::ControllerRevision => through::<api::apps::v1::ControllerRevision>(value),
        }
    }

    #[rustfmt::skip]
    #[expect(clippy::needless_update, reason = "the macro is for kinds with fewer flags too")]
    fn describe(self) -> Description {
        match self {
            Self::Namespace => description!("Namespace", "namespaces", "namespace", ["ns"], "", "v1", status),
            Self::Node => description!("Node", "nodes", "node", ["no"], "", "v1", status),
            Self::PersistentVolume => description!("PersistentVolume", "persistentvolumes", "persistentvolume", ["pv"], "", "v1", status),
            Self::PersistentVolumeClaim => description!("PersistentVolumeClaim", "persistentvolumeclaims", "persistentvolumeclaim", ["pvc"], "", "v1", namespaced, status),
            Self::Pod => description!("Pod", "pods", "pod", ["po"], "", "v1", namespaced, status, generation, all),
            Self::Service => description!("Service", "services", "service", ["svc"], "", "v1", namespaced, status, all),
            Self::ConfigMap => description!("ConfigMap", "configmaps", "configmap", ["cm"], "", "v1", namespaced),
            Self::Secret => description!("Secret", "secrets", "secret", [], "", "v1", namespaced),
            Self::ServiceAccount => description!("ServiceAccount", "serviceaccounts", "serviceaccount", ["sa"], "", "v1", namespaced),
            Self::Event => description!("Event", "events", "event", ["ev"], "", "v1", namespaced),
            Self::ResourceQuota => description!("ResourceQuota", "resourcequotas", "resourcequota", ["quota"], "", "v1", namespaced, status),
            Self::LimitRange => description!("LimitRange", "limitranges", "limitrange", ["limits"], "", "v1", namespaced),
            Self::Endpoints => description!("Endpoints", "endpoints", "endpoints", ["ep"], "", "v1", namespaced),
            Self::Deployment => description!("Deployment", "deployments", "deployment", ["deploy"], "apps", "v1", namespaced, status, scale, generation, all),
            Self::ReplicaSet => description!("ReplicaSet", "replicasets", "replicaset", ["rs"], "apps", "v1", namespaced, status, scale, generation, all),
            Self::StatefulSet => description!("StatefulSet", "statefulsets", "statefulset", ["sts"], "apps", "v1", namespaced, status, scale, generation, all),
            Self::Job => description!("Job", "jobs", "job", [], "batch", "v1", namespaced, status, generation, all),
            Self::NetworkPolicy => description!("NetworkPolicy", "networkpolicies", "networkpolicy", ["netpol"], "networking.k8s.io", "v1", namespaced, generation),
            Self::Ingress => description!("Ingress", "ingresses", "ingress", ["ing"], "networking.k8s.io", "v1", namespaced, status, generation),
            Self::IngressClass => description!("IngressClass", "ingressclasses", "ingressclass", [], "networking.k8s.io", "v1", generation),
            Self::PodDisruptionBudget => description!("PodDisruptionBudget", "poddisruptionbudgets", "poddisruptionbudget", ["pdb"], "policy", "v1", namespaced, status, generation),
            Self::HorizontalPodAutoscaler => description!("HorizontalPodAutoscaler", "horizontalpodautoscalers", "horizontalpodautoscaler", ["hpa"], "autoscaling", "v2", namespaced, status, all),
            Self::StorageClass => description!("StorageClass", "storageclasses", "storageclass", ["sc"], "storage.k8s.io", "v1"),
            Self::Role => description!("Role", "roles", "role", [], "rbac.authorization.k8s.io", "v1", namespaced),
            Self::RoleBinding => description!("RoleBinding", "rolebindings", "rolebinding", [], "rbac.authorization.k8s.io", "v1", namespaced),
            Self::Lease => description!("Lease", "leases", "lease", [], "coordination.k8s.io", "v1", namespaced),
            Self::ControllerRevision => description!("ControllerRevision", "controllerrevisions", "controllerrevision", [], "apps", "v1", namespaced),
        }
    }
}
