//! The Ropeway server: GraphQL and durable operations, over the store.
//!
//! Invariants of this crate:
//! - `graphql` decodes, calls one function of `service`, and wraps what it returns.
//! - A function of `service` observes first (read-only, outside any transaction), decides in `ropeway_domain`, and
//!   commits in one transaction that checks that what it observed still holds. A change and the work that it causes
//!   commit together.
//! - Only `operation::perform` changes anything outside the database; only `operation::journal` changes the state of an
//!   operation; only `service` and `operation::journal` begin transactions.
//! - Configuration comes from `config` alone.
//! - One noun has one name everywhere: schema, service, store, table, documentation.

pub mod actor;
pub mod app;
pub mod cli;
pub mod clusters;
pub mod config;
pub mod demo;
pub mod error;
pub mod graphql;
pub mod http;
pub mod libraries;
pub mod operation;
pub mod process;
pub mod registry;
pub mod service;
pub mod shares;
#[cfg(test)]
mod test_database;

pub use error::{Error, Result, UserError};
pub use ropeway_store::{self as store, clock, id, on, seal};
