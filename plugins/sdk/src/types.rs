//! The records of the contract as plain Rust types. The contract documents what each must hold.

use serde::Serialize;

/// How much a diagnostic matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something will not be as it was meant.
    Warning,
    /// It cannot be done like that.
    Error,
}

/// One finding about a configuration or an application model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// A JSON pointer; empty: the whole text.
    pub path: String,
    /// The kind of finding, for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

/// A refusal that the driver foresaw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DriverError {
    /// The user can mend the input. At least one diagnostic is an error.
    Invalid(Vec<Diagnostic>),
    /// The cluster cannot do what is asked.
    Unsupported(String),
    /// The driver failed.
    Internal(String),
}

/// The cluster that is rendered for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The cluster's name, for messages.
    pub cluster: String,
    /// The namespace of every object.
    pub namespace: String,
    /// Such as `1.33`.
    pub kubernetes_version: String,
    /// `group/version/Kind` that the cluster serves.
    pub api_resources: Vec<String>,
    /// JSON texts of the StorageClass objects; empty when they could not be read.
    pub storage_classes: Vec<String>,
    /// JSON text of the driver's configuration for this cluster.
    pub config: String,
}

/// How the host applies an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ApplyMode {
    /// By server-side apply.
    ServerSideApply,
    /// Created if it is not there, never changed afterwards.
    CreateOnly,
    /// May be deleted and created again, where a person accepted that.
    RecreateOnImmutable,
}

/// One Kubernetes object that is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// The order among the objects of one component.
    pub wave: u32,
    /// How it is applied.
    pub mode: ApplyMode,
    /// The key of the component or resource that it belongs to.
    pub component: Option<String>,
    /// JSON text of the object.
    pub object: String,
}

/// Names an object within the target's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// `metadata.name`.
    pub name: String,
}

/// One object as it was found in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Observed {
    /// Which object.
    #[serde(rename = "ref")]
    pub reference: ObjectRef,
    /// JSON text of the live object; none: it is not in the cluster.
    pub object: Option<String>,
    /// JSON texts of the Kubernetes events about it, oldest first.
    pub events: Vec<String>,
}

/// The health of one object, or of several together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum HealthState {
    /// As wanted.
    Healthy,
    /// On its way.
    Progressing,
    /// Something is wrong; it may still mend itself.
    Degraded,
    /// Not in the cluster.
    Missing,
    /// Cannot be told.
    Unknown,
}

/// The health of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthItem {
    /// Which object.
    #[serde(rename = "ref")]
    pub reference: ObjectRef,
    /// How it is.
    pub state: HealthState,
    /// One word in CamelCase.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// The health of several objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Healthy exactly if every item is.
    pub state: HealthState,
    /// One for each object that no controller owns, in the order given.
    pub items: Vec<HealthItem>,
}

/// Who a driver is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// A DNS label that names it for good.
    pub id: String,
    /// What people call it.
    pub display_name: String,
    /// A semantic version.
    pub version: String,
    /// JSON Schema (2020-12) of its configuration.
    pub config_schema: String,
    /// What it can do beyond the least.
    pub features: Vec<String>,
}

/// What is to be rendered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RenderRequest {
    /// JSON text of the application model.
    pub application: String,
    /// The cluster.
    pub target: Target,
    /// Goes into the label `ropeway.dev/revision`.
    pub revision: String,
}

/// What was rendered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rendered {
    /// The objects.
    pub manifests: Vec<Manifest>,
    /// Information and warnings.
    pub diagnostics: Vec<Diagnostic>,
}

impl Diagnostic {
    /// It cannot be done like that.
    pub fn error(path: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, path: path.into(), code: code.to_owned(), message: message.into() }
    }

    /// Something will not be as it was meant.
    pub fn warning(path: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, path: path.into(), code: code.to_owned(), message: message.into() }
    }
}

impl HealthState {
    /// The state of several objects together, of which each is in one of the given states: the most urgent one.
    pub fn of_all(states: impl IntoIterator<Item = Self>) -> Self {
        states.into_iter().max_by_key(|state| state.urgency()).unwrap_or(Self::Healthy)
    }

    fn urgency(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Progressing => 1,
            Self::Unknown => 2,
            Self::Missing => 3,
            Self::Degraded => 4,
        }
    }
}

impl Health {
    /// The health of several objects together.
    pub fn of(items: Vec<HealthItem>) -> Self {
        Self { state: HealthState::of_all(items.iter().map(|item| item.state)), items }
    }
}
