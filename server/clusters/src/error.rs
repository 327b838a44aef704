//! Everything that can go wrong with a cluster, as far as a caller has to tell it apart.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest message in an error, in characters.
const MAX_MESSAGE: usize = 1000;

/// Why a request to a cluster failed. Messages are bounded and hold no values of objects and no credentials.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection, or it broke.
    #[error("cluster {cluster} cannot be reached: {reason}")]
    Unreachable {
        /// Name of the cluster.
        cluster: String,
        /// What the transport said.
        reason: String,
    },
    /// A deadline passed: of one request, of a call with its retries, or of a wait.
    #[error("{what} took too long{}", .last.as_ref().map(|last| format!("; last seen: {last}")).unwrap_or_default())]
    Timeout {
        /// What was going on.
        what: String,
        /// The last verdict or the last fault seen before the deadline.
        last: Option<String>,
    },
    /// The cluster failed so often that it is left alone for a while.
    #[error("cluster {cluster} did not answer lately and is left alone for another {} s", .retry_in.as_secs())]
    BreakerOpen {
        /// Name of the cluster.
        cluster: String,
        /// When the next request may be tried.
        retry_in: Duration,
    },
    /// The cluster answered that it cannot do it now (429 or 5xx).
    #[error("the cluster could not do it now (HTTP {status}): {message}")]
    Busy {
        /// HTTP status.
        status: u16,
        /// What it said.
        message: String,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
    },
    /// The credentials are wrong or have expired.
    #[error("cluster {cluster} refused the credentials")]
    Unauthorized {
        /// Name of the cluster.
        cluster: String,
    },
    /// The cluster refused the request.
    #[error("refused by the cluster: {message}")]
    Forbidden {
        /// What it said.
        message: String,
        /// What kind of refusal it is.
        refusal: Refusal,
    },
    /// The object does not exist.
    #[error("{object} does not exist")]
    NotFound {
        /// The object.
        object: String,
    },
    /// A 404 that is not about an object: the cluster no longer serves this API, or something else answers at its
    /// address. Nothing is known about the object.
    #[error("nothing at the cluster's address answers for {what}")]
    NotServed {
        /// What was asked for.
        what: String,
    },
    /// An object of this name exists already.
    #[error("{object} exists already")]
    AlreadyExists {
        /// The object.
        object: String,
    },
    /// Other managers own fields, or (without fields) somebody else changed the object at the same time.
    #[error("{object} conflicts with {}", conflict_text(.fields))]
    Conflict {
        /// The object.
        object: String,
        /// The fields and who owns them.
        fields: Vec<FieldConflict>,
    },
    /// The cluster does not accept the object.
    #[error("{message}")]
    Invalid {
        /// All causes in one sentence.
        message: String,
        /// The fields and what is wrong with them.
        causes: Vec<Cause>,
    },
    /// The change touches fields that can be set only at creation: the object would have to be made anew.
    #[error("{message}")]
    Immutable {
        /// All causes in one sentence.
        message: String,
        /// The fields.
        causes: Vec<Cause>,
    },
    /// The object belongs to somebody else.
    #[error("{object} belongs to {}", .owner.as_deref().map_or_else(|| "nobody that Ropeway knows".into(), |owner| format!("application {owner}")))]
    Foreign {
        /// The object.
        object: String,
        /// The application that it names, if any.
        owner: Option<String>,
    },
    /// The object was deleted and made anew by somebody else: it is not the one that was recorded.
    #[error("{object} is not the one that was recorded")]
    Replaced {
        /// The object.
        object: String,
        /// The recorded UID.
        recorded: Option<String>,
        /// The UID it has now, where known.
        found: Option<String>,
    },
    /// The cluster has no such kind.
    #[error("the cluster has no kind {kind} in {api_version}")]
    UnknownKind {
        /// For example `apps/v1`.
        api_version: String,
        /// For example `Deployment`.
        kind: String,
    },
    /// The namespace does not exist (yet).
    #[error("namespace {namespace} does not exist")]
    NamespaceMissing {
        /// The namespace.
        namespace: String,
    },
    /// The caller asked for something outside the namespace or the kinds that it may touch. A fault of the caller.
    #[error("{message}")]
    OutOfBounds {
        /// What was asked for.
        message: String,
    },
    /// A list went on for so long that its cursor is no longer valid: start again.
    #[error("the list changed too much while it was read")]
    Expired,
    /// Something is larger than what is accepted.
    #[error("{what} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// What it is.
        what: String,
        /// The limit.
        limit_bytes: usize,
    },
    /// A kubeconfig cannot be used.
    #[error("the kubeconfig cannot be used: {message}")]
    Kubeconfig {
        /// The reason, without any content of the file.
        message: String,
    },
    /// The judge of a wait found that it cannot succeed.
    #[error("{reason}")]
    Failed {
        /// The judge's reason.
        reason: String,
    },
    /// The cluster answered something that cannot be understood.
    #[error("unexpected answer of the cluster: {message}")]
    Internal {
        /// What was wrong.
        message: String,
    },
}

/// What kind of refusal a [`Error::Forbidden`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Refusal {
    /// The credentials lack a permission.
    Permission,
    /// A quota is used up.
    Quota,
    /// The namespace is being deleted.
    Terminating,
    /// An admission rule of the cluster.
    Policy,
}

/// A field that another manager owns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FieldConflict {
    /// Who owns it, for example `kubectl-client-side-apply`.
    pub manager: String,
    /// The path as the cluster writes it, for example `.spec.replicas`.
    pub path: String,
}

/// What is wrong with one field. The value itself is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The path, for example `spec.selector`; empty if it is the whole object.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

impl Error {
    /// Whether the same request can succeed later without any change by a person.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::BreakerOpen { .. }
            | Self::Busy { .. }
            | Self::Expired
            | Self::Forbidden { refusal: Refusal::Terminating, .. } => true,
            Self::Conflict { fields, .. } => fields.is_empty(),
            _ => false,
        }
    }

    /// Whether trying again at once, within the same call, makes sense.
    pub(crate) fn transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. } | Self::Busy { .. })
    }

    /// How long the cluster asked to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Cuts a message to a bounded length and takes control characters out.
pub(crate) fn bounded(message: &str) -> String {
    bounded_to(message, MAX_MESSAGE)
}

/// Cuts a text to so many characters and takes control characters out.
pub(crate) fn bounded_to(message: &str, characters: usize) -> String {
    let mut text: String =
        message.chars().take(characters).map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    if message.chars().nth(characters).is_some() {
        text.push('…');
    }
    text
}

fn conflict_text(fields: &[FieldConflict]) -> String {
    if fields.is_empty() {
        return "another change made at the same time".into();
    }
    let shown: Vec<String> = fields.iter().take(5).map(|field| format!("{} ({})", field.path, field.manager)).collect();
    let rest = fields.len().saturating_sub(5);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("fields of other managers: {}{more}", shown.join(", "))
}
