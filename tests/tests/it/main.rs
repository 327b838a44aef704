//! The whole server, tested through its public API.

mod bad_input;
mod canary;
mod crash;
mod live;
mod main_job;
mod migrations;
mod schema;
