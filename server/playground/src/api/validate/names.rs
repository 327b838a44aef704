//! Names, labels and annotations.

use serde_json::{Value, json};

use crate::kind::Kind;
use crate::object::{items, name, text};
use crate::status::Cause;

/// Total size of the annotations of an object.
const MAXIMUM_ANNOTATIONS: usize = 256 * 1024;

/// The API server's words for what a DNS label is.
pub(crate) const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
    and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const SERVICE: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
    alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
    validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
    must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
    validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
    with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/// Checks name, labels, annotations and owners.
pub(crate) fn metadata(kind: Kind, object: &Value, causes: &mut Vec<Cause>) {
    let called = name(object);
    let (good, most, words) = match kind {
        Kind::Namespace => (is_label(called), 63, LABEL),
        Kind::Service => (is_label(called) && called.starts_with(|c: char| c.is_ascii_lowercase()), 63, SERVICE),
        Kind::Role | Kind::RoleBinding => (!called.contains(['/', '%']), 253, "may not contain '/' or '%'"),
        _ => (is_subdomain(called), 253, SUBDOMAIN),
    };
    if called.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if called.len() > most {
        let why = format!("must be no more than {most} characters");
        causes.push(Cause::invalid("metadata.name", &json!(called), &why));
    } else if !good {
        causes.push(Cause::invalid("metadata.name", &json!(called), words));
    }
    labels(object, "", causes);
    let mut size = 0;
    for (key, value) in object["metadata"]["annotations"].as_object().into_iter().flatten() {
        size += key.len() + value.as_str().map_or(0, str::len);
        if !is_qualified(&key.to_lowercase()) {
            causes.push(Cause::invalid("metadata.annotations", &json!(key), QUALIFIED));
        }
    }
    if size > MAXIMUM_ANNOTATIONS {
        causes.push(Cause::forbidden("metadata.annotations", "must have at most 262144 bytes"));
    }
    for (index, owner) in items(object, "/metadata/ownerReferences").iter().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if text(owner, &format!("/{field}")).is_empty() {
                let path = format!("metadata.ownerReferences[{index}].{field}");
                causes.push(Cause::invalid(path, &json!(""), "must not be empty"));
            }
        }
    }
}

/// Checks the labels of an object or a pod template.
pub(crate) fn labels(object: &Value, path: &str, causes: &mut Vec<Cause>) {
    let field = if path.is_empty() { "metadata.labels".to_owned() } else { format!("{path}.labels") };
    for (key, value) in object["metadata"]["labels"].as_object().into_iter().flatten() {
        if !is_qualified(key) {
            causes.push(Cause::invalid(field.clone(), &json!(key), QUALIFIED));
        }
        let text = value.as_str().unwrap_or_default();
        if text.len() > 63 {
            causes.push(Cause::invalid(field.clone(), value, "must be no more than 63 bytes"));
        } else if !text.is_empty() && !is_name_part(text) {
            causes.push(Cause::invalid(field.clone(), value, VALUE));
        }
    }
}

/// Whether the text is an RFC 1123 label.
/// What is wrong with the name of a container's port.
pub(crate) fn port(text: &str) -> Vec<&'static str> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let faults = [
        (text.len() > 15, "must be no more than 15 characters"),
        (!text.chars().all(legal), "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"),
        (!text.contains(|c: char| c.is_ascii_lowercase()), "must contain at least one letter (a-z)"),
        (text.contains("--"), "must not contain consecutive hyphens"),
        (text.starts_with('-') || text.ends_with('-'), "must not begin or end with a hyphen"),
    ];
    faults.into_iter().filter(|(is_so, _)| *is_so && !text.is_empty()).map(|(_, why)| why).collect()
}

pub(crate) fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.len() <= 63 && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_subdomain(text: &str) -> bool {
    let part = |part: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !part.is_empty() && part.chars().all(inner) && !part.starts_with('-') && !part.ends_with('-')
    };
    text.split('.').all(part)
}

fn is_qualified(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, rest)) => prefix.len() <= 253 && is_subdomain(prefix) && is_name_part(rest) && rest.len() <= 63,
        None => is_name_part(key) && key.len() <= 63,
    }
}

fn is_name_part(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    edge(text.chars().next()) && edge(text.chars().last()) && text.chars().all(inner)
}
