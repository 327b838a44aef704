//! The settings of a component: what a person wrote, brought into what the component shall be. Lists replace lists,
//! what is left out stays, and a secret that is sent without a value keeps the one that it has.

use crate::{
    app::App,
    clock,
    error::{Result, UserError},
    id::{ComponentId, EnterpriseId},
    seal::{Sealer, Secret},
    service::{edit, problems::Problems, state::ApplicationState},
    store::{Instant, sealed_value::SealedValue},
};
use ropeway_domain::{
    Component, ComponentKey, SecretId, Text, Value,
    model::{ConfigFile, GenerateRule, Port, Probe, Resources, ScaleRule, SecretDecision, Variable, Volume},
    names::host_names,
    validate::{MAX_FILE, MAX_VALUE},
};
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, BTreeSet};

/// What a person wrote; what is none stays as it is.
#[derive(Debug, Default)]
pub struct Settings {
    /// Instead of the image's entry point.
    pub command: Option<Vec<String>>,
    /// Instead of the image's arguments.
    pub arguments: Option<Vec<String>>,
    /// Its own environment.
    pub environment: Option<Vec<GivenVariable>>,
    /// What it offers to those that depend on it.
    pub connection_info: Option<Vec<GivenVariable>>,
    /// What it listens on.
    pub ports: Option<Vec<Port>>,
    /// What it mounts.
    pub volumes: Option<Vec<GivenVolume>>,
    /// What it finds as files.
    pub config_files: Option<Vec<GivenFile>>,
    /// Its health checks.
    pub probes: Option<Vec<Probe>>,
    /// What a replica asks for.
    pub resources: Option<Resources>,
    /// Between which numbers of replicas it may be scaled.
    pub scale_rule: Option<ScaleRule>,
    /// How many replicas run.
    pub replicas: Option<u32>,
    /// The components that it depends on.
    pub dependencies: Option<Vec<ComponentId>>,
    /// Other attributes of its pods.
    pub attributes: Option<Map<String, Json>>,
}

/// A variable as a person wrote it.
#[derive(Debug)]
pub struct GivenVariable {
    /// Its name.
    pub name: String,
    /// Its value, which may be a secret.
    pub value: Option<Secret>,
    /// Whether it is one.
    pub secret: Option<bool>,
    /// What a publication shall do with it.
    pub decision: Option<SecretDecision>,
    /// For people.
    pub description: Option<String>,
}

/// A configuration file as a person wrote it.
#[derive(Debug)]
pub struct GivenFile {
    /// Where it is found.
    pub path: String,
    /// What is in it, which may be a secret.
    pub content: Option<Secret>,
    /// Whether it is one.
    pub secret: Option<bool>,
    /// Permission bits.
    pub mode: Option<u16>,
}

/// A volume as a person wrote it.
#[derive(Debug)]
pub struct GivenVolume {
    /// All but whose it is.
    pub volume: Volume,
    /// The component whose volume of the same name is mounted.
    pub shared_from: Option<ComponentId>,
}

/// Brings settings into specifications. It seals secrets on the way, and gathers what is wrong.
pub struct Writer<'a> {
    sealer: &'a Sealer,
    enterprise: EnterpriseId,
    now: Instant,
    state: &'a ApplicationState,
    hosts: BTreeMap<String, ComponentKey>,
    names: BTreeMap<ComponentKey, String>,
    groups: BTreeMap<String, SecretId>,
    /// To be stored together with the specification.
    pub sealed: Vec<SealedValue>,
    /// What the person has to mend.
    pub problems: Problems,
}

/// A value with what is said of it.
struct Given {
    value: Option<Secret>,
    secret: Option<bool>,
    decision: Option<SecretDecision>,
}

impl<'a> Writer<'a> {
    /// For a component with this key and name in the cluster, which may be new.
    pub fn new(app: &'a App, state: &'a ApplicationState, key: ComponentKey, cluster_name: &str) -> Self {
        let desired = state.components.values().filter(|row| row.desired.is_some());
        let mut names: BTreeMap<_, _> = desired.clone().map(|row| (row.key.0, row.cluster_name.clone())).collect();
        names.insert(key, cluster_name.to_owned());
        let namespace = &state.application.namespace;
        let hosts = host_names(names.iter().map(|(key, name)| (*key, name.as_str())), namespace);
        let installation = state.components.get(&key).and_then(|row| row.installation_id);
        let installation = state.installations.iter().find(|one| Some(one.id) == installation);
        let mut groups = installation.map(|one| one.secret_groups.0.clone()).unwrap_or_default();
        for spec in desired.filter_map(|row| row.desired.as_ref()) {
            for variable in spec.0.environment.iter().chain(&spec.0.connection_info) {
                if let (Some(group), Some(id)) = (group_of(variable.decision.as_ref()), variable.value.sealed()) {
                    groups.entry(group.to_owned()).or_insert(id);
                }
            }
        }
        Self {
            sealer: &app.sealer,
            enterprise: state.application.enterprise_id,
            now: app.clock.now(),
            state,
            hosts,
            names,
            groups,
            sealed: Vec::new(),
            problems: Problems::new(),
        }
    }

    /// Brings settings into a specification.
    pub fn apply(&mut self, settings: Settings, spec: &mut Component<Value>) -> Result<()> {
        if let Some(command) = settings.command {
            spec.command = command.iter().map(|text| self.text(text)).collect();
        }
        if let Some(arguments) = settings.arguments {
            spec.arguments = arguments.iter().map(|text| self.text(text)).collect();
        }
        if let Some(given) = settings.environment {
            spec.environment = self.variables("environment", given, &spec.environment)?;
        }
        if let Some(given) = settings.connection_info {
            spec.connection_info = self.variables("connectionInfo", given, &spec.connection_info)?;
        }
        if let Some(ports) = settings.ports {
            spec.ports = ports;
        }
        if let Some(given) = settings.volumes {
            spec.volumes = self.volumes(given);
        }
        if let Some(given) = settings.config_files {
            spec.config_files = self.files(given, &spec.config_files)?;
        }
        if let Some(probes) = settings.probes {
            spec.probes = probes;
        }
        if let Some(resources) = settings.resources {
            spec.resources = resources;
        }
        if let Some(rule) = settings.scale_rule {
            spec.scale.rule = rule;
        }
        if let Some(replicas) = settings.replicas {
            spec.scale.replicas = replicas;
        }
        if let Some(given) = settings.dependencies {
            spec.dependencies = self.dependencies(&given);
        }
        if let Some(attributes) = settings.attributes {
            spec.attributes = attributes;
        }
        Ok(())
    }

    fn variables(
        &mut self,
        field: &str,
        given: Vec<GivenVariable>,
        old: &[Variable<Value>],
    ) -> Result<Vec<Variable<Value>>> {
        let mut variables = Vec::with_capacity(given.len());
        for (index, one) in given.into_iter().enumerate() {
            let before = old.iter().find(|variable| variable.name == one.name).map(|variable| &variable.value);
            let given = Given { value: one.value, secret: one.secret, decision: one.decision.clone() };
            let path = ["settings".to_owned(), field.to_owned(), index.to_string(), "value".to_owned()];
            let value = self.value(&path, given, before, MAX_VALUE)?;
            variables.push(Variable { name: one.name, value, description: one.description, decision: one.decision });
        }
        Ok(variables)
    }

    fn files(&mut self, given: Vec<GivenFile>, old: &[ConfigFile<Value>]) -> Result<Vec<ConfigFile<Value>>> {
        let mut files = Vec::with_capacity(given.len());
        for (index, one) in given.into_iter().enumerate() {
            let before = old.iter().find(|file| file.path == one.path);
            let given = Given { value: one.content, secret: one.secret, decision: None };
            let path = ["settings".to_owned(), "configFiles".to_owned(), index.to_string(), "content".to_owned()];
            let content = self.value(&path, given, before.map(|file| &file.content), MAX_FILE)?;
            let decision = before.and_then(|file| file.decision.clone());
            files.push(ConfigFile { path: one.path, content, mode: one.mode, decision });
        }
        Ok(files)
    }

    fn volumes(&mut self, given: Vec<GivenVolume>) -> Vec<Volume> {
        let mut volumes = Vec::with_capacity(given.len());
        for (index, one) in given.into_iter().enumerate() {
            let mut volume = one.volume;
            if let Some(id) = one.shared_from {
                volume.shared_from = edit::component_key(self.state, id);
                if volume.shared_from.is_none() {
                    let path = ["settings", "volumes", &index.to_string(), "sharedFrom"];
                    self.problems.add(unknown_component().at(path));
                }
            }
            volumes.push(volume);
        }
        volumes
    }

    fn dependencies(&mut self, given: &[ComponentId]) -> BTreeSet<ComponentKey> {
        let mut keys = BTreeSet::new();
        for (index, id) in given.iter().enumerate() {
            match edit::component_key(self.state, *id) {
                Some(key) => _ = keys.insert(key),
                None => {
                    let path = ["settings", "dependencies", &index.to_string()];
                    self.problems.add(unknown_component().at(path));
                }
            }
        }
        keys
    }

    /// The value that an entry shall have, given the one that it has.
    fn value(&mut self, path: &[String], given: Given, before: Option<&Value>, most: usize) -> Result<Value> {
        let Given { value, secret, decision } = given;
        let was_secret = matches!(before, Some(Value::Sealed { .. }));
        let is_secret = match &decision {
            _ if secret == Some(true) => true,
            Some(SecretDecision::Generate(_) | SecretDecision::Ask) => true,
            Some(SecretDecision::Public) | None => secret.unwrap_or(was_secret),
        };
        if secret == Some(false) && is_secret {
            let message = "what is generated or asked for is a secret: leave out \"secret\", or the decision";
            self.problems.add(UserError::new("INVALID", message).at(path.iter().cloned()));
        }
        match (value, before) {
            (Some(value), _) if is_secret => {
                self.check_secret(path, &value, most);
                self.seal(&value)
            }
            (Some(value), _) => Ok(Value::Text(self.text(value.expose()))),
            (None, before) => match (decision, before) {
                (Some(SecretDecision::Generate(rule)), before) => {
                    let before = before.and_then(Value::sealed);
                    self.generate(&rule, before).map(|sealed| Value::Sealed { sealed })
                }
                (_, Some(value @ Value::Sealed { .. })) if is_secret => Ok(value.clone()),
                (_, Some(Value::Text(text))) if is_secret => self.seal(&Secret::new(text.shown(&self.names))),
                (_, Some(value @ Value::Text(_))) => Ok(value.clone()),
                _ => {
                    let message = if is_secret {
                        "a secret needs a value, or the decision GENERATE"
                    } else {
                        "a value is needed; it may be empty"
                    };
                    self.problems.add(UserError::new("REQUIRED", message).at(path.iter().cloned()));
                    Ok(Value::Text(Text::literal("")))
                }
            },
        }
    }

    /// A generated value: that of its group, where others of it have one; else the one that is there; else a new one.
    fn generate(&mut self, rule: &GenerateRule, before: Option<SecretId>) -> Result<SecretId> {
        let shared = rule.group.as_ref().and_then(|group| self.groups.get(group).copied());
        let id = match shared.or(before) {
            Some(id) => id,
            None => {
                let length = rule.length.clamp(GenerateRule::MIN_LENGTH, 256);
                self.seal_as_new(&Secret::new(clock::random_text(length.into())))?
            }
        };
        if let Some(group) = &rule.group {
            self.groups.insert(group.clone(), id);
        }
        Ok(id)
    }

    fn check_secret(&mut self, path: &[String], value: &Secret, most: usize) {
        let (bytes, path) = (value.expose().len(), path.iter().cloned());
        if bytes > most {
            let message = format!("at most {most} bytes, not {bytes}");
            self.problems.add(UserError::new("TOO_LONG", message).at(path));
        } else if value.expose().contains('\0') {
            let message = "the character NUL cannot be passed to a process";
            self.problems.add(UserError::new("INVALID", message).at(path));
        }
    }

    fn seal(&mut self, value: &Secret) -> Result<Value> {
        Ok(Value::Sealed { sealed: self.seal_as_new(value)? })
    }

    fn seal_as_new(&mut self, value: &Secret) -> Result<SecretId> {
        let row = SealedValue::seal(self.sealer, self.enterprise, value, self.now)?;
        let id = row.id.0;
        self.sealed.push(row);
        Ok(id)
    }

    fn text(&self, text: &str) -> Text {
        Text::parse(text, &self.hosts)
    }
}

fn unknown_component() -> UserError {
    UserError::new("UNKNOWN_COMPONENT", "this is no component of the application")
}

fn group_of(decision: Option<&SecretDecision>) -> Option<&str> {
    match decision {
        Some(SecretDecision::Generate(rule)) => rule.group.as_deref(),
        _ => None,
    }
}
