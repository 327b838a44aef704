//! The whole server, tested through its public API.

mod bad_input;
mod both;
mod canary;
mod come_and_go;
mod command;
mod crash;
mod failed_installation;
mod failed_upgrade;
mod failure;
mod foreign;
mod jobs_and_volumes;
mod kubernetes_resources;
mod live;
mod made_anew;
mod main_job;
mod migrations;
mod owners;
mod plans;
mod preflight;
mod replicas;
mod schema;
mod silent;
mod small;
mod together;
mod volumes_left;
