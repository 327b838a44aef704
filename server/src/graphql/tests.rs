//! The platform through its API, executed in this process: people, enterprises, teams, clusters, the library.

mod application;
mod bed;
mod cluster;
mod history;
mod library;
mod limits;
mod lists;
mod operation;
mod page;
mod people;
mod publication;
mod roles;
mod schema;
mod seed;
mod team;
mod template;
