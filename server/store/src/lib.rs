//! Rows and queries, one noun a file, the same for SQLite and PostgreSQL; and what rows are made of: ids, instants, and
//! secrets that are sealed.
//!
//! Invariants of this crate:
//! - Nothing here begins a transaction: `service` and `operation::journal` of the server do, and pass the connection on.
//! - Time, ids and randomness come from `clock` alone.

pub mod application;
pub mod application_lock;
pub mod audit;
pub mod clock;
pub mod cluster;
pub mod cluster_object;
pub mod component;
pub mod connection;
pub mod driver;
pub mod enterprise;
pub mod event;
mod first;
pub mod id;
pub mod installation;
pub mod library;
pub mod member;
pub mod operation;
pub mod postgres_tls;
pub mod publication;
pub mod record;
pub mod resource;
pub mod schema;
pub mod seal;
pub mod sealed_value;
pub mod step;
pub mod team;
pub mod template;
pub mod types;
pub mod user;
pub mod version;

pub use connection::{Conn, Database, DatabaseError};
pub use types::{Instant, Key, Stored, Word};
