//! Nothing that a driver returns is taken as it is: these functions turn what came back into what may be used, or say
//! what is wrong with it.

mod health;
mod image;
mod manifest;
mod placeholder;

use crate::{
    contract::bindings::{exports::ropeway::driver::driver as exports, ropeway::driver::types as wire},
    error::{CallError, InvalidOutput},
    load::Description,
    types::{Diagnostic, Severity},
};
use serde_json::Value as Json;

pub(crate) use health::health;
pub(crate) use image::rewritten;
pub(crate) use manifest::{Expected, manifests};

/// Levels of nesting.
const MAX_DEPTH: usize = 64;
/// Findings of one call.
const MAX_DIAGNOSTICS: usize = 1000;
/// Bytes of a text for people, of a path and of a name.
const MAX_TEXT: usize = 8 << 10;
/// Bytes of a JSON Schema.
const MAX_SCHEMA: usize = 256 << 10;

/// Findings, each of a reasonable size.
pub(crate) fn diagnostics(found: Vec<wire::Diagnostic>) -> Result<Vec<Diagnostic>, InvalidOutput> {
    if found.len() > MAX_DIAGNOSTICS {
        let problem = format!("{} findings; at most {MAX_DIAGNOSTICS} are taken", found.len());
        return Err(InvalidOutput::new("/diagnostics", problem));
    }
    let diagnostic = |(index, diagnostic): (usize, wire::Diagnostic)| {
        let wire::Diagnostic { severity, path, code, message } = diagnostic;
        for (field, text) in [("path", &path), ("code", &code), ("message", &message)] {
            bounded(&format!("/diagnostics/{index}/{field}"), text)?;
        }
        let severity = match severity {
            wire::Severity::Info => Severity::Info,
            wire::Severity::Warning => Severity::Warning,
            wire::Severity::Error => Severity::Error,
        };
        Ok(Diagnostic { severity, path, code, message })
    };
    found.into_iter().enumerate().map(diagnostic).collect()
}

/// A refusal must say what is refused.
pub(crate) fn refusal(found: Vec<wire::Diagnostic>) -> Result<CallError, InvalidOutput> {
    let diagnostics = diagnostics(found)?;
    if diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        Ok(CallError::Invalid(diagnostics))
    } else {
        Err(InvalidOutput::new("/invalid", "a refusal without an error among its findings"))
    }
}

/// A sentence for people.
pub(crate) fn sentence(text: String) -> Result<String, InvalidOutput> {
    bounded("/error", &text)?;
    Ok(text)
}

/// Who the driver is.
pub(crate) fn description(description: exports::Description) -> Result<Description, InvalidOutput> {
    let exports::Description { id, display_name, version, config_schema, features } = description;
    if !is_dns_name(&id) || id.contains('.') || id.len() > 63 {
        return Err(InvalidOutput::new("/id", format!("{:?} is no DNS label", shortened(&id))));
    }
    bounded("/display-name", &display_name)?;
    bounded("/version", &version)?;
    if features.len() > 200 {
        return Err(InvalidOutput::new("/features", "more than 200 features"));
    }
    for (index, feature) in features.iter().enumerate() {
        bounded(&format!("/features/{index}"), feature)?;
    }
    let config_schema = json("/config-schema", &config_schema, MAX_SCHEMA)?;
    if !config_schema.is_object() {
        return Err(InvalidOutput::new("/config-schema", "a JSON Schema is an object"));
    }
    Ok(Description { id, display_name, version, config_schema, features })
}

/// JSON of at most so many bytes and levels.
fn json(path: &str, text: &str, limit: usize) -> Result<Json, InvalidOutput> {
    if text.len() > limit {
        return Err(InvalidOutput::new(path, format!("{} bytes; at most {limit} are taken", text.len())));
    }
    let value: Json =
        serde_json::from_str(text).map_err(|error| InvalidOutput::new(path, format!("this is no JSON: {error}")))?;
    if is_deeper(&value, MAX_DEPTH) {
        return Err(InvalidOutput::new(path, format!("nested more than {MAX_DEPTH} levels deep")));
    }
    Ok(value)
}

fn is_deeper(value: &Json, levels: usize) -> bool {
    let Some(levels) = levels.checked_sub(1) else { return true };
    match value {
        Json::Array(items) => items.iter().any(|item| is_deeper(item, levels)),
        Json::Object(fields) => fields.values().any(|item| is_deeper(item, levels)),
        _ => false,
    }
}

fn bounded(path: &str, text: &str) -> Result<(), InvalidOutput> {
    if text.len() > MAX_TEXT {
        return Err(InvalidOutput::new(path, format!("{} bytes; at most {MAX_TEXT} are taken", text.len())));
    }
    Ok(())
}

/// Whether a text is a DNS subdomain (RFC 1123), as names of most objects are.
fn is_dns_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// The beginning of a text that is shown.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

fn text<'a>(value: &'a Json, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
}
