//! The one error of services. What is expected is part of a payload; the rest has a code.

use crate::{seal::SealError, store::DatabaseError};

use ropeway_domain::operation::InvalidTransition;

/// What a user can mend: where, what is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserError {
    /// Stable, in capitals, such as `SLUG_IN_USE`.
    pub code: String,
    /// For people.
    pub message: String,
    /// Which part of the input, such as `["settings", "ports", "0"]`.
    pub path: Vec<String>,
    /// Global ids of what stands in the way, such as the unfinished operation.
    pub objects: Vec<String>,
}

/// Why a service function did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input cannot be accepted; the caller can mend it. A mutation's payload lists them.
    #[error("{}", .0.first().map_or("the input is not acceptable", |e| e.message.as_str()))]
    Invalid(Vec<UserError>),
    /// Nobody is signed in.
    #[error("sign in first: send \"Authorization: Bearer <token>\"")]
    Unauthenticated,
    /// It does not exist, or may not be seen, which is the same to the caller.
    #[error("{0} does not exist")]
    NotFound(&'static str),
    /// It may be seen, but not done.
    #[error("{0}")]
    Forbidden(String),
    /// Something else was faster, or is in the way.
    #[error("{0}")]
    Conflict(String),
    /// Too many requests of a kind.
    #[error("{0}")]
    RateLimited(String),
    /// Something outside does not answer.
    #[error("{message}")]
    Unavailable {
        /// What does not answer.
        message: String,
        /// Why, for the log.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A fault of ours. The cause goes to the log and never to a client.
    #[error("an internal error; it was logged")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What service functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl UserError {
    /// An error about the input as a whole.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), path: Vec::new(), objects: Vec::new() }
    }

    /// Says which part of the input it is about.
    #[must_use]
    pub fn at<S: Into<String>>(mut self, path: impl IntoIterator<Item = S>) -> Self {
        self.path = path.into_iter().map(Into::into).collect();
        self
    }

    /// Names something that stands in the way.
    #[must_use]
    pub fn naming(mut self, global_id: impl Into<String>) -> Self {
        self.objects.push(global_id.into());
        self
    }
}

impl Error {
    /// One thing that the caller can mend.
    pub fn invalid<S: Into<String>>(code: &str, path: impl IntoIterator<Item = S>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![UserError::new(code, message).at(path)])
    }

    /// A fault of ours.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// Something outside does not answer.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable { message: message.into(), source: None }
    }

    /// The code that GraphQL clients see in `extensions.code`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "INVALID",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::NotFound(_) => "NOT_FOUND",
            Self::Forbidden(_) => "FORBIDDEN",
            Self::Conflict(_) => "CONFLICT",
            Self::RateLimited(_) => "RATE_LIMITED",
            Self::Unavailable { .. } => "UNAVAILABLE",
            Self::Internal(_) => "INTERNAL",
        }
    }
}

impl From<UserError> for Error {
    fn from(error: UserError) -> Self {
        Self::Invalid(vec![error])
    }
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        use diesel::result::{DatabaseErrorKind, Error as Diesel};
        match error {
            Diesel::DatabaseError(
                DatabaseErrorKind::SerializationFailure
                | DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::ForeignKeyViolation,
                _,
            ) => Self::Conflict("something else changed this at the same time; try again".into()),
            // PostgreSQL has texts without it alone, and says so in the middle of a statement.
            Diesel::DatabaseError(_, information) if information.message().contains("0x00") => {
                Self::invalid::<&str>("INVALID_TEXT", [], "no text may contain the character U+0000")
            }
            error => Self::internal(error),
        }
    }
}

impl From<DatabaseError> for Error {
    fn from(error: DatabaseError) -> Self {
        Self::Unavailable { message: "the database does not answer".into(), source: Some(error.into()) }
    }
}

impl From<InvalidTransition> for Error {
    fn from(error: InvalidTransition) -> Self {
        Self::Conflict(error.to_string())
    }
}

impl From<SealError> for Error {
    fn from(error: SealError) -> Self {
        Self::internal(error)
    }
}
