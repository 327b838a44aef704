//! What can go wrong with a registry, and whether trying again may help.

use crate::digest::Digest;
use std::time::Duration;

/// A cause that this crate only passes on.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A request to a registry, or the content that it gave, failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke, or nothing came for too long.
    #[error("cannot reach {host} while {action}")]
    Unreachable {
        /// The registry.
        host: String,
        /// What we were doing.
        action: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The registry itself says that it is broken (5xx).
    #[error("{host} is out of order ({status}) while {action}: {detail}")]
    Unavailable {
        /// The registry.
        host: String,
        /// What we were doing.
        action: String,
        /// The HTTP status.
        status: u16,
        /// What it said, shortened.
        detail: String,
    },
    /// The registry asks for slower requests (429).
    #[error("{host} throttles us while {action}")]
    Throttled {
        /// The registry.
        host: String,
        /// What we were doing.
        action: String,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
    },
    /// The credentials are missing, wrong, or not good enough (401, 403).
    #[error("{host} refuses access while {action}: {detail}")]
    Unauthorized {
        /// The registry.
        host: String,
        /// What we were doing.
        action: String,
        /// What it said, shortened.
        detail: String,
    },
    /// There is no such repository, manifest, blob or upload (404).
    #[error("{host} does not have it: {action}")]
    NotFound {
        /// The registry.
        host: String,
        /// What we were doing.
        action: String,
    },
    /// The bytes are not those that the digest names.
    #[error("the content has digest {found} instead of {expected} while {action}")]
    DigestMismatch {
        /// The digest asked for.
        expected: Digest,
        /// The digest of what came, or that the registry claims.
        found: Digest,
        /// What we were doing.
        action: String,
    },
    /// There are fewer or more bytes than announced.
    #[error("{digest} has {found} bytes instead of {expected}")]
    SizeMismatch {
        /// The content asked for.
        digest: Digest,
        /// The size that its descriptor gives.
        expected: u64,
        /// The size found; counting stops soon after the expected one.
        found: u64,
    },
    /// Something exceeds a limit.
    #[error("{what} exceeds the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The limit, in bytes or in pieces as `what` says.
        limit: u64,
    },
    /// A feature or a format that the registry or this crate does not support.
    #[error("not supported: {what}")]
    Unsupported {
        /// What is not supported.
        what: String,
    },
    /// The registry's answer makes no sense.
    #[error("{host} gave an answer that makes no sense while {action}: {detail}")]
    Protocol {
        /// The registry.
        host: String,
        /// What we were doing.
        action: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The endpoint cannot be used as it is configured.
    #[error("the registry's configuration is not usable: {what}")]
    Configuration {
        /// What is wrong.
        what: String,
    },
}

impl Error {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Unavailable { .. } | Self::Throttled { .. })
    }

    /// How long the registry asks us to wait before the next attempt.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
