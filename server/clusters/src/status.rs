//! Turns a cluster's answers into errors, without the values that Kubernetes likes to quote in its messages.

use std::time::Duration;

use http::StatusCode;
use kube::core::Status;

use crate::{
    Cause, Error, FieldConflict, Refusal,
    error::{bounded, bounded_to},
};

/// More causes than this are not reported.
const MAX_CAUSES: usize = 500;

/// What Kubernetes says of a field that can be set only at creation.
const IMMUTABLE: [&str; 8] = [
    "field is immutable",
    "is immutable after creation",
    "may not change once set",
    "for fields other than",
    "may not change fields other than",
    "updates to parameters are forbidden",
    "updates to provisioner are forbidden",
    "cannot change roleRef",
];

/// What the request was about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) cluster: &'a str,
    /// The object or the list, in words.
    pub(crate) object: &'a str,
    pub(crate) is_namespace: bool,
}

/// The error for an answer that is not a success.
pub(crate) fn error_of(about: About<'_>, code: StatusCode, status: &Status, retry_after: Option<Duration>) -> Error {
    let object = || about.object.to_owned();
    let message = || bounded(&without_values(&status.message));
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    match code.as_u16() {
        401 => Error::Unauthorized { cluster: about.cluster.to_owned() },
        403 => {
            let refusal = if status.message.contains("exceeded quota") || status.message.contains("failed quota") {
                Refusal::Quota
            } else if causes.iter().any(|cause| cause.reason == "NamespaceTerminating") {
                Refusal::Terminating
            } else if status.message.contains("cannot ") && status.message.contains("User ") {
                Refusal::Permission
            } else {
                Refusal::Policy
            };
            Error::Forbidden { message: message(), refusal }
        }
        404 => match &status.details {
            Some(details) if details.kind == "namespaces" && !about.is_namespace => {
                Error::NamespaceMissing { namespace: bounded_to(&details.name, 253) }
            }
            Some(details) if !details.name.is_empty() => Error::NotFound { object: object() },
            _ => Error::NotServed { what: object() },
        },
        409 if status.reason == "AlreadyExists" => Error::AlreadyExists { object: object() },
        409 if status.message.contains("UID in precondition") || status.message.contains("uid mismatch") => {
            Error::Replaced { object: object(), recorded: None, found: None }
        }
        409 => {
            let mut fields: Vec<FieldConflict> = causes
                .iter()
                .filter(|cause| cause.reason == "FieldManagerConflict")
                .take(MAX_CAUSES)
                .map(|cause| FieldConflict { manager: manager_of(&cause.message), path: bounded(&cause.field) })
                .collect();
            fields.sort();
            fields.dedup();
            Error::Conflict { object: object(), fields }
        }
        410 => Error::Expired,
        413 => Error::TooLarge { what: object(), limit_bytes: 3 * 1024 * 1024 },
        // 501: nothing that is asked again brings what the cluster does not have.
        400 | 422 | 501 => invalid(about, status),
        // The answer to an unknown field of a typed object in some versions.
        500 if status.message.contains("failed to create typed patch object") => invalid(about, status),
        429 | 500..=599 => {
            let asked = status.details.as_ref().map(|details| u64::from(details.retry_after_seconds));
            let asked = asked.filter(|seconds| *seconds > 0).map(Duration::from_secs);
            Error::Busy { status: code.as_u16(), message: message(), retry_after: retry_after.or(asked) }
        }
        other => Error::Internal { message: format!("HTTP {other}: {}", message()) },
    }
}

fn invalid(about: About<'_>, status: &Status) -> Error {
    let causes: Vec<Cause> = status
        .details
        .iter()
        .flat_map(|details| &details.causes)
        .take(MAX_CAUSES)
        .map(|cause| {
            let field = if cause.field == "<nil>" { String::new() } else { bounded_to(&cause.field, 300) };
            Cause { field, message: bounded_to(&without_values(&cause.message), 500) }
        })
        .collect();
    let message = if causes.is_empty() {
        bounded(&format!("{} was not accepted: {}", about.object, without_values(&status.message)))
    } else {
        let text: Vec<String> = causes
            .iter()
            .map(|cause| match cause.field.as_str() {
                "" => cause.message.clone(),
                field => format!("{field}: {}", cause.message),
            })
            .collect();
        bounded(&format!("{} was not accepted: {}", about.object, text.join("; ")))
    };
    // The UID is sent to name the object that is meant.
    if causes.iter().any(|cause| cause.field == "metadata.uid" && cause.message.contains("field is immutable")) {
        return Error::Replaced { object: about.object.to_owned(), recorded: None, found: None };
    }
    let immutable = |text: &str| IMMUTABLE.iter().any(|marker| text.contains(marker));
    // Where something else is wrong as well, making it anew would not mend it.
    let is_immutable =
        if causes.is_empty() { immutable(&status.message) } else { causes.iter().all(|c| immutable(&c.message)) };
    if is_immutable { Error::Immutable { message, causes } } else { Error::Invalid { message, causes } }
}

/// The manager in `conflict with "kubectl" using apps/v1`.
fn manager_of(message: &str) -> String {
    let name = message.split('"').nth(1).unwrap_or("unknown");
    bounded_to(name, 128)
}

/// Leaves out the value in `spec.x: Invalid value: "...": why`; the field and the reason stay.
fn without_values(message: &str) -> String {
    const MARKERS: [&str; 5] =
        ["Invalid value: ", "Unsupported value: ", "Duplicate value: ", "Too long: ", "unrecognized type: "];
    let mut rest = message;
    let mut text = String::new();
    while let Some((at, marker)) =
        MARKERS.iter().filter_map(|marker| rest.find(marker).map(|at| (at, *marker))).min_by_key(|found| found.0)
    {
        text.push_str(&rest[..at]);
        text.push_str(marker.trim_end_matches(": "));
        rest = &rest[at + marker.len()..];
        match end_of_value(rest) {
            Some(end) => rest = &rest[end..],
            None => return text,
        }
    }
    text.push_str(rest);
    text
}

/// Where the value at the beginning of a message ends, if that is certain.
fn end_of_value(text: &str) -> Option<usize> {
    if text.starts_with('"') {
        let mut escaped = false;
        for (at, byte) in text.bytes().enumerate().skip(1) {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => return Some(at + 1),
                _ => {}
            }
        }
        return None;
    }
    let plain = text.find([':', ',', ';']).unwrap_or(text.len());
    if text[..plain].bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) {
        return Some(plain);
    }
    // A printed structure: the reason follows its last closing brace.
    ["}: ", "]: ", "): "].iter().filter_map(|end| text.rfind(end)).max().map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(code: u16, status: serde_json::Value) -> Error {
        let status: Status = serde_json::from_value(status).expect("status");
        let about = About { cluster: "c", object: "Deployment a/web", is_namespace: false };
        error_of(about, StatusCode::from_u16(code).expect("code"), &status, None)
    }

    #[test]
    fn values_are_left_out_of_messages() {
        for (given, expected) in [
            (r#"spec.name: Invalid value: "se\"cret": must be short"#, "spec.name: Invalid value: must be short"),
            (
                r#"Invalid value: {"env":[{"value":"secret: x"}]}: field is immutable"#,
                "Invalid value: field is immutable",
            ),
            (
                r#"Invalid value: v1.X{A:map[string]string{"a":"secret"}}: field is immutable"#,
                "Invalid value: field is immutable",
            ),
            ("spec.replicas: Invalid value: -1: must be positive", "spec.replicas: Invalid value: must be positive"),
            (r#"Invalid value: "unfinished secret"#, "Invalid value"),
            ("nothing special: here", "nothing special: here"),
        ] {
            assert_eq!(without_values(given), expected, "{given}");
        }
    }

    #[test]
    fn an_immutable_field_is_told_from_an_invalid_one() {
        let answer = |text: &str| {
            json!({"message": "x is invalid", "reason": "Invalid",
                   "details": {"causes": [{"field": "spec.selector", "message": text}]}})
        };
        assert!(matches!(error(422, answer("Invalid value: {}: field is immutable")), Error::Immutable { .. }));
        assert!(matches!(
            error(422, answer("Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden")),
            Error::Immutable { .. }
        ));
        assert!(matches!(error(422, answer("Required value")), Error::Invalid { .. }));
    }

    #[test]
    fn an_object_of_another_uid_is_another_object() {
        let cause = json!({"field": "metadata.uid", "message": "Invalid value: \"x\": field is immutable"});
        let answer = json!({"message": "x is invalid", "reason": "Invalid", "details": {"causes": [cause]}});
        assert!(matches!(error(422, answer), Error::Replaced { .. }));
    }

    #[test]
    fn what_a_cluster_does_not_have_is_not_asked_for_again() {
        let error = error(501, json!({"message": "mirrors are not supported", "reason": "NotImplemented"}));
        assert!(matches!(&error, Error::Invalid { message, .. } if message.contains("mirrors are not supported")));
        assert!(!error.retryable() && !error.transient());
    }

    #[test]
    fn only_an_answer_about_an_object_says_that_it_does_not_exist() {
        let absent = json!({"reason": "NotFound", "details": {"name": "web", "kind": "deployments"}});
        assert!(matches!(error(404, absent), Error::NotFound { .. }));
        let namespace = json!({"reason": "NotFound", "details": {"name": "a", "kind": "namespaces"}});
        assert!(matches!(error(404, namespace), Error::NamespaceMissing { .. }));
        let path =
            json!({"reason": "NotFound", "message": "the server could not find the requested resource", "details": {}});
        assert!(matches!(error(404, path), Error::NotServed { .. }));
        assert!(matches!(error(404, json!({})), Error::NotServed { .. }));
    }

    #[test]
    fn refusals_say_what_kind_they_are() {
        let refusal = |message: &str| match error(403, json!({"message": message, "reason": "Forbidden"})) {
            Error::Forbidden { refusal, .. } => refusal,
            other => panic!("{other}"),
        };
        assert_eq!(refusal("pods \"a\" is forbidden: exceeded quota: q, requested: pods=1"), Refusal::Quota);
        assert_eq!(refusal("pods is forbidden: User \"u\" cannot list resource \"pods\""), Refusal::Permission);
        assert_eq!(refusal("admission webhook denied the request"), Refusal::Policy);
    }

    #[test]
    fn a_message_is_bounded() {
        let Error::Busy { message, .. } = error(500, json!({"message": "x".repeat(100_000)})) else { panic!() };
        assert!(message.chars().count() <= 1001);
    }
}
