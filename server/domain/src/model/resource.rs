//! Kubernetes resources: other objects that belong to an application.

use super::Variable;
use crate::key::ResourceKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// Any other object of an application, as a manifest without status, namespace and what the API server adds.
/// The entries of a Secret are taken out of the manifest into `secret_data`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, bound(deserialize = "V: Deserialize<'de>"))]
pub struct Resource<V> {
    /// Its identity. In a version, and in what is compared with one, the template's key of it.
    pub key: ResourceKey,
    /// Such as `networking.k8s.io/v1`.
    pub api_version: String,
    /// Such as `NetworkPolicy`.
    pub kind: String,
    /// `metadata.name`, a DNS subdomain.
    pub name: String,
    /// The whole object but for the entries of a Secret.
    pub manifest: Map<String, Json>,
    /// The entries of a Secret, names unique.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_data: Vec<Variable<V>>,
}

/// Why a manifest cannot be a Kubernetes resource of an application.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidManifest {
    /// Not what every Kubernetes object has.
    #[error("{path}: {problem}")]
    Shape {
        /// JSON pointer.
        path: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A kind that components stand for, or that Kubernetes makes itself.
    #[error("a {kind} cannot be a Kubernetes resource of an application: {instead}")]
    Kind {
        /// Of the manifest.
        kind: String,
        /// What to do instead.
        instead: String,
    },
    /// More than fits.
    #[error("a manifest has at most {limit} bytes, not {bytes}")]
    TooLarge {
        /// As given.
        bytes: usize,
        /// The most.
        limit: usize,
    },
}

impl<V> Resource<V> {
    /// Whether it is this object in a cluster, in whatever version of its API.
    pub fn is_object(&self, api_version: &str, kind: &str, name: &str) -> bool {
        let group = |api_version: &str| api_version.split_once('/').map(|(group, _)| group.to_owned());
        self.name == name && self.kind == kind && group(&self.api_version) == group(api_version)
    }

    /// What pods see of it where it is configuration: its entries, and those that were taken out of a Secret.
    pub fn content(&self) -> (Option<&Json>, Option<&Json>, BTreeMap<&str, &V>) {
        let entries = self.secret_data.iter().map(|variable| (variable.name.as_str(), &variable.value));
        (self.manifest.get("data"), self.manifest.get("binaryData"), entries.collect())
    }

    /// Whether it carries environment or storage, which an upgrade never changes by itself.
    pub fn is_configuration(&self) -> bool {
        self.api_version == "v1" && matches!(self.kind.as_str(), "ConfigMap" | "Secret" | "PersistentVolumeClaim")
    }
}
