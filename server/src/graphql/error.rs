//! How errors look to clients: what a user can mend is part of a payload, the rest is a GraphQL error with a code.

use crate::error::{self, Error};
use async_graphql::{ErrorExtensions as _, ID, SimpleObject};

/// What a user can mend.
#[derive(Debug, Clone, PartialEq, Eq, SimpleObject)]
pub struct UserError {
    /// For programs: stable, in capitals.
    pub code: String,
    /// For people: what is wrong, and what would be right.
    pub message: String,
    /// Which part of the input.
    pub path: Vec<String>,
    /// What stands in the way, such as the unfinished operation.
    pub objects: Vec<ID>,
}

/// What every mutation answers with.
pub trait Payload: Sized {
    /// The answer where nothing was done.
    fn refused(errors: Vec<UserError>) -> Self;
}

/// Makes a mutation's answer of what a service returned.
pub fn answer<T, P: Payload>(result: error::Result<T>, wrap: impl FnOnce(T) -> P) -> async_graphql::Result<P> {
    match result {
        Ok(done) => Ok(wrap(done)),
        Err(Error::Invalid(errors)) => Ok(P::refused(errors.into_iter().map(Into::into).collect())),
        Err(error) => Err(graphql_error(error)),
    }
}

/// A GraphQL error with `extensions.code`. The cause of an internal error goes to the log and no further.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` calls")]
pub fn graphql_error(error: Error) -> async_graphql::Error {
    let cause = std::error::Error::source(&error).map(|cause| format!("{cause:?}"));
    match &error {
        Error::Internal(_) => tracing::error!(error.cause = cause, "a request failed for a reason of our own"),
        Error::Unavailable { message, .. } => {
            tracing::warn!(error.message = message, error.cause = cause, "something outside does not answer");
        }
        _ => {}
    }
    let code = error.code();
    async_graphql::Error::new(error.to_string()).extend_with(|_, extensions| {
        extensions.set("code", code);
        if let Error::Invalid(errors) = &error {
            let list = errors.iter().map(|e| {
                async_graphql::value!({
                    "code": e.code.clone(),
                    "message": e.message.clone(),
                    "path": e.path.clone(),
                    "objects": e.objects.clone(),
                })
            });
            extensions.set("errors", list.collect::<Vec<_>>());
        }
    })
}

/// `?` for services in resolvers.
pub trait IntoGraphql<T> {
    /// Turns the error into one with a code.
    fn graphql(self) -> async_graphql::Result<T>;
}

impl<T> IntoGraphql<T> for error::Result<T> {
    fn graphql(self) -> async_graphql::Result<T> {
        self.map_err(graphql_error)
    }
}

impl From<error::UserError> for UserError {
    fn from(error: error::UserError) -> Self {
        let error::UserError { code, message, path, objects } = error;
        Self { code, message, path, objects: objects.into_iter().map(ID).collect() }
    }
}

/// Defines a mutation's payload: what it made or changed, all nullable, and `errors`.
#[macro_export]
macro_rules! payload {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(async_graphql::SimpleObject)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: Option<$type>,)*
            /// What the caller can mend. Where there is any, nothing was changed.
            pub errors: Vec<$crate::graphql::error::UserError>,
        }

        impl $crate::graphql::error::Payload for $name {
            fn refused(errors: Vec<$crate::graphql::error::UserError>) -> Self {
                Self { $($field: None,)* errors }
            }
        }
    };
}
