//! The command line.

mod demo_command;
mod log;
mod migrate;
mod schema;
mod serve;

use clap::{Parser, Subcommand};
use std::{future::Future, process::ExitCode};

/// Delivers applications to several Kubernetes clusters from one console.
#[derive(Debug, Parser)]
#[command(
    name = "ropeway",
    version,
    about,
    long_about = "Delivers applications to several Kubernetes clusters from one console: publish an application that \
                  runs in one cluster, install it in others, keep them at the same version, roll back.\n\n\
                  `ropeway demo` shows it on this machine, with nothing installed; `ropeway serve` runs the server.",
    arg_required_else_help = true,
    propagate_version = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server: the GraphQL API, the embedded library registry and the worker
    Serve(serve::Arguments),
    /// Show the main job on this machine: compose, publish, install, upgrade and roll back, in two embedded clusters
    Demo(demo_command::Arguments),
    /// Print the GraphQL schema in the schema definition language
    Schema,
    /// Bring the tables of the database up to date, which `serve` also does when it starts
    Migrate(migrate::Arguments),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Schema => schema::run(),
        Command::Serve(arguments) => block_on(serve::run(arguments)),
        Command::Demo(arguments) => block_on(demo_command::run(arguments)),
        Command::Migrate(arguments) => block_on(migrate::run(arguments)),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ropeway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn block_on(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(command);
    // What still blocks a thread, such as hashing a password, does not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    result
}

/// Ends in order, or at once where the process is asked to end a second time.
async fn end(stop: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<ExitCode> {
    tokio::select! {
        stopped = stop => stopped.map(|()| ExitCode::SUCCESS),
        asked = asked_to_end() => {
            asked?;
            eprintln!("ropeway: asked a second time, ended at once");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Comes when the process is asked to end: SIGTERM, or SIGINT as by Ctrl-C.
async fn asked_to_end() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        result = tokio::signal::ctrl_c() => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[tokio::test]
    async fn a_second_request_to_end_does_not_wait() {
        let ended = tokio::spawn(end(std::future::pending()));
        let deadline = std::time::Duration::from_secs(20);
        let asked = async {
            while !ended.is_finished() {
                // Until it listens the signal would end the process: this one listens as well.
                let _listens = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
                std::process::Command::new("kill").args(["-TERM", &std::process::id().to_string()]).status().unwrap();
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(deadline, asked).await.unwrap();
        assert_eq!(format!("{:?}", ended.await.unwrap().unwrap()), format!("{:?}", ExitCode::FAILURE));
    }

    #[test]
    fn every_command_and_argument_is_described() {
        for command in Arguments::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
        }
    }
}
