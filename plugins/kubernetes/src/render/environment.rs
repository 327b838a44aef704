//! The environment of a container: plain values in place, secrets by reference to one Secret.

use super::{Context, Problems, labels};
use ropeway_domain::rendering::{ComponentModel, ModelValue};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeSet;

/// The environment of a container.
pub(super) struct Environment {
    /// Entries of `env`, in the order of the model.
    pub(super) entries: Vec<Json>,
    /// The Secret that they refer to.
    pub(super) secret: Option<Json>,
}

/// Renders the environment of a component.
pub(super) fn render(
    context: &Context<'_>,
    index: usize,
    component: &ComponentModel,
    problems: &mut Problems,
) -> Environment {
    let mut entries = Vec::new();
    let mut secrets = Map::new();
    let mut names = BTreeSet::new();
    for (position, variable) in component.environment.iter().enumerate() {
        let path = format!("/components/{index}/environment/{position}/name");
        let name = variable.name.as_str();
        if !names.insert(name) {
            problems.error(&path, "environment.twice", format!("two variables are named {name:?}"));
        }
        match &variable.value {
            ModelValue::Plain(value) => entries.push(json!({ "name": name, "value": value })),
            ModelValue::Secret { secret } => {
                if !is_data_key(name) {
                    let message = format!(
                        "{name:?} holds a secret, so its name may have letters, digits, \"-\", \"_\" and \".\" only"
                    );
                    problems.error(&path, "environment.name", message);
                }
                secrets.insert(name.to_owned(), Json::from(secret.as_str()));
                let reference = json!({ "name": component.name, "key": name });
                entries.push(json!({ "name": name, "valueFrom": { "secretKeyRef": reference } }));
            }
        }
        if name.is_empty() || name.contains('=') {
            problems.error(&path, "environment.name", format!("{name:?} is no name of an environment variable"));
        }
    }
    let secret = (!secrets.is_empty()).then(|| {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": component.name,
                "namespace": context.target.namespace,
                "labels": labels::of_component(context, component),
            },
            "type": "Opaque",
            "stringData": secrets,
        })
    });
    Environment { entries, secret }
}

/// Whether a text can be a key of a Secret or a ConfigMap.
pub(super) fn is_data_key(key: &str) -> bool {
    (1..=253).contains(&key.len())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && key != "."
        && key != ".."
        && !key.starts_with("..")
}
