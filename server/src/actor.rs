//! Who asks.

use crate::id::{SessionId, UserId};

/// The signed-in person on whose behalf a request runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub user_id: UserId,
    /// The name that they sign in with.
    pub name: String,
    /// What people call them.
    pub display_name: String,
    /// Until they have, they can do nothing else.
    pub must_change_password: bool,
    /// Which session the request belongs to.
    pub session_id: SessionId,
}
