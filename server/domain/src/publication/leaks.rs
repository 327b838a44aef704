//! Secrets that stand, as plain text, also where nobody decided about them.

use super::{Notes, secrets::Decided};
use crate::{digest::canonical, version::VersionContent};
use serde::Serialize;

/// From here on, a text that occurs twice is no coincidence.
const CERTAIN: usize = 12;
/// Shorter texts occur everywhere.
const POSSIBLE: usize = 6;

/// Looks for the plain texts that must not be published, in all that is.
pub(super) fn check(content: &VersionContent, decided: &Decided, notes: &mut Notes) {
    for (holder, secret) in decided.hidden.iter().filter(|(_, secret)| secret.len() >= POSSIBLE) {
        let escaped = serde_json::Value::String(secret.clone()).to_string();
        let escaped = &escaped[1..escaped.len() - 1];
        let components = content.components.iter().filter(|component| holds(component, escaped));
        let resources = content.resources.iter().filter(|resource| holds(resource, escaped));
        let found = components
            .map(|component| (Some(component.key), component.name.as_str()))
            .chain(resources.map(|resource| (None, resource.name.as_str())));
        for (component, name) in found {
            let message = format!("the secret {holder} stands in another place of {name} as plain text");
            if secret.len() >= CERTAIN {
                notes.block("SECRET_REPEATED", component, format!("{message}; make it a variable of its own"));
            } else {
                notes.warnings.push(format!("{message}, or looks like it"));
            }
        }
    }
}

fn holds(part: &impl Serialize, escaped: &str) -> bool {
    // Canonical bytes are JSON, which is UTF-8.
    String::from_utf8_lossy(&canonical(part)).contains(escaped)
}
