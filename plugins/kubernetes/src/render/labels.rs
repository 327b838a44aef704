//! Labels: those of objects, and the fewer ones of pods, which must not change from version to version.

use super::Context;
use ropeway_domain::rendering::{ComponentModel, ResourceModel};
use serde_json::{Map, Value as Json, json};

pub(super) const APPLICATION: &str = "ropeway.dev/application";
pub(super) const COMPONENT: &str = "ropeway.dev/component";
const INSTALLATION: &str = "ropeway.dev/installation";
const REVISION: &str = "ropeway.dev/revision";
const NAME: &str = "app.kubernetes.io/name";
const INSTANCE: &str = "app.kubernetes.io/instance";
const PART_OF: &str = "app.kubernetes.io/part-of";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const VERSION: &str = "app.kubernetes.io/version";

/// Whether only Ropeway gives this label or annotation.
pub(super) fn is_reserved(key: &str) -> bool {
    key.starts_with("ropeway.dev/") || [NAME, INSTANCE, PART_OF, MANAGED_BY, VERSION].contains(&key)
}

/// The labels of a component's pods and claim templates.
pub(super) fn of_pods(context: &Context<'_>, component: &ComponentModel) -> Map<String, Json> {
    lasting(context, &component.slug, &component.key.to_string())
}

/// The labels of a component's objects.
pub(super) fn of_component(context: &Context<'_>, component: &ComponentModel) -> Map<String, Json> {
    let installation = component.installation.map(|id| id.to_string());
    let mut labels = of_pods(context, component);
    labels.extend(passing(context, installation, component.version.as_deref()));
    labels
}

/// The labels of a Kubernetes resource.
pub(super) fn of_resource(context: &Context<'_>, resource: &ResourceModel) -> Map<String, Json> {
    let installation = resource.installation.map(|id| id.to_string());
    let mut labels = lasting(context, &context.model.application.slug, &resource.key.to_string());
    labels.extend(passing(context, installation, resource.version.as_deref()));
    labels
}

/// What selects a component's pods.
pub(super) fn selector(component: &ComponentModel) -> Json {
    json!({ COMPONENT: component.key.to_string() })
}

/// Whether a text can be the value of a label.
pub(super) fn is_value(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let outer = |b: Option<u8>| b.is_none_or(|b| b.is_ascii_alphanumeric());
    text.len() <= 63 && text.bytes().all(inner) && outer(text.bytes().next()) && outer(text.bytes().last())
}

/// Labels that stay as long as the component does.
fn lasting(context: &Context<'_>, slug: &str, key: &str) -> Map<String, Json> {
    let application = &context.model.application;
    [
        (NAME, slug),
        (INSTANCE, &application.slug),
        (PART_OF, &application.slug),
        (MANAGED_BY, "ropeway"),
        (APPLICATION, &application.id.to_string()),
        (COMPONENT, key),
    ]
    .map(|(label, value)| (label.to_owned(), Json::from(value)))
    .into_iter()
    .collect()
}

/// Labels that change from version to version.
fn passing(context: &Context<'_>, installation: Option<String>, version: Option<&str>) -> Map<String, Json> {
    let version = version.map(nearest_value).filter(|version| !version.is_empty());
    [(INSTALLATION, installation), (VERSION, version), (REVISION, Some(context.revision.to_owned()))]
        .into_iter()
        .filter_map(|(label, value)| Some((label.to_owned(), Json::from(value?))))
        .collect()
}

/// The nearest text that can be the value of a label: `1.0.0+build` becomes `1.0.0_build`.
fn nearest_value(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let value: String = text.chars().map(allowed).collect();
    let value = value.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    value[..value.len().min(63)].trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_become_values_of_labels() {
        for (version, value) in [
            ("1.0.0", "1.0.0"),
            ("v2.0.0-rc.1+build.7", "v2.0.0-rc.1_build.7"),
            ("-x-", "x"),
            ("版本", ""),
            (&"1".repeat(80), &"1".repeat(63)),
        ] {
            assert_eq!(nearest_value(version), value);
            assert!(is_value(&nearest_value(version)));
        }
    }
}
