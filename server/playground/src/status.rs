//! Failures as the Kubernetes API reports them: an object of kind `Status`.

use http::StatusCode;
use serde_json::{Value, json};

use crate::kind::Kind;

/// Why a request failed, in the words of the Kubernetes API.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    /// The status of the HTTP answer.
    pub(crate) code: StatusCode,
    /// A word for programs, such as `NotFound`.
    pub(crate) reason: &'static str,
    /// A sentence for people.
    pub(crate) message: String,
    /// The `details` of the answer.
    pub(crate) details: Option<Value>,
}

/// One field that makes an object invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    reason: &'static str,
    field: String,
    message: String,
}

impl Cause {
    /// A field that must be there.
    pub(crate) fn required(field: impl Into<String>, detail: &str) -> Self {
        let message = if detail.is_empty() { "Required value".to_owned() } else { format!("Required value: {detail}") };
        Self { reason: "FieldValueRequired", field: field.into(), message }
    }

    /// A field whose value cannot be.
    pub(crate) fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self { reason: "FieldValueInvalid", field: field.into(), message: format!("Invalid value: {value}: {detail}") }
    }

    /// A field whose value may not be.
    pub(crate) fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self { reason: "FieldValueForbidden", field: field.into(), message: format!("Forbidden: {detail}") }
    }

    /// A field whose value is none of the possible ones.
    pub(crate) fn unsupported(field: impl Into<String>, value: &str, supported: &[&str]) -> Self {
        let list: Vec<String> = supported.iter().map(|one| format!("\"{one}\"")).collect();
        Self {
            reason: "FieldValueNotSupported",
            field: field.into(),
            message: format!("Unsupported value: \"{value}\": supported values: {}", list.join(", ")),
        }
    }

    /// A value that is there twice.
    pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self { reason: "FieldValueDuplicate", field: field.into(), message: format!("Duplicate value: {value}") }
    }

    /// A field that names something which is not there.
    pub(crate) fn not_found(field: impl Into<String>, value: &Value) -> Self {
        Self { reason: "FieldValueNotFound", field: field.into(), message: format!("Not found: {value}") }
    }
}

impl Status {
    /// The answer's body.
    pub(crate) fn body(&self) -> Value {
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code.as_u16(),
        });
        if let Some(details) = &self.details {
            body["details"] = details.clone();
        }
        body
    }

    /// No object of that name.
    pub(crate) fn not_found(kind: Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", kind.qualified());
        Self::about(StatusCode::NOT_FOUND, "NotFound", message, kind, name)
    }

    /// No such address.
    pub(crate) fn no_such_path() -> Self {
        Self::plain(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource".to_owned())
    }

    /// An object of that name is there.
    pub(crate) fn already_exists(kind: Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", kind.qualified());
        Self::about(StatusCode::CONFLICT, "AlreadyExists", message, kind, name)
    }

    /// The object is not as the caller believes.
    pub(crate) fn conflict(kind: Kind, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.qualified());
        Self::about(StatusCode::CONFLICT, "Conflict", message, kind, name)
    }

    /// The fields that an apply would change belong to others.
    pub(crate) fn apply_conflict(message: String, causes: Vec<(String, String)>) -> Self {
        let causes: Vec<Value> = causes
            .into_iter()
            .map(|(message, field)| json!({"reason": "FieldManagerConflict", "message": message, "field": field}))
            .collect();
        let details = Some(json!({"causes": causes}));
        Self { code: StatusCode::CONFLICT, reason: "Conflict", message, details }
    }

    /// The object breaks rules of its kind.
    pub(crate) fn invalid(kind: Kind, name: &str, causes: &[Cause]) -> Self {
        let mut texts: Vec<String> = causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        texts.dedup();
        let all = if let [one] = texts.as_slice() { one.clone() } else { format!("[{}]", texts.join(", ")) };
        let mut who = kind.description().kind.to_owned();
        if !kind.description().group.is_empty() {
            who = format!("{who}.{}", kind.description().group);
        }
        let causes: Vec<Value> = causes
            .iter()
            .map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
            .collect();
        Self {
            code: StatusCode::UNPROCESSABLE_ENTITY,
            reason: "Invalid",
            message: format!("{who} \"{name}\" is invalid: {all}"),
            details: Some(json!({
                "name": name, "group": kind.description().group, "kind": kind.description().kind, "causes": causes,
            })),
        }
    }

    /// The options of a request break its rules.
    pub(crate) fn invalid_options(kind: &str, causes: &[Cause]) -> Self {
        let texts: Vec<String> = causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        Self {
            code: StatusCode::UNPROCESSABLE_ENTITY,
            reason: "Invalid",
            message: format!("{kind}.meta.k8s.io \"\" is invalid: {}", texts.join(", ")),
            details: Some(json!({"group": "meta.k8s.io", "kind": kind})),
        }
    }

    /// An admission rule says no.
    pub(crate) fn forbidden(kind: Kind, name: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is forbidden: {why}", kind.qualified());
        Self::about(StatusCode::FORBIDDEN, "Forbidden", message, kind, name)
    }

    /// The namespace is on its way out.
    pub(crate) fn terminating(kind: Kind, name: &str, namespace: &str) -> Self {
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut status = Self::forbidden(kind, name, &why);
        if let Some(details) = &mut status.details {
            details["causes"] = json!([{
                "reason": "NamespaceTerminating",
                "message": format!("namespace {namespace} is being terminated"),
                "field": "metadata.namespace",
            }]);
        }
        status
    }

    /// The request cannot be understood.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::plain(StatusCode::BAD_REQUEST, "BadRequest", message.into())
    }

    /// No token, or a wrong one.
    pub(crate) fn unauthorized() -> Self {
        Self::plain(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized".to_owned())
    }

    /// A verb that the address does not have.
    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource".to_owned();
        Self::plain(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    /// A body in a language that is not spoken here.
    pub(crate) fn unsupported_media_type(got: &str, accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted} (got {got})"
        );
        Self::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    /// An answer in a language that is not spoken here.
    pub(crate) fn not_acceptable() -> Self {
        let message = "only the following media types are accepted: application/json".to_owned();
        Self::plain(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    /// A part of the Kubernetes API that a playground does not have.
    pub(crate) fn not_implemented(what: &str) -> Self {
        let message = format!("a playground cluster does not support {what}");
        Self::plain(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
    }

    /// A body beyond the limit.
    pub(crate) fn too_large() -> Self {
        let message = "Request entity too large: limit is 3145728".to_owned();
        Self::plain(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    }

    /// The version asked for is no longer known.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::plain(StatusCode::GONE, "Expired", message.into())
    }

    /// The version asked for is not there yet.
    pub(crate) fn version_too_large(asked: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {asked}, current: {current}");
        let mut status = Self::plain(StatusCode::GATEWAY_TIMEOUT, "Timeout", message);
        status.details = Some(json!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        }));
        status
    }

    /// The cluster does not answer requests at present.
    pub(crate) fn unavailable() -> Self {
        let message = "the server is currently unable to handle the request".to_owned();
        Self::plain(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    /// A failure that is the server's own.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        let mut status = Self::plain(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message.into());
        status.message = format!("Internal error occurred: {}", status.message);
        status
    }

    /// A failure of the server without a closer reason, as the API server reports errors of its own libraries.
    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        Self::plain(StatusCode::INTERNAL_SERVER_ERROR, "", message.into())
    }

    fn plain(code: StatusCode, reason: &'static str, message: String) -> Self {
        Self { code, reason, message, details: None }
    }

    fn about(code: StatusCode, reason: &'static str, message: String, kind: Kind, name: &str) -> Self {
        let mut details = json!({"name": name, "kind": kind.description().plural});
        if !kind.description().group.is_empty() {
            details["group"] = json!(kind.description().group);
        }
        Self { code, reason, message, details: Some(details) }
    }
}
