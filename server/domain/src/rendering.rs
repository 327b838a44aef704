//! The application model that drivers render: names, hosts and environments are resolved, secrets are placeholders.
//!
//! It travels as JSON; its JSON Schema is published beside the drivers' contract. It carries intent, never the keys of
//! one provider.

use crate::{
    key::{ComponentKey, ResourceKey, SecretId},
    model::{Port, Probe, Resources, ScaleRule, VolumeKind, WorkloadKind},
    quantity::Quantity,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

/// An application, as a driver gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationModel {
    /// The version of this model: `1`.
    pub model_version: String,
    /// What it belongs to.
    pub application: ApplicationNaming,
    /// What it runs.
    pub components: Vec<ComponentModel>,
    /// Its other objects.
    #[serde(default)]
    pub resources: Vec<ResourceModel>,
}

/// The names of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationNaming {
    /// Goes into the label `ropeway.dev/application`.
    pub id: Uuid,
    /// Goes into `app.kubernetes.io/part-of` and `app.kubernetes.io/instance`.
    pub slug: String,
}

/// One component, as a driver gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentModel {
    /// Goes into the label `ropeway.dev/component`; the selector of its pods is this label alone.
    pub key: ComponentKey,
    /// The installation that it came with; goes into the label `ropeway.dev/installation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation: Option<Uuid>,
    /// The number of the version that it came with; goes into `app.kubernetes.io/version` of objects, never of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The name of its objects.
    pub name: String,
    /// Goes into `app.kubernetes.io/name`.
    pub slug: String,
    /// Which kind of workload to make.
    pub kind: WorkloadKind,
    /// The whole reference, with its digest.
    pub image: String,
    /// The Secret with which it is pulled, where one is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_secret: Option<String>,
    /// Empty: the image's own.
    #[serde(default)]
    pub command: Vec<String>,
    /// Empty: the image's own.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// The whole environment: its own, then the connection info of what it depends on. Names are unique.
    #[serde(default)]
    pub environment: Vec<EnvironmentModel>,
    /// What it listens on; those that are open are ports of its Service.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// What it mounts.
    #[serde(default)]
    pub volumes: Vec<VolumeModel>,
    /// What it finds as files.
    #[serde(default)]
    pub config_files: Vec<ConfigFileModel>,
    /// Its health checks.
    #[serde(default)]
    pub probes: Vec<Probe>,
    /// What a replica asks for.
    #[serde(default)]
    pub resources: Resources,
    /// How many replicas run.
    pub replicas: u32,
    /// Within which numbers it may be scaled.
    pub scale_rule: ScaleRule,
    /// Other attributes, by the names of a Kubernetes PodSpec, and `labels` and `annotations` of the workload.
    #[serde(default)]
    pub attributes: Map<String, Json>,
    /// Changes whenever a secret or a configuration file changes. It goes into an annotation of the pod template, so
    /// that the pods that use them are started again.
    pub content_hash: String,
}

/// One variable of a component's environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentModel {
    /// Unique in its component.
    pub name: String,
    /// What it holds.
    pub value: ModelValue,
}

/// A value, or the placeholder of a secret, which may stand only in the entries of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ModelValue {
    /// A secret's placeholder. Put it as a whole into `stringData` of a Secret; the host fills the value in.
    Secret {
        /// `ropeway-secret:<id>`.
        secret: String,
    },
    /// No secret.
    Plain(String),
}

/// A volume of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeModel {
    /// Unique in its component.
    pub name: String,
    /// Where it is mounted.
    pub mount_path: String,
    /// The folder of it that is mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_path: Option<String>,
    /// The intent.
    pub kind: VolumeKind,
    /// How much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Quantity>,
    /// The class that a person insisted on; else the driver chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Mounted without the right to write.
    #[serde(default)]
    pub read_only: bool,
    /// The claim of another component that is mounted instead of an own one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
}

/// A configuration file of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigFileModel {
    /// Absolute.
    pub path: String,
    /// What is in it.
    pub content: ModelValue,
    /// Permission bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u16>,
}

/// A Kubernetes resource of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceModel {
    /// Goes into the label `ropeway.dev/component`.
    pub key: ResourceKey,
    /// The installation that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation: Option<Uuid>,
    /// The number of the version that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The object; a Secret's entries are in `secret_data`.
    pub manifest: Map<String, Json>,
    /// The entries of a Secret.
    #[serde(default)]
    pub secret_data: Vec<EnvironmentModel>,
}

/// What every placeholder begins with.
pub const PLACEHOLDER: &str = "ropeway-secret:";

/// What stands for a secret until the worker fills it in.
pub fn placeholder(secret: SecretId) -> String {
    format!("{PLACEHOLDER}{secret}")
}

/// The secret that a placeholder stands for.
pub fn placeholder_of(text: &str) -> Option<SecretId> {
    text.strip_prefix(PLACEHOLDER)?.parse().ok()
}
