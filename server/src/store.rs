//! Rows and queries, one noun a file, the same for SQLite and PostgreSQL.
//!
//! Nothing here begins a transaction: `service` and `operation::journal` do, and pass the connection on.

pub mod connection;
pub mod schema;
pub mod types;

pub use connection::{Conn, Database, DatabaseError};
pub use types::{Instant, Key, Stored, Word};
