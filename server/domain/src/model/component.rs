//! One workload of an application.

use super::{ConfigFile, Port, Probe, Resources, Scale, Slug, Variable, Volume};
use crate::{digest::Digest, key::ComponentKey, text::Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// One workload of an application. `V` is how its values are held: [`super::Value`] where it runs,
/// [`crate::PublishedValue`] in a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, bound(deserialize = "V: Deserialize<'de>"))]
pub struct Component<V> {
    /// Its identity. In a version, and in what is compared with one, the template's key of it.
    pub key: ComponentKey,
    /// What people call it.
    pub name: String,
    /// The part of its cluster name that is its own.
    pub slug: Slug,
    /// Which kind of workload it is.
    pub kind: WorkloadKind,
    /// What it runs.
    pub image: Image,
    /// Instead of the image's entry point; empty: the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<Text>,
    /// Instead of the image's arguments; empty: the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<Text>,
    /// Its own environment, names unique.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<Variable<V>>,
    /// What it offers to the environment of those that depend on it, names unique.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connection_info: Vec<Variable<V>>,
    /// What it listens on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// What it mounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// What it finds as files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config_files: Vec<ConfigFile<V>>,
    /// Its health checks, at most one of each kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<Probe>,
    /// What a replica asks for.
    #[serde(default)]
    pub resources: Resources,
    /// How many replicas, within which rule.
    pub scale: Scale,
    /// The components that must be healthy before it starts, and whose connection info it gets.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub dependencies: BTreeSet<ComponentKey>,
    /// Other attributes of its pods, by the names of a Kubernetes PodSpec (`nodeSelector`, `tolerations`,
    /// `securityContext` and so on), and `labels` and `annotations` of the workload.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub attributes: serde_json::Map<String, serde_json::Value>,
}

/// Where a component's image is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum Image {
    /// In the enterprise's library, whatever its address is. All that a version has are such.
    #[serde(rename_all = "camelCase")]
    Library {
        /// The repository within the library's registry.
        repository: String,
        /// Which image of it.
        digest: Digest,
    },
    /// As a person wrote it.
    Reference {
        /// An OCI reference, such as `docker.io/library/nginx:1.29`.
        reference: String,
    },
}

/// Kinds of workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum WorkloadKind {
    /// Replicas that are alike.
    Deployment,
    /// Replicas with a name and disks of their own.
    StatefulSet,
    /// Runs to its end, once.
    Job,
}

impl<V> Component<V> {
    /// The ConfigMaps and Secrets that its attributes name, by kind and name: its pods read them when they start.
    pub fn named_configuration(&self) -> BTreeSet<(&'static str, String)> {
        let mut found = BTreeSet::new();
        self.attributes.values().for_each(|value| named_in(value, &mut found));
        found
    }
}

fn named_in(value: &Json, found: &mut BTreeSet<(&'static str, String)>) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| named_in(item, found)),
        Json::Object(fields) => {
            for (field, value) in fields {
                let named = match field.as_str() {
                    "configMap" | "configMapRef" | "configMapKeyRef" => Some(("ConfigMap", value.get("name"))),
                    "secret" => Some(("Secret", value.get("secretName").or_else(|| value.get("name")))),
                    "secretRef" | "secretKeyRef" => Some(("Secret", value.get("name"))),
                    _ => None,
                };
                if let Some((kind, Some(Json::String(name)))) = named {
                    found.insert((kind, name.clone()));
                }
                named_in(value, found);
            }
        }
        _ => {}
    }
}

impl Image {
    /// The digest, where the image is named by one: a tag may be of another image at any time.
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Self::Library { digest, .. } => Some(digest.clone()),
            Self::Reference { reference } => reference.split_once('@')?.1.parse().ok(),
        }
    }
}

impl<V: Clone + PartialEq> Component<V> {
    /// Whether a run of it is a run of the other: they differ at most in what people call things. A Job that ran is not
    /// run again for that.
    pub fn runs_as(&self, other: &Self) -> bool {
        unnamed(self) == unnamed(other)
    }
}

impl<V: Clone> Component<V> {
    /// Itself with those of its volumes only that it did not have before.
    #[must_use]
    pub fn with_new_volumes(&self, before: &Self) -> Self {
        let mut component = self.clone();
        let of = |volume: &Volume| (volume.name.clone(), volume.kind, volume.shared_from);
        component.volumes.retain(|volume| !before.volumes.iter().any(|other| of(other) == of(volume)));
        component
    }
}

fn unnamed<V: Clone>(component: &Component<V>) -> Component<V> {
    let mut component = component.clone();
    component.name.clear();
    for variable in component.environment.iter_mut().chain(&mut component.connection_info) {
        variable.description = None;
        variable.decision = None;
    }
    for port in &mut component.ports {
        port.alias = None;
    }
    for file in &mut component.config_files {
        file.decision = None;
    }
    component
}
