//! The settings of components and their parts, as they are written.

use super::{
    id,
    scalar::Quantity,
    workload::{ProbeKind, SecretDecision, TransportProtocol, VolumeKind},
};
use crate::{
    error::{Error, UserError},
    seal::Secret,
    service::{
        component_settings::{GivenFile, GivenVariable, GivenVolume, Settings},
        problems::Problems,
    },
};
use async_graphql::{ID, InputObject};
use ropeway_domain::{
    model::{self, GenerateRule, Port, Probe, ProbeAction, Resources, ScaleRule, UriScheme, Volume},
    validate::MAX_PARTS,
};
use serde_json::{Map, Value as Json};

/// Settings of a component. A list replaces the whole list; what is left out stays. A secret sent without a value keeps
/// the one it has.
#[derive(InputObject, Default)]
pub struct ComponentSettingsInput {
    /// Instead of the image's entry point; empty: the image's own.
    pub command: Option<Vec<String>>,
    /// Instead of the image's arguments; empty: the image's own.
    pub arguments: Option<Vec<String>>,
    /// Its own environment, names unique, 200 at most.
    pub environment: Option<Vec<EnvironmentVariableInput>>,
    /// What it offers to the environment of those that depend on it, names unique, 200 at most.
    pub connection_info: Option<Vec<EnvironmentVariableInput>>,
    /// What it listens on, 64 at most.
    pub ports: Option<Vec<PortInput>>,
    /// What it mounts.
    pub volumes: Option<Vec<VolumeInput>>,
    /// What it finds as files.
    pub config_files: Option<Vec<ConfigFileInput>>,
    /// Its health checks, at most one of each kind.
    pub probes: Option<Vec<ProbeInput>>,
    /// What a replica asks for and may use.
    pub resources: Option<ResourcesInput>,
    /// Between which numbers of replicas it may be scaled.
    pub scale_rule: Option<ScaleRuleInput>,
    /// How many replicas run: 0, or a number that the scale rule accepts. A new component has the minimum of its rule.
    pub replicas: Option<i32>,
    /// The components of the same application that must be healthy before it starts, and whose connection info it gets.
    pub dependencies: Option<Vec<ID>>,
    /// Other attributes of its pods, by the names of a Kubernetes PodSpec, and `labels` and `annotations` of the workload.
    pub attributes: Option<Json>,
}

/// A variable of an environment or of connection info.
#[derive(InputObject)]
pub struct EnvironmentVariableInput {
    /// Its name: letters, digits, `_`, `.` and `-`.
    pub name: String,
    /// Its value, 32 KiB at most. Host names of components of the same application are recognized. A secret may be left
    /// out: it keeps the value that it has, or gets a generated one where the decision is GENERATE.
    #[graphql(secret)]
    pub value: Option<String>,
    /// Whether its value is a secret, which is sealed and never shown. Left out: whether it was, or whether the decision
    /// makes it one.
    pub secret: Option<bool>,
    /// What a publication shall do with it.
    pub decision: Option<SecretDecision>,
    /// How it is generated, where the decision is GENERATE.
    pub generate: Option<GenerateRuleInput>,
    /// For the people who have to supply it, 1000 characters at most.
    pub description: Option<String>,
}

/// How a value is generated.
#[derive(InputObject)]
pub struct GenerateRuleInput {
    /// Letters and digits: 22 to 256, by default 24.
    pub length: Option<i32>,
    /// Entries that share a group have the same value.
    pub group: Option<String>,
}

/// A port that a component listens on.
#[derive(InputObject)]
pub struct PortInput {
    /// 1 to 65535.
    pub number: i32,
    /// By default TCP.
    pub protocol: Option<TransportProtocol>,
    /// At most 15 lower-case letters, digits and `-`, unique in its component; by default made of protocol and number.
    pub name: Option<String>,
    /// What people call it.
    pub alias: Option<String>,
    /// Whether other components reach it; by default they do.
    pub is_open: Option<bool>,
}

/// Storage that a component mounts.
#[derive(InputObject)]
pub struct VolumeInput {
    /// A DNS label, unique in its component.
    pub name: String,
    /// An absolute path, unique in its component.
    pub mount_path: String,
    /// The folder of the volume that is mounted; by default the whole.
    pub sub_path: Option<String>,
    /// Who may write it, and how long it lives.
    pub kind: VolumeKind,
    /// How much is asked for. Exclusive and shared volumes have one; memory may.
    pub size: Option<Quantity>,
    /// The class in this cluster, where one is insisted on; by default the cluster's driver chooses.
    pub storage_class: Option<String>,
    /// Mounted without the right to write.
    pub read_only: Option<bool>,
    /// The component whose volume of the same name is mounted, where it is not this component's own.
    pub shared_from: Option<ID>,
}

/// A file that a component finds at a path.
#[derive(InputObject)]
pub struct ConfigFileInput {
    /// An absolute path, unique in its component.
    pub path: String,
    /// UTF-8 text of at most 512 KiB. Left out: the content that it has.
    #[graphql(secret)]
    pub content: Option<String>,
    /// Whether its content is a secret. Left out: whether it was.
    pub secret: Option<bool>,
    /// Permission bits, as a decimal number: 420 is 0644.
    pub mode: Option<i32>,
}

/// A health check: exactly one of an HTTP path, TCP, a gRPC service and a command.
#[derive(InputObject)]
pub struct ProbeInput {
    /// What its outcome decides.
    pub kind: ProbeKind,
    /// GET this path on the port; 200 to 399 is a success.
    pub http_path: Option<String>,
    /// `HTTP` (by default) or `HTTPS`.
    pub http_scheme: Option<String>,
    /// The port for HTTP, TCP and gRPC.
    pub port: Option<i32>,
    /// Open a connection to the port.
    pub tcp: Option<bool>,
    /// Ask the gRPC health protocol about this service; empty: about the server as a whole.
    pub grpc_service: Option<String>,
    /// Run this command in the container; status 0 is a success.
    pub exec: Option<Vec<String>>,
    /// Seconds before the first; by default 0.
    pub initial_delay_seconds: Option<i32>,
    /// Seconds between two; by default 10.
    pub period_seconds: Option<i32>,
    /// Seconds until one has failed; by default 1.
    pub timeout_seconds: Option<i32>,
    /// Successes after a failure until it counts as healthy; by default 1.
    pub success_threshold: Option<i32>,
    /// Failures until it counts as failed; by default 3.
    pub failure_threshold: Option<i32>,
}

/// What one replica asks for and may use. What is left out is not set.
#[derive(InputObject)]
pub struct ResourcesInput {
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
#[derive(InputObject)]
pub struct ScaleRuleInput {
    /// 0 to the maximum. An installation starts so many.
    pub min_replicas: i32,
    /// At most 10000.
    pub max_replicas: i32,
    /// Scaling accepts min, min + step, ... up to max; by default 1.
    pub step: Option<i32>,
    /// What one replica needs at least.
    pub min_memory: Option<Quantity>,
    /// CPU that one replica needs at least.
    pub cpu: Option<Quantity>,
}

impl ComponentSettingsInput {
    /// Reads the settings; what cannot be read is told with its path.
    pub fn read(self, problems: &mut Problems) -> Settings {
        let mut at = Place { problems, path: vec!["settings".to_owned()] };
        Settings {
            command: self.command,
            arguments: self.arguments,
            environment: self.environment.map(|list| at.each("environment", list, variable)),
            connection_info: self.connection_info.map(|list| at.each("connectionInfo", list, variable)),
            ports: self.ports.map(|list| at.each("ports", list, port)),
            volumes: self.volumes.map(|list| at.each("volumes", list, volume)),
            config_files: self.config_files.map(|list| at.each("configFiles", list, file)),
            probes: self.probes.map(|list| at.each("probes", list, probe)),
            resources: self.resources.map(Into::into),
            scale_rule: self.scale_rule.map(|rule| at.below("scaleRule", |at| scale_rule(at, rule))),
            replicas: self.replicas.map(|replicas| at.number("replicas", replicas, 0)),
            dependencies: self.dependencies.map(|ids| {
                let read = id::decode_list(&ids, "dependencies", MAX_PARTS);
                at.id("dependencies", read).unwrap_or_default()
            }),
            attributes: self.attributes.map(|attributes| match attributes {
                Json::Object(attributes) => attributes,
                Json::Null => Map::new(),
                _ => {
                    at.problem("attributes", "INVALID", "an object is needed");
                    Map::new()
                }
            }),
        }
    }
}

/// Reads one variable. Problems are told below `path`.
pub fn read_variable(input: EnvironmentVariableInput, problems: &mut Problems, path: Vec<String>) -> GivenVariable {
    variable(&mut Place { problems, path }, input)
}

/// Reads a scale rule. Problems are told below `path`.
pub fn read_scale_rule(input: ScaleRuleInput, problems: &mut Problems, path: Vec<String>) -> ScaleRule {
    scale_rule(&mut Place { problems, path }, input)
}

/// Reads a decision about a secret. Problems are told below `path`.
pub fn read_decision(
    decision: Option<SecretDecision>,
    generate: Option<GenerateRuleInput>,
    problems: &mut Problems,
    path: Vec<String>,
) -> Option<model::SecretDecision> {
    self::decision(&mut Place { problems, path }, decision, generate)
}

/// Where in the input the reader is.
struct Place<'a> {
    problems: &'a mut Problems,
    path: Vec<String>,
}

impl Place<'_> {
    fn below<T>(&mut self, segment: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(segment.to_owned());
        let read = read(self);
        self.path.pop();
        read
    }

    fn each<T, U>(&mut self, field: &str, list: Vec<T>, read: impl Fn(&mut Self, T) -> U) -> Vec<U> {
        let entries = list.into_iter().enumerate();
        self.below(field, |at| {
            entries.map(|(index, entry)| at.below(&index.to_string(), |at| read(at, entry))).collect()
        })
    }

    fn problem(&mut self, field: &str, code: &str, message: impl Into<String>) {
        let path = self.path.iter().cloned().chain([field.to_owned()]);
        self.problems.add(UserError::new(code, message).at(path));
    }

    /// A number of another type; where it does not fit, that is told, and `instead` is taken.
    fn number<T: TryFrom<i32>>(&mut self, field: &str, number: i32, instead: T) -> T {
        match number.try_into() {
            Ok(number) => number,
            Err(_) => {
                self.problem(field, "OUT_OF_RANGE", format!("{number} is out of range"));
                instead
            }
        }
    }

    fn id<T>(&mut self, field: &str, read: Result<T, Error>) -> Option<T> {
        match read {
            Ok(read) => Some(read),
            Err(error) => {
                self.problem(field, "INVALID_ID", error.to_string());
                None
            }
        }
    }
}

fn variable(at: &mut Place<'_>, input: EnvironmentVariableInput) -> GivenVariable {
    GivenVariable {
        name: input.name,
        value: input.value.map(Secret::new),
        secret: input.secret,
        decision: decision(at, input.decision, input.generate),
        description: input.description,
    }
}

fn decision(
    at: &mut Place<'_>,
    decision: Option<SecretDecision>,
    generate: Option<GenerateRuleInput>,
) -> Option<model::SecretDecision> {
    match (decision, generate) {
        (Some(SecretDecision::Generate), None) => Some(model::SecretDecision::Generate(GenerateRule::default())),
        (Some(SecretDecision::Generate) | None, Some(rule)) => {
            let default = GenerateRule::DEFAULT_LENGTH;
            let length =
                rule.length.map_or(default, |length| at.below("generate", |at| at.number("length", length, default)));
            match GenerateRule::new(length, rule.group) {
                Ok(rule) => Some(model::SecretDecision::Generate(rule)),
                Err(error) => {
                    at.problem("generate", "INVALID", error.to_string());
                    None
                }
            }
        }
        (Some(_), Some(_)) => {
            at.problem("generate", "INVALID", "a rule goes with the decision GENERATE only");
            None
        }
        (Some(SecretDecision::Ask), None) => Some(model::SecretDecision::Ask),
        (Some(SecretDecision::Public), None) => Some(model::SecretDecision::Public),
        (None, None) => None,
    }
}

fn port(at: &mut Place<'_>, input: PortInput) -> Port {
    let protocol: model::Protocol = input.protocol.unwrap_or(TransportProtocol::Tcp).into();
    let number = at.number("number", input.number, 0);
    let prefix = match protocol {
        model::Protocol::Tcp => "tcp",
        model::Protocol::Udp => "udp",
        model::Protocol::Sctp => "sctp",
    };
    Port {
        number,
        protocol,
        name: input.name.unwrap_or_else(|| format!("{prefix}-{number}")),
        alias: input.alias,
        is_open: input.is_open.unwrap_or(true),
    }
}

fn volume(at: &mut Place<'_>, input: VolumeInput) -> GivenVolume {
    let shared_from = id::decode_option(input.shared_from.as_ref(), "sharedFrom");
    let volume = Volume {
        name: input.name,
        mount_path: input.mount_path,
        sub_path: input.sub_path,
        kind: input.kind.into(),
        size: input.size.map(|size| size.0),
        storage_class: input.storage_class,
        read_only: input.read_only.unwrap_or(false),
        shared_from: None,
    };
    GivenVolume { volume, shared_from: at.id("sharedFrom", shared_from).flatten() }
}

fn file(at: &mut Place<'_>, input: ConfigFileInput) -> GivenFile {
    GivenFile {
        path: input.path,
        content: input.content.map(Secret::new),
        secret: input.secret,
        mode: input.mode.map(|mode| at.number("mode", mode, 0)),
    }
}

fn probe(at: &mut Place<'_>, input: ProbeInput) -> Probe {
    let number = |at: &mut Place<'_>, field: &str, given: Option<i32>, default: u32| -> u32 {
        given.map_or(default, |given| at.number(field, given, default))
    };
    Probe {
        kind: input.kind.into(),
        initial_delay_seconds: number(at, "initialDelaySeconds", input.initial_delay_seconds, 0),
        period_seconds: number(at, "periodSeconds", input.period_seconds, 10),
        timeout_seconds: number(at, "timeoutSeconds", input.timeout_seconds, 1),
        success_threshold: number(at, "successThreshold", input.success_threshold, 1),
        failure_threshold: number(at, "failureThreshold", input.failure_threshold, 3),
        action: action(at, input),
    }
}

fn action(at: &mut Place<'_>, input: ProbeInput) -> ProbeAction {
    let ways = [input.http_path.is_some(), input.tcp == Some(true), input.grpc_service.is_some(), input.exec.is_some()];
    if ways.iter().filter(|way| **way).count() != 1 {
        at.problem("kind", "INVALID", "a probe does exactly one of httpPath, tcp, grpcService and exec");
    }
    if let Some(command) = input.exec {
        return ProbeAction::Exec { command };
    }
    let port = match input.port {
        Some(port) => at.number("port", port, 0),
        None => {
            at.problem("port", "REQUIRED", "a port is needed");
            0
        }
    };
    if let Some(path) = input.http_path {
        let scheme = match input.http_scheme.as_deref() {
            None | Some("HTTP") => UriScheme::Http,
            Some("HTTPS") => UriScheme::Https,
            Some(_) => {
                at.problem("httpScheme", "INVALID", "HTTP or HTTPS");
                UriScheme::Http
            }
        };
        return ProbeAction::Http { path, port, scheme };
    }
    match input.grpc_service {
        Some(service) => ProbeAction::Grpc { port, service: Some(service).filter(|service| !service.is_empty()) },
        None => ProbeAction::Tcp { port },
    }
}

fn scale_rule(at: &mut Place<'_>, input: ScaleRuleInput) -> ScaleRule {
    ScaleRule {
        min_replicas: at.number("minReplicas", input.min_replicas, 0),
        max_replicas: at.number("maxReplicas", input.max_replicas, 0),
        step: input.step.map_or(1, |step| at.number("step", step, 1)),
        min_memory: input.min_memory.map(|quantity| quantity.0),
        cpu: input.cpu.map(|quantity| quantity.0),
    }
}

impl From<ResourcesInput> for Resources {
    fn from(input: ResourcesInput) -> Self {
        let quantity = |quantity: Option<Quantity>| quantity.map(|quantity| quantity.0);
        Self {
            cpu_request: quantity(input.cpu_request),
            cpu_limit: quantity(input.cpu_limit),
            memory_request: quantity(input.memory_request),
            memory_limit: quantity(input.memory_limit),
        }
    }
}
