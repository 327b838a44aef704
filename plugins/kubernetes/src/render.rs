//! Application model to Kubernetes objects.

mod attributes;
mod container;
mod environment;
mod files;
mod labels;
mod resource;
mod service;
mod volumes;
mod workload;

use crate::{config, config::Config, storage_class::StorageClasses};
use ropeway_domain::rendering::{ApplicationModel, ComponentModel};
use ropeway_driver_sdk::{ApplyMode, Diagnostic, DriverError, Manifest, RenderRequest, Rendered, Severity, Target};
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// The order of the objects of one component.
mod wave {
    pub(super) const CONFIGURATION: u32 = 0;
    pub(super) const STORAGE: u32 = 1;
    pub(super) const WORKLOAD: u32 = 2;
}

/// Longest name that leaves room for the suffixes that Kubernetes gives to the pods of a StatefulSet.
const MAX_NAME: usize = 52;

/// What a rendering is made from.
struct Context<'a> {
    model: &'a ApplicationModel,
    target: &'a Target,
    revision: &'a str,
    config: Config,
    classes: StorageClasses,
}

/// What was found while rendering.
#[derive(Default)]
struct Problems {
    diagnostics: Vec<Diagnostic>,
    unsupported: Vec<String>,
}

/// Renders an application.
pub(crate) fn render(request: &RenderRequest) -> Result<Rendered, DriverError> {
    let model: ApplicationModel = serde_json::from_str(&request.application).map_err(|error| {
        let message = format!("the application model cannot be read: {error}");
        DriverError::Invalid(vec![Diagnostic::error("", "model.json", message)])
    })?;
    if model.model_version != "1" {
        return Err(DriverError::Unsupported(format!(
            "this driver renders application models of version 1, not {:?}",
            model.model_version
        )));
    }
    let context = Context {
        model: &model,
        target: &request.target,
        revision: &request.revision,
        config: config::read(&request.target.config).map_err(DriverError::Invalid)?,
        classes: StorageClasses::read(&request.target.storage_classes),
    };
    let mut problems = Problems::default();
    check_names(&context, &mut problems);
    let mut manifests = Vec::new();
    for (index, resource) in model.resources.iter().enumerate() {
        manifests.extend(resource::render(&context, index, resource, &mut problems));
    }
    for (index, component) in model.components.iter().enumerate() {
        component_objects(&context, index, component, &mut manifests, &mut problems);
    }
    check_unique(&manifests, &mut problems);
    problems.finish(manifests)
}

fn component_objects(
    context: &Context<'_>,
    index: usize,
    component: &ComponentModel,
    manifests: &mut Vec<Manifest>,
    problems: &mut Problems,
) {
    let mut push = |wave, mode, object: Json| {
        let component = Some(component.key.to_string());
        manifests.push(Manifest { wave, mode, component, object: object.to_string() });
    };
    let environment = environment::render(context, index, component, problems);
    let files = files::render(context, index, component, problems);
    let storage = volumes::render(context, index, component, problems);
    for object in environment.secret.iter().chain(&files.objects) {
        push(wave::CONFIGURATION, ApplyMode::ServerSideApply, object.clone());
    }
    for claim in &storage.claims {
        push(wave::STORAGE, ApplyMode::ServerSideApply, claim.clone());
    }
    for object in service::render(context, component) {
        push(wave::WORKLOAD, ApplyMode::ServerSideApply, object);
    }
    let (mode, object) = workload::render(context, index, component, environment, files, storage, problems);
    push(wave::WORKLOAD, mode, object);
}

/// Names that Kubernetes would refuse, or that belong to two.
fn check_names(context: &Context<'_>, problems: &mut Problems) {
    if !labels::is_value(context.revision) || context.revision.is_empty() {
        problems.error("", "revision.value", "the revision is no value of a Kubernetes label".to_owned());
    }
    for (index, component) in context.model.components.iter().enumerate() {
        if !is_dns_label(&component.name, MAX_NAME) {
            let message = format!("{:?} is no DNS label of at most {MAX_NAME} characters", component.name);
            problems.error(&format!("/components/{index}/name"), "component.name", message);
        }
    }
}

/// Two objects of one kind and name would overwrite each other.
fn check_unique(manifests: &[Manifest], problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for manifest in manifests {
        let Ok(object) = serde_json::from_str::<Json>(&manifest.object) else { continue };
        let field = |pointer| crate::json::text(&object, pointer).to_owned();
        let (group, kind, name) = (field("/apiVersion"), field("/kind"), field("/metadata/name"));
        let group = group.rsplit_once('/').map_or("", |(group, _)| group).to_owned();
        if !seen.insert((group, kind.clone(), name.clone())) {
            problems.error("", "name.twice", format!("two parts of the application make a {kind} named {name:?}"));
        }
    }
}

/// Whether a name is a DNS label (RFC 1123).
fn is_dns_label(name: &str, longest: usize) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=longest).contains(&name.len()) && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

impl Problems {
    fn error(&mut self, path: &str, code: &str, message: String) {
        self.diagnostics.push(Diagnostic::error(path, code, message));
    }

    fn warning(&mut self, path: &str, code: &str, message: String) {
        self.diagnostics.push(Diagnostic::warning(path, code, message));
    }

    fn unsupported(&mut self, message: String) {
        self.unsupported.push(message);
    }

    /// The manifests if nothing stands against them, else every reason at once.
    fn finish(self, manifests: Vec<Manifest>) -> Result<Rendered, DriverError> {
        if self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
            Err(DriverError::Invalid(self.diagnostics))
        } else if !self.unsupported.is_empty() {
            Err(DriverError::Unsupported(self.unsupported.join("; ")))
        } else {
            Ok(Rendered { manifests, diagnostics: self.diagnostics })
        }
    }
}
