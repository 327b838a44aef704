//! The whole server, tested through its public API: what the tests are made of.
//!
//! - [`app`]: a server of a test's own, on free ports, with a database of its own, and what fills it.
//! - [`cluster`]: embedded clusters, and real control planes that tests share.
//! - [`database`], [`docker_registry`], [`server`]: a database, a registry and a server process of a test's own.
//! - [`environment`]: what the test command says, and how a test is skipped; the one place that reads the environment.
//!
//! Tests run in parallel and in any order, listen on loopback, wait for conditions and never for a time, and end what
//! they start.

pub mod app;
pub mod cluster;
pub mod database;
pub mod docker_registry;
pub mod environment;
pub mod log;
pub mod server;
pub mod wait;
