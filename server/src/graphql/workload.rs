//! The parts of components, as they are shown: of those that run and of those in versions. A secret's value is in no
//! answer.

use super::scalar::Quantity;
use async_graphql::{Enum, ID, SimpleObject};
use ropeway_domain::{
    Component, ComponentKey, PublishedValue, Text, Value,
    model::{self, Variable},
};
use std::collections::BTreeMap;

/// Kinds of workload.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "model::WorkloadKind")]
pub enum WorkloadKind {
    /// Replicas that are alike.
    Deployment,
    /// Replicas with a name and disks of their own.
    StatefulSet,
    /// Runs to its end, once.
    Job,
}

/// What becomes of a secret when it is published.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretDecision {
    /// Every installation generates a value of its own, once.
    Generate,
    /// The installer supplies it.
    Ask,
    /// A person says that it is no secret: the value itself is published.
    Public,
}

/// A transport protocol.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "model::Protocol")]
pub enum TransportProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// Who may write a volume, and how long it lives.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "model::VolumeKind")]
pub enum VolumeKind {
    /// A disk: one writer. In a StatefulSet every replica has its own.
    Exclusive,
    /// Files: many writers.
    Shared,
    /// Lives and ends with its pod, on the node's disk.
    Ephemeral,
    /// Lives and ends with its pod, in memory.
    Memory,
}

/// What the outcome of a probe decides.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "model::ProbeKind")]
pub enum ProbeKind {
    /// The others wait for it.
    Startup,
    /// Whether traffic is sent.
    Readiness,
    /// Whether the container is started again.
    Liveness,
}

/// A variable of an environment or of connection info.
#[derive(Debug, Clone, SimpleObject)]
pub struct EnvironmentVariable {
    /// Its name.
    pub name: String,
    /// What it holds; null where it is a secret, or where every installation has its own.
    #[graphql(secret)]
    pub value: Option<String>,
    /// Whether its value is a secret.
    pub is_secret: bool,
    /// What a publication does with it.
    pub decision: Option<SecretDecision>,
    /// How its value is generated.
    pub generate: Option<GenerateRule>,
    /// For the people who have to supply it.
    pub description: Option<String>,
}

/// How a value is generated.
#[derive(Debug, Clone, SimpleObject)]
pub struct GenerateRule {
    /// Letters and digits.
    pub length: i32,
    /// Entries that share a group have the same value within one installation.
    pub group: Option<String>,
}

/// A port that a component listens on.
#[derive(Debug, Clone, SimpleObject)]
pub struct Port {
    /// 1 to 65535.
    pub number: i32,
    /// Transport.
    pub protocol: TransportProtocol,
    /// Unique in its component.
    pub name: String,
    /// What people call it.
    pub alias: Option<String>,
    /// Whether other components reach it.
    pub is_open: bool,
}

/// Storage that a component mounts.
#[derive(Debug, Clone, SimpleObject)]
pub struct Volume {
    /// Unique in its component.
    pub name: String,
    /// Where it is mounted.
    pub mount_path: String,
    /// The folder of the volume that is mounted; null: the whole.
    pub sub_path: Option<String>,
    /// Who may write it, and how long it lives.
    pub kind: VolumeKind,
    /// How much is asked for.
    pub size: Option<Quantity>,
    /// The class in this cluster, where one is insisted on.
    pub storage_class: Option<String>,
    /// Mounted without the right to write.
    pub read_only: bool,
    /// The component whose volume of the same name is mounted, where it is not this component's own.
    pub shared_from: Option<ID>,
}

/// A file that a component finds at a path.
#[derive(Debug, Clone, SimpleObject)]
pub struct ConfigFile {
    /// An absolute path.
    pub path: String,
    /// What is in it; null where it is a secret.
    #[graphql(secret)]
    pub content: Option<String>,
    /// Whether its content is a secret.
    pub is_secret: bool,
    /// Permission bits, as a decimal number: 420 is 0644.
    pub mode: Option<i32>,
}

/// A health check.
#[derive(Debug, Clone, SimpleObject)]
pub struct Probe {
    /// What its outcome decides.
    pub kind: ProbeKind,
    /// What is done.
    pub action: ProbeAction,
    /// Seconds before the first.
    pub initial_delay_seconds: i32,
    /// Seconds between two.
    pub period_seconds: i32,
    /// Seconds until one has failed.
    pub timeout_seconds: i32,
    /// Successes after a failure until it counts as healthy.
    pub success_threshold: i32,
    /// Failures until it counts as failed.
    pub failure_threshold: i32,
}

/// What a probe does: exactly one of http, tcp, grpc and exec.
#[derive(Debug, Clone, Default, SimpleObject)]
pub struct ProbeAction {
    /// GET this path; 200 to 399 is a success.
    pub http_path: Option<String>,
    /// `HTTP` or `HTTPS`.
    pub http_scheme: Option<String>,
    /// The port for HTTP, TCP and gRPC.
    pub port: Option<i32>,
    /// Whether it opens a connection.
    pub tcp: bool,
    /// The service that the gRPC health protocol is asked about; empty: the server as a whole.
    pub grpc_service: Option<String>,
    /// The command that is run in the container.
    pub exec: Option<Vec<String>>,
}

/// What one replica asks for and may use.
#[derive(Debug, Clone, SimpleObject)]
pub struct Resources {
    /// CPU that is set aside.
    pub cpu_request: Option<Quantity>,
    /// CPU at most.
    pub cpu_limit: Option<Quantity>,
    /// Memory that is set aside.
    pub memory_request: Option<Quantity>,
    /// Memory at most.
    pub memory_limit: Option<Quantity>,
}

/// Between which numbers of replicas a component may be scaled.
#[derive(Debug, Clone, SimpleObject)]
pub struct ScaleRule {
    /// The least. An installation starts so many.
    pub min_replicas: i32,
    /// The most.
    pub max_replicas: i32,
    /// Scaling accepts min, min + step, ... up to max.
    pub step: i32,
    /// What one replica needs at least.
    pub min_memory: Option<Quantity>,
    /// CPU that one replica needs at least.
    pub cpu: Option<Quantity>,
}

/// What texts are shown with: the names of the components that they name.
pub type Names = BTreeMap<ComponentKey, String>;

/// How a value is shown.
pub trait Shown {
    /// The text, where it is one, and whether it is a secret.
    fn shown(&self, names: &Names) -> (Option<String>, bool);

    /// What the value itself says a publication does with it.
    fn decision(&self) -> Option<model::SecretDecision> {
        None
    }
}

impl Shown for Value {
    fn shown(&self, names: &Names) -> (Option<String>, bool) {
        match self {
            Self::Text(text) => (Some(text.shown(names)), false),
            Self::Sealed { .. } => (None, true),
        }
    }
}

impl Shown for PublishedValue {
    fn shown(&self, names: &Names) -> (Option<String>, bool) {
        match self {
            Self::Text(text) => (Some(text.shown(names)), false),
            Self::Generate { .. } | Self::Ask { .. } => (None, true),
        }
    }

    fn decision(&self) -> Option<model::SecretDecision> {
        match self {
            Self::Text(_) => None,
            Self::Generate { generate } => Some(model::SecretDecision::Generate(generate.clone())),
            Self::Ask { .. } => Some(model::SecretDecision::Ask),
        }
    }
}

/// Variables, as they are shown.
pub fn variables<V: Shown>(variables: &[Variable<V>], names: &Names) -> Vec<EnvironmentVariable> {
    let show = |variable: &Variable<V>| {
        let (value, is_secret) = variable.value.shown(names);
        let decision = variable.decision.clone().or_else(|| variable.value.decision());
        let (decision, generate) = match decision {
            None => (None, None),
            Some(model::SecretDecision::Generate(rule)) => (Some(SecretDecision::Generate), Some(rule.into())),
            Some(model::SecretDecision::Ask) => (Some(SecretDecision::Ask), None),
            Some(model::SecretDecision::Public) => (Some(SecretDecision::Public), None),
        };
        let description = variable.description.clone();
        EnvironmentVariable { name: variable.name.clone(), value, is_secret, decision, generate, description }
    };
    variables.iter().map(show).collect()
}

/// Configuration files, as they are shown.
pub fn config_files<V: Shown>(component: &Component<V>, names: &Names) -> Vec<ConfigFile> {
    let show = |file: &model::ConfigFile<V>| {
        let (content, is_secret) = file.content.shown(names);
        ConfigFile { path: file.path.clone(), content, is_secret, mode: file.mode.map(i32::from) }
    };
    component.config_files.iter().map(show).collect()
}

/// Volumes, as they are shown; `shared_from` gives the id of the component whose volume is mounted.
pub fn volumes<V>(component: &Component<V>, shared_from: impl Fn(ComponentKey) -> Option<ID>) -> Vec<Volume> {
    let show = |volume: &model::Volume| Volume {
        name: volume.name.clone(),
        mount_path: volume.mount_path.clone(),
        sub_path: volume.sub_path.clone(),
        kind: volume.kind.into(),
        size: volume.size.clone().map(Into::into),
        storage_class: volume.storage_class.clone(),
        read_only: volume.read_only,
        shared_from: volume.shared_from.and_then(&shared_from),
    };
    component.volumes.iter().map(show).collect()
}

/// Texts, as they are shown.
pub fn texts(texts: &[Text], names: &Names) -> Vec<String> {
    texts.iter().map(|text| text.shown(names)).collect()
}

/// A number that is small by nature.
pub fn int(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl From<model::GenerateRule> for GenerateRule {
    fn from(rule: model::GenerateRule) -> Self {
        Self { length: rule.length.into(), group: rule.group }
    }
}

impl From<&model::Port> for Port {
    fn from(port: &model::Port) -> Self {
        Self {
            number: port.number.into(),
            protocol: port.protocol.into(),
            name: port.name.clone(),
            alias: port.alias.clone(),
            is_open: port.is_open,
        }
    }
}

impl From<&model::Probe> for Probe {
    fn from(probe: &model::Probe) -> Self {
        Self {
            kind: probe.kind.into(),
            action: (&probe.action).into(),
            initial_delay_seconds: int(probe.initial_delay_seconds),
            period_seconds: int(probe.period_seconds),
            timeout_seconds: int(probe.timeout_seconds),
            success_threshold: int(probe.success_threshold),
            failure_threshold: int(probe.failure_threshold),
        }
    }
}

impl From<&model::ProbeAction> for ProbeAction {
    fn from(action: &model::ProbeAction) -> Self {
        let empty = Self::default();
        match action {
            model::ProbeAction::Http { path, port, scheme } => {
                let scheme = match scheme {
                    model::UriScheme::Http => "HTTP",
                    model::UriScheme::Https => "HTTPS",
                };
                let port = Some(i32::from(*port));
                Self { http_path: Some(path.clone()), http_scheme: Some(scheme.to_owned()), port, ..empty }
            }
            model::ProbeAction::Tcp { port } => Self { tcp: true, port: Some(i32::from(*port)), ..empty },
            model::ProbeAction::Grpc { port, service } => {
                Self { grpc_service: Some(service.clone().unwrap_or_default()), port: Some(i32::from(*port)), ..empty }
            }
            model::ProbeAction::Exec { command } => Self { exec: Some(command.clone()), ..empty },
        }
    }
}

impl From<&model::Resources> for Resources {
    fn from(resources: &model::Resources) -> Self {
        let quantity = |quantity: &Option<ropeway_domain::Quantity>| quantity.clone().map(Quantity::from);
        Self {
            cpu_request: quantity(&resources.cpu_request),
            cpu_limit: quantity(&resources.cpu_limit),
            memory_request: quantity(&resources.memory_request),
            memory_limit: quantity(&resources.memory_limit),
        }
    }
}

impl From<&model::ScaleRule> for ScaleRule {
    fn from(rule: &model::ScaleRule) -> Self {
        Self {
            min_replicas: int(rule.min_replicas),
            max_replicas: int(rule.max_replicas),
            step: int(rule.step),
            min_memory: rule.min_memory.clone().map(Into::into),
            cpu: rule.cpu.clone().map(Into::into),
        }
    }
}
