//! The whole server, tested through its public API.

mod bad_input;
mod canary;
mod command;
mod crash;
mod failed_upgrade;
mod failure;
mod foreign;
mod jobs_and_volumes;
mod live;
mod main_job;
mod migrations;
mod owners;
mod resources;
mod schema;
