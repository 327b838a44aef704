//! What a client is told when something is not done, in the format of the specification.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The codes of the specification that this registry uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    Unauthorized,
    Denied,
    Unsupported,
    TooManyRequests,
}

/// A request is not carried out.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    code: &'static str,
    status: StatusCode,
    message: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        let (code, status) = code.parts();
        Self { code, status, message: message.into(), headers: Vec::new() }
    }

    pub(super) fn no_route() -> Self {
        Self { status: StatusCode::NOT_FOUND, ..Self::new(Code::Unsupported, "there is nothing at this path") }
    }

    pub(super) fn unsupported(status: StatusCode) -> Self {
        Self { status, ..Self::new(Code::Unsupported, "the operation is not supported") }
    }

    pub(super) fn too_large(what: &str, limit: u64) -> Self {
        let refusal = Self::new(Code::SizeInvalid, format!("{what} may have at most {limit} bytes"));
        refusal.with_status(StatusCode::PAYLOAD_TOO_LARGE)
    }

    pub(super) fn unavailable() -> Self {
        let refusal = Self::new(Code::TooManyRequests, "authentication is not available at the moment");
        refusal.with_status(StatusCode::SERVICE_UNAVAILABLE).with_retry_after()
    }

    /// Our own fault; the client does not learn which.
    pub(super) fn internal(action: &str, error: &std::io::Error) -> Self {
        tracing::error!(error = error as &dyn std::error::Error, "the embedded registry failed while {action}");
        let full = error.kind() == std::io::ErrorKind::StorageFull;
        let status = if full { StatusCode::INSUFFICIENT_STORAGE } else { StatusCode::INTERNAL_SERVER_ERROR };
        Self { code: "UNKNOWN", status, message: "an internal error".into(), headers: Vec::new() }
    }

    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn with_retry_after(self) -> Self {
        self.with_header(RETRY_AFTER, HeaderValue::from_static("5"))
    }

    pub(super) fn into_response(self, challenge: &HeaderValue) -> Response {
        let body = json!({ "errors": [{ "code": self.code, "message": self.message, "detail": null }] });
        let mut response = (self.status, Json(body)).into_response();
        response.headers_mut().extend(self.headers);
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge.clone());
        }
        response
    }
}

impl Code {
    fn parts(self) -> (&'static str, StatusCode) {
        match self {
            Self::BlobUnknown => ("BLOB_UNKNOWN", StatusCode::NOT_FOUND),
            Self::BlobUploadInvalid => ("BLOB_UPLOAD_INVALID", StatusCode::BAD_REQUEST),
            Self::BlobUploadUnknown => ("BLOB_UPLOAD_UNKNOWN", StatusCode::NOT_FOUND),
            Self::DigestInvalid => ("DIGEST_INVALID", StatusCode::BAD_REQUEST),
            Self::ManifestBlobUnknown => ("MANIFEST_BLOB_UNKNOWN", StatusCode::NOT_FOUND),
            Self::ManifestInvalid => ("MANIFEST_INVALID", StatusCode::BAD_REQUEST),
            Self::ManifestUnknown => ("MANIFEST_UNKNOWN", StatusCode::NOT_FOUND),
            Self::NameInvalid => ("NAME_INVALID", StatusCode::BAD_REQUEST),
            Self::NameUnknown => ("NAME_UNKNOWN", StatusCode::NOT_FOUND),
            Self::SizeInvalid => ("SIZE_INVALID", StatusCode::BAD_REQUEST),
            Self::Unauthorized => ("UNAUTHORIZED", StatusCode::UNAUTHORIZED),
            Self::Denied => ("DENIED", StatusCode::FORBIDDEN),
            Self::Unsupported => ("UNSUPPORTED", StatusCode::METHOD_NOT_ALLOWED),
            Self::TooManyRequests => ("TOOMANYREQUESTS", StatusCode::TOO_MANY_REQUESTS),
        }
    }
}
