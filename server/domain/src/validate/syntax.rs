//! Forms that several fields share.

use crate::text::{Part, Text};
use serde_json::Value as Json;

/// A name of an environment variable as Kubernetes takes it: a C identifier that may contain `.` and `-`.
pub(super) fn is_variable_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    !name.starts_with(|c: char| c.is_ascii_digit()) && name.bytes().all(allowed) && (1..=256).contains(&name.len())
}

/// A key of a ConfigMap or Secret.
pub(super) fn is_data_key(key: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=253).contains(&key.len()) && key.bytes().all(allowed) && key != "." && !key.starts_with("..")
}

/// A DNS label (RFC 1123).
pub(crate) fn is_dns_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| inner(b) || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// A DNS subdomain (RFC 1123): labels joined by full stops, 253 characters at most.
pub(crate) fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_dns_label)
}

/// An IANA service name: 1 to 15 lower-case letters, digits and single dashes, with a letter among them.
pub(super) fn is_port_name(name: &str) -> bool {
    is_dns_label(name) && name.len() <= 15 && !name.contains("--") && name.bytes().any(|b| b.is_ascii_lowercase())
}

/// An absolute path without `.`, `..` and empty parts, of at most 4096 bytes.
pub(super) fn is_absolute_path(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|rest| rest.is_empty() || is_relative_path(rest.trim_end_matches('/')))
}

/// A relative path without `.`, `..` and empty parts, of at most 4096 bytes.
pub(super) fn is_relative_path(path: &str) -> bool {
    path.len() <= 4096
        && !path.chars().any(char::is_control)
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && part.len() <= 255)
}

/// A key of a label or annotation: a name, with a DNS subdomain and a slash before it or not.
pub(super) fn is_qualified_name(key: &str) -> bool {
    let name = match key.split_once('/') {
        Some((prefix, name)) if is_dns_subdomain(prefix) => name,
        Some(_) => return false,
        None => key,
    };
    !name.is_empty() && is_label_value(name)
}

/// A value of a label.
pub(super) fn is_label_value(value: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let edge = |b: Option<&u8>| b.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = value.as_bytes();
    bytes.len() <= 63 && bytes.iter().all(|b| allowed(*b)) && edge(bytes.first()) && edge(bytes.last())
}

/// Whether a JSON value nests deeper than that. It never goes deeper itself.
pub(crate) fn is_deeper_than(json: &Json, limit: usize) -> bool {
    let next = |inner: &Json| limit == 0 || is_deeper_than(inner, limit - 1);
    match json {
        Json::Array(items) => limit == 0 || items.iter().any(next),
        Json::Object(fields) => limit == 0 || fields.values().any(next),
        _ => false,
    }
}

/// The bytes of a text's literals, and those of the longest host name for each that it names.
pub(super) fn text_size(text: &Text) -> usize {
    let size = |part: &Part| match part {
        Part::Literal(literal) => literal.len(),
        Part::Host { .. } => 52,
    };
    text.parts().iter().map(size).sum()
}

/// Whether a text holds the one character that neither environments nor arguments can.
pub(super) fn has_nul(text: &Text) -> bool {
    text.parts().iter().any(|part| matches!(part, Part::Literal(literal) if literal.contains('\0')))
}
