//! `ropeway migrate`

use crate::{config::Config, process};
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration file; without one, the environment and the defaults
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = Config::load(arguments.config.as_deref())?;
    super::log::begin(&config.log)?;
    let ran = process::migrate(&config).await?;
    for name in &ran {
        println!("migrated {name}");
    }
    if ran.is_empty() {
        println!("the database is up to date");
    }
    Ok(ExitCode::SUCCESS)
}
