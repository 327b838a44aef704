//! Checks of one component.

use super::{
    Code, Content, MAX_COMPONENT, MAX_FILE, MAX_PARTS, MAX_VALUE, Problem, attributes,
    checker::Checker,
    image_reference,
    runtime::{ports, probes, resources, scale},
    storage::{config_files, volumes},
    syntax,
};
use crate::{
    digest::canonical,
    model::{Component, GenerateRule, Image, SecretDecision, Variable},
    text::Text,
};
use std::collections::BTreeSet;

const MAX_VARIABLES: usize = 200;
const MAX_ARGUMENTS: usize = 200;

/// What is wrong in a component by itself. Whether what it names exists is checked with its application.
pub fn component<V: Content>(component: &Component<V>) -> Vec<Problem> {
    let mut c = Checker::default();
    display_name(&mut c, &component.name);
    image(&mut c, &component.image);
    for (field, list) in [("command", &component.command), ("arguments", &component.arguments)] {
        c.each(field, list, MAX_ARGUMENTS, |c, text| text_value(c, text, MAX_VALUE));
    }
    variables(&mut c, "environment", &component.environment);
    variables(&mut c, "connectionInfo", &component.connection_info);
    ports(&mut c, &component.ports);
    volumes(&mut c, component.key, &component.volumes);
    config_files(&mut c, &component.config_files, &component.volumes);
    probes(&mut c, &component.probes);
    resources(&mut c, &component.resources);
    scale(&mut c, &component.scale);
    c.at("dependencies", |c| {
        c.most(component.dependencies.len(), MAX_PARTS);
        if component.dependencies.contains(&component.key) {
            c.problem(Code::Cycle, "a component does not depend on itself");
        }
    });
    c.at("attributes", |c| c.extend(attributes(&component.attributes)));
    c.size(canonical(component).len(), MAX_COMPONENT);
    c.finish()
}

/// Checks variables of an environment or of connection info.
fn variables<V: Content>(c: &mut Checker, field: &str, variables: &[Variable<V>]) {
    let mut names = BTreeSet::new();
    c.each(field, variables, MAX_VARIABLES, |c, variable| {
        if !syntax::is_variable_name(&variable.name) {
            let form = "letters, digits, \"_\", \".\" and \"-\", not beginning with a digit, 256 at most";
            c.field("name", Code::Invalid, form);
        }
        c.unique("name", &mut names, variable.name.clone(), "name");
        entry(c, variable, MAX_VALUE);
    });
}

/// Checks all but the name of a variable.
pub(super) fn entry<V: Content>(c: &mut Checker, variable: &Variable<V>, most: usize) {
    c.at("value", |c| value(c, &variable.value, most));
    if variable.description.as_ref().is_some_and(|text| text.chars().count() > 1000) {
        c.field("description", Code::TooLong, "at most 1000 characters");
    }
    c.at("decision", |c| decision(c, variable.decision.as_ref()));
}

/// Checks a value.
pub(super) fn value<V: Content>(c: &mut Checker, value: &V, most: usize) {
    if let Some(text) = value.text() {
        text_value(c, text, most);
    }
    if let Some(problem) = value.problem() {
        c.problem(Code::Invalid, problem);
    }
}

/// Checks what was decided about a secret in advance.
pub(super) fn decision(c: &mut Checker, decision: Option<&SecretDecision>) {
    if let Some(SecretDecision::Generate(rule)) = decision
        && let Err(error) = GenerateRule::new(rule.length, rule.group.clone())
    {
        c.problem(Code::Invalid, error.to_string());
    }
}

fn text_value(c: &mut Checker, text: &Text, most: usize) {
    c.size(syntax::text_size(text), most.min(MAX_FILE));
    if syntax::has_nul(text) {
        c.problem(Code::Invalid, "the character NUL cannot be passed to a process");
    }
}

fn display_name(c: &mut Checker, name: &str) {
    c.at("name", |c| {
        if name.trim().is_empty() {
            c.problem(Code::Required, "a name is needed");
        }
        if name.chars().count() > 100 {
            c.problem(Code::TooLong, "at most 100 characters");
        }
        if name.chars().any(char::is_control) {
            c.problem(Code::Invalid, "a name has no control characters");
        }
    });
}

fn image(c: &mut Checker, image: &Image) {
    c.at("image", |c| match image {
        Image::Library { repository, .. } => {
            if !super::image::is_repository(repository) {
                c.field("repository", Code::Invalid, "lower-case names joined by slashes, 255 characters at most");
            }
        }
        Image::Reference { reference, .. } => {
            if let Err(error) = image_reference(reference) {
                c.field("reference", Code::Invalid, error.to_string());
            }
        }
    });
}
