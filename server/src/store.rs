//! Rows and queries, one noun a file, the same for SQLite and PostgreSQL.
//!
//! Nothing here begins a transaction: `service` and `operation::journal` do, and pass the connection on.

pub mod audit;
pub mod version;
pub mod template;
pub mod resource;
pub mod record;
pub mod publication;
pub mod installation;
pub mod component;
pub mod application;
pub mod step;
pub mod sealed_value;
pub mod operation;
pub mod event;
pub mod cluster_object;
pub mod application_lock;
pub mod cluster;
pub mod connection;
pub mod driver;
pub mod enterprise;
pub mod library;
pub mod member;
pub mod schema;
pub mod team;
pub mod types;
pub mod user;

pub use connection::{Conn, Database, DatabaseError};
pub use types::{Instant, Key, Stored, Word};
