//! `ropeway serve`

use crate::{clock::Clock, config::Config, process};
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration file (TOML). Every key can also be set by the environment, which wins: ROPEWAY_HTTP__LISTEN is
    /// `listen` of `[http]`, and DATABASE_URL is `url` of `[database]`
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = Config::load(arguments.config.as_deref())?;
    super::log::begin(&config.log)?;
    let mut running = process::run(config, Clock::default()).await?;
    // At once: it is stored nowhere.
    if let Some(first) = running.first.take() {
        println!(
            "{} Sign in once with these, and change the password:",
            if first.is_renewed {
                "Nobody has signed in yet, so here is a new password; the one before is not valid any more."
            } else {
                "This is the first start."
            }
        );
        println!("  name:     {}", first.name);
        println!("  password: {}", first.one_time_password.expose());
    }
    println!("GraphQL:  http://{}/graphql", running.http_addr);
    println!("registry: http://{}", running.registry_addr);
    tokio::select! {
        failed = running.failed() => failed?,
        asked = super::asked_to_end() => asked?,
    }
    tracing::info!("stopping: what runs may end, the rest goes on after the next start");
    super::end(running.stop()).await
}
