//! Why an entry was not made.

use crate::{
    error::{Error, UserError},
    id::OperationId,
    store::DatabaseError,
};
use ropeway_domain::operation::InvalidTransition;

/// Why an entry was not made. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The worker does not hold the operation any more: another one has taken it, or it is finished.
    #[error("the operation is not held by this worker any more")]
    LostLease,
    /// Another operation is changing the application.
    #[error("operation {operation_id} is changing the application")]
    Busy {
        /// The one in the way.
        operation_id: OperationId,
    },
    /// The application was deleted in the meantime.
    #[error("the application does not exist any more")]
    NoApplication,
    /// The states do not allow it.
    #[error(transparent)]
    Transition(#[from] InvalidTransition),
    /// A step's action cannot be written or read.
    #[error("reading or writing the action of a step")]
    Action(#[source] serde_json::Error),
    /// The operation has no step of this number.
    #[error("the operation has no step {0}")]
    NoStep(u32),
    /// The object belongs to another application.
    #[error("{object} belongs to another application")]
    ForeignObject {
        /// Its kind and name.
        object: String,
    },
    /// The database refused.
    #[error("writing an entry of an operation")]
    Query(#[from] diesel::result::Error),
    /// The database does not answer.
    #[error("reaching the database of operations")]
    Database(#[from] DatabaseError),
    /// What an operation's end means could not be written.
    #[error("settling what the operation changed")]
    Settle(#[source] Box<Error>),
}

impl From<JournalError> for Error {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Busy { operation_id } => {
                let message = "another operation is changing this application; wait for its end or cancel it";
                UserError::new("APPLICATION_BUSY", message).naming(crate::graphql::id::encode_text(operation_id)).into()
            }
            JournalError::NoApplication => Self::NotFound("the application"),
            JournalError::Transition(refused) => Self::Conflict(refused.to_string()),
            JournalError::Query(error) => error.into(),
            JournalError::Database(error) => error.into(),
            JournalError::Settle(error) => *error,
            error => Self::internal(error),
        }
    }
}
