//! The content of the version.

use super::{
    ComponentEdit, Notes, PublicationInput, SecretPlace, SourceComponent, SourceResource, SourceRun,
    keys::Keys,
    secrets::{Decided, has_credentials},
};
use crate::{
    change::Owner,
    key::{ComponentKey, ResourceKey},
    manifest::{foreign_annotations, foreign_keys},
    model::{
        Component, ConfigFile, Image, ProbeAction, Resource, Scale, SecretDecision, Value, Variable, Volume,
        looks_like_secret,
    },
    text::{Part, Text},
    version::{PublishedValue, True, VersionContent},
};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// What is published, edits applied, in the application's keys.
pub(super) struct Sources {
    pub(super) components: Vec<SourceComponent>,
    pub(super) resources: Vec<SourceResource>,
}

impl Sources {
    pub(super) fn component_name(&self, own: ComponentKey) -> String {
        let found = self.components.iter().find(|source| source.component.key == own);
        found.map_or_else(|| own.to_string(), |source| source.component.name.clone())
    }

    pub(super) fn resource_name(&self, own: ResourceKey) -> String {
        let found = self.resources.iter().find(|source| source.resource.key == own);
        found.map_or_else(|| own.to_string(), |source| source.resource.name.clone())
    }
}

/// Leaves out what is excluded and applies the edits. Texts name siblings from here on.
pub(super) fn sources(input: &PublicationInput) -> Sources {
    let components =
        input.components.iter().filter(|source| !input.excluded_components.contains(&source.component.key));
    let resources = input.resources.iter().filter(|source| !input.excluded_resources.contains(&source.resource.key));
    let mut components: Vec<SourceComponent> = components.cloned().collect();
    for source in &mut components {
        if let Some(edit) = input.edits.get(&source.component.key) {
            apply(edit, &mut source.component);
        }
        link(&mut source.component, &input.hosts);
    }
    components.sort_by_key(|source| source.component.key);
    let mut resources: Vec<SourceResource> = resources.cloned().collect();
    for source in &mut resources {
        link_variables(&mut source.resource.secret_data, &input.hosts);
    }
    resources.sort_by_key(|source| source.resource.key);
    Sources { components, resources }
}

pub(super) fn build(
    input: &PublicationInput,
    sources: &Sources,
    keys: &Keys,
    decided: &Decided,
    notes: &mut Notes,
) -> VersionContent {
    let mut builder = Builder { input, keys, decided, notes };
    let mut components: Vec<_> = sources.components.iter().map(|source| builder.component(source)).collect();
    let mut resources: Vec<_> = sources.resources.iter().map(|source| builder.resource(source)).collect();
    components.sort_by_key(|component| component.key);
    resources.sort_by_key(|resource| resource.key);
    VersionContent { format: VersionContent::FORMAT, components, resources }
}

struct Builder<'a> {
    input: &'a PublicationInput,
    keys: &'a Keys,
    decided: &'a Decided,
    notes: &'a mut Notes,
}

/// What is being built: for messages, and for the places of its values.
#[derive(Clone, Copy)]
struct At<'s> {
    owner: Owner,
    name: &'s str,
    published: Option<ComponentKey>,
}

impl Builder<'_> {
    fn component(&mut self, source: &SourceComponent) -> Component<PublishedValue> {
        let own = &source.component;
        let key = self.keys.components[&own.key];
        let at = At { owner: Owner::Component(own.key), name: &own.name, published: Some(key) };
        match source.run {
            SourceRun::NeverRan => {
                let message = format!("{} never ran: deploy it and see that it works, or leave it out", own.name);
                self.notes.block("COMPONENT_NEVER_RAN", Some(key), message);
            }
            SourceRun::Stopped => self.notes.warnings.push(format!("{} is stopped", own.name)),
            SourceRun::Running => {}
        }
        let image = self.image(own, key);
        self.plain_environment(own, at);
        self.plain_arguments(own, at);
        for foreign in foreign_annotations(&own.attributes) {
            self.notes.warnings.push(format!("{}: {foreign}", own.name));
        }
        let mut attributes = own.attributes.clone();
        if let Some(Json::Array(templates)) = attributes.get_mut("volumeClaimTemplates") {
            templates.iter_mut().filter_map(Json::as_object_mut).for_each(without_class);
        }
        Component {
            key,
            name: own.name.clone(),
            slug: own.slug.clone(),
            kind: own.kind,
            image,
            command: own.command.iter().map(|text| self.text(text, at)).collect(),
            arguments: own.arguments.iter().map(|text| self.text(text, at)).collect(),
            environment: self.variables("environment", &own.environment, at),
            connection_info: self.variables("connectionInfo", &own.connection_info, at),
            ports: own.ports.clone(),
            volumes: own.volumes.iter().map(|volume| self.volume(volume)).collect(),
            config_files: own.config_files.iter().map(|file| self.file(file, at)).collect(),
            probes: own.probes.clone(),
            resources: own.resources.clone(),
            scale: Scale { rule: own.scale.rule.clone(), replicas: own.scale.rule.min_replicas },
            dependencies: self.dependencies(own, at),
            attributes,
        }
    }

    fn resource(&mut self, source: &SourceResource) -> Resource<PublishedValue> {
        let own = &source.resource;
        let at = At { owner: Owner::Resource(own.key), name: &own.name, published: None };
        for foreign in foreign_keys(&own.manifest) {
            self.notes.warnings.push(format!("{} {}: {foreign}", own.kind, own.name));
        }
        if own.kind == "ConfigMap" {
            let data = own.manifest.get("data").and_then(Json::as_object).into_iter().flatten();
            for (name, value) in data {
                let text = value.as_str().unwrap_or_default();
                if looks_like_secret(name) || has_credentials(&text.into()) {
                    self.must_be_public(at, format!("manifest/data/{name}"), "keep it in a Secret");
                }
            }
        }
        let mut manifest = own.manifest.clone();
        if own.kind == "PersistentVolumeClaim" {
            without_class(&mut manifest);
        }
        Resource {
            key: self.keys.resources[&own.key],
            api_version: own.api_version.clone(),
            kind: own.kind.clone(),
            name: own.name.clone(),
            manifest,
            secret_data: self.variables("secretData", &own.secret_data, at),
        }
    }

    fn image(&mut self, own: &Component<Value>, key: ComponentKey) -> Image {
        match (self.input.images.get(&own.key), &own.image) {
            (Some(image), _) => Image::Library { repository: image.repository.clone(), digest: image.digest.clone() },
            (None, Image::Library { .. }) => own.image.clone(),
            (None, Image::Reference { .. }) => {
                let message = format!("the image of {} was not found in its registry", own.name);
                self.notes.block("IMAGE_UNRESOLVED", Some(key), message);
                own.image.clone()
            }
        }
    }

    fn variables(&mut self, field: &str, list: &[Variable<Value>], at: At<'_>) -> Vec<Variable<PublishedValue>> {
        let mut published: Vec<_> = list
            .iter()
            .map(|variable| Variable {
                name: variable.name.clone(),
                value: self.value(&format!("{field}/{}", variable.name), &variable.value, at),
                description: variable.description.clone(),
                decision: None,
            })
            .collect();
        // Entries of a Secret have no order. Variables do: one may name those before it.
        if field == "secretData" {
            published.sort_by(|one, two| one.name.cmp(&two.name));
        }
        published
    }

    fn file(&mut self, file: &ConfigFile<Value>, at: At<'_>) -> ConfigFile<PublishedValue> {
        ConfigFile {
            path: file.path.clone(),
            content: self.value(&format!("configFiles/{}", file.path), &file.content, at),
            mode: file.mode,
            decision: None,
        }
    }

    fn value(&mut self, path: &str, value: &Value, at: At<'_>) -> PublishedValue {
        let place = SecretPlace { owner: at.owner, path: path.to_owned() };
        match (self.decided.decisions.get(&place), value) {
            (Some(SecretDecision::Generate(rule)), _) => PublishedValue::Generate { generate: rule.clone() },
            (Some(SecretDecision::Ask), _) => PublishedValue::Ask { ask: True },
            (None | Some(SecretDecision::Public), Value::Text(text)) => PublishedValue::Text(self.text(text, at)),
            (None | Some(SecretDecision::Public), Value::Sealed { sealed }) => {
                if let Some(plain) = self.input.plaintexts.get(sealed) {
                    let text = Text::parse(plain, &self.input.hosts);
                    return PublishedValue::Text(self.text(&text, at));
                }
                let message = format!("{path} of {} is to be public and could not be unsealed", at.name);
                self.notes.block("VALUE_SEALED", at.published, message);
                PublishedValue::Ask { ask: True }
            }
        }
    }

    /// A text in published keys. One that names the host of what is left out is reported.
    fn text(&mut self, text: &Text, at: At<'_>) -> Text {
        let mut parts = Vec::new();
        for part in text.parts() {
            parts.push(match part {
                Part::Host { host } => {
                    if let Some(key) = self.keys.components.get(host) {
                        Part::Host { host: *key }
                    } else {
                        self.left_out(at, *host, "HOST_EXCLUDED", "names the host of");
                        Part::Literal(host.to_string())
                    }
                }
                Part::Literal(_) => part.clone(),
            });
        }
        Text::from_parts(parts)
    }

    fn volume(&self, volume: &Volume) -> Volume {
        let shared_from = volume.shared_from.map(|own| *self.keys.components.get(&own).unwrap_or(&own));
        Volume { storage_class: None, shared_from, ..volume.clone() }
    }

    fn dependencies(&mut self, own: &Component<Value>, at: At<'_>) -> BTreeSet<ComponentKey> {
        let mut dependencies = BTreeSet::new();
        for dependency in &own.dependencies {
            match self.keys.components.get(dependency) {
                Some(key) => drop(dependencies.insert(*key)),
                None => self.left_out(at, *dependency, "DEPENDENCY_EXCLUDED", "depends on"),
            }
        }
        dependencies
    }

    fn left_out(&mut self, at: At<'_>, other: ComponentKey, code: &str, does: &str) {
        let found = self.input.components.iter().find(|source| source.component.key == other);
        let name = found.map_or_else(|| other.to_string(), |source| source.component.name.clone());
        let message = format!("{} {does} {name}, which is left out", at.name);
        self.notes.block(code, at.published, message);
    }

    /// Environment among the attributes has no place for a decision but to be public.
    fn plain_environment(&mut self, own: &Component<Value>, at: At<'_>) {
        let entries = own.attributes.get("env").and_then(Json::as_array).into_iter().flatten();
        for entry in entries {
            let text = |field: &str| entry.get(field).and_then(Json::as_str);
            let (Some(name), Some(value)) = (text("name"), text("value")) else { continue };
            if looks_like_secret(name) || has_credentials(&value.into()) {
                self.must_be_public(at, format!("attributes/env/{name}"), "make it a variable of the environment");
            }
        }
    }

    /// Neither have arguments, which can name variables instead, nor the commands of probes.
    fn plain_arguments(&mut self, own: &Component<Value>, at: At<'_>) {
        let mut lists =
            vec![("command".to_owned(), own.command.clone()), ("arguments".to_owned(), own.arguments.clone())];
        for probe in &own.probes {
            if let ProbeAction::Exec { command } = &probe.action {
                let command = command.iter().map(|word| word.as_str().into()).collect();
                lists.push((format!("probes/{}", probe.kind.name()), command));
            }
        }
        for (field, texts) in lists {
            let mut option = String::new();
            for (index, text) in texts.iter().enumerate() {
                let shown = text.shown(&BTreeMap::new());
                let (name, value) = shown.split_once('=').unwrap_or((&option, &shown));
                let is_value = !value.is_empty() && !value.starts_with(['-', '$']);
                if is_value && is_option_of_secret(name) || has_credentials(text) {
                    let instead = "name a variable in it, as $(NAME)";
                    self.must_be_public(at, format!("{field}/{index}"), instead);
                }
                option = if shown.starts_with('-') && !shown.contains('=') { shown } else { String::new() };
            }
        }
    }

    fn must_be_public(&mut self, at: At<'_>, path: String, instead: &str) {
        let place = SecretPlace { owner: at.owner, path };
        if self.input.decisions.get(&place) != Some(&SecretDecision::Public) {
            let message =
                format!("{} of {} looks like a secret: {instead}, or say that it is public", place.path, at.name);
            self.notes.block("SECRET_IN_PLAIN", at.published, message);
        }
    }
}

/// Whether an option such as `--password` takes a secret. Options that name a file of it hold none.
fn is_option_of_secret(option: &str) -> bool {
    let name = option.trim_start_matches('-');
    let is_path = ["file", "path", "dir"].iter().any(|end| name.to_ascii_lowercase().ends_with(end));
    option.starts_with('-') && !is_path && looks_like_secret(name)
}

fn apply(edit: &ComponentEdit, component: &mut Component<Value>) {
    if let Some(environment) = &edit.environment {
        component.environment.clone_from(environment);
    }
    if let Some(connection_info) = &edit.connection_info {
        component.connection_info.clone_from(connection_info);
    }
    if let Some(config_files) = &edit.config_files {
        component.config_files.clone_from(config_files);
    }
    if let Some(rule) = &edit.scale_rule {
        component.scale.rule = rule.clone();
    }
}

fn link(component: &mut Component<Value>, hosts: &BTreeMap<String, ComponentKey>) {
    for text in component.command.iter_mut().chain(&mut component.arguments) {
        *text = text.link(hosts);
    }
    link_variables(&mut component.environment, hosts);
    link_variables(&mut component.connection_info, hosts);
    for file in &mut component.config_files {
        link_value(&mut file.content, hosts);
    }
}

fn link_variables(variables: &mut [Variable<Value>], hosts: &BTreeMap<String, ComponentKey>) {
    for variable in variables {
        link_value(&mut variable.value, hosts);
    }
}

fn link_value(value: &mut Value, hosts: &BTreeMap<String, ComponentKey>) {
    if let Value::Text(text) = value {
        *text = text.link(hosts);
    }
}

/// A claim without the class of one cluster.
fn without_class(claim: &mut serde_json::Map<String, Json>) {
    if let Some(Json::Object(spec)) = claim.get_mut("spec") {
        spec.remove("storageClassName");
        spec.remove("volumeName");
    }
}
