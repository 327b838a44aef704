//! Rows and queries, one noun a file, the same for SQLite and PostgreSQL.
//!
//! Nothing here begins a transaction: `service` and `operation::journal` do, and pass the connection on.

pub mod application;
pub mod application_lock;
pub mod audit;
pub mod cluster;
pub mod cluster_object;
pub mod component;
pub mod connection;
pub mod driver;
pub mod enterprise;
pub mod event;
mod first;
pub mod installation;
pub mod library;
pub mod member;
pub mod operation;
pub mod postgres_tls;
pub mod publication;
pub mod record;
pub mod resource;
pub mod schema;
pub mod sealed_value;
pub mod step;
pub mod team;
pub mod template;
#[cfg(test)]
pub mod test_database;
pub mod types;
pub mod user;
pub mod version;

pub use connection::{Conn, Database, DatabaseError};
pub use types::{Instant, Key, Stored, Word};
