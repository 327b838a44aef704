//! What goes into a driver and what comes out of it, checked.

use ropeway_domain::{ComponentKey, ResourceKey};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// The cluster that is rendered for, or whose objects are judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The cluster's name, for messages.
    pub cluster: String,
    /// The namespace of every object.
    pub namespace: String,
    /// Major and minor, such as `1.33`.
    pub kubernetes_version: String,
    /// `group/version/Kind` that the cluster serves, the core group left out: `v1/Service`.
    pub api_resources: Vec<String>,
    /// The StorageClass objects; empty when they could not be read.
    pub storage_classes: Vec<Json>,
    /// The driver's configuration for this cluster.
    pub config: Json,
}

/// How much a diagnostic matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something will not be as it was meant.
    Warning,
    /// It cannot be done like that.
    Error,
}

/// One finding of a driver about a configuration or an application model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// A JSON pointer into what was given; empty: the whole.
    pub path: String,
    /// The kind of finding, for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

/// How an object is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ApplyMode {
    /// By server-side apply.
    ServerSideApply,
    /// Created if it is not there, never changed afterwards.
    CreateOnly,
    /// As server-side apply; may be deleted and created again where a person accepted that.
    RecreateOnImmutable,
}

/// The part of an application that an object belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Owner {
    /// The application as a whole.
    Application,
    /// One of its components.
    Component(ComponentKey),
    /// One of its Kubernetes resources.
    Resource(ResourceKey),
}

/// One Kubernetes object that is to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The order among the objects of one owner, ascending.
    pub wave: u32,
    /// How it is applied.
    pub mode: ApplyMode,
    /// What it belongs to.
    pub owner: Owner,
    /// The object. Secrets are placeholders, whole values of `stringData` of a Secret.
    pub object: Json,
}

/// Names an object within the target's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// `metadata.name`.
    pub name: String,
}

/// One object as it was found in the cluster. Pods and ReplicaSets among the objects explain the health of the
/// workloads that own them.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Which object.
    pub reference: ObjectRef,
    /// The live object; none: it is not in the cluster.
    pub object: Option<Json>,
    /// The Kubernetes events about it, oldest first.
    pub events: Vec<Json>,
}

/// The health of one object, or of several together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HealthState {
    /// As wanted.
    Healthy,
    /// On its way; nothing is known to be wrong.
    Progressing,
    /// Something is wrong; it may still mend itself.
    Degraded,
    /// Not in the cluster.
    Missing,
    /// Cannot be told from what was found.
    Unknown,
}

/// The health of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthItem {
    /// Which object.
    pub reference: ObjectRef,
    /// How it is.
    pub state: HealthState,
    /// One word in CamelCase for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// The health of several objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Healthy exactly if every item is.
    pub state: HealthState,
    /// One for each object that no controller owns.
    pub items: Vec<HealthItem>,
}

/// How much a line of a driver's log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LogLevel {
    /// For the driver's author.
    Debug,
    /// What an operator may like to know.
    Info,
    /// What an operator should look at.
    Warn,
    /// What went wrong.
    Error,
}

/// One line of a driver's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// As the driver wrote it.
    pub message: String,
}
