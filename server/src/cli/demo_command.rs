//! `ropeway demo`

use crate::{
    config::LogConfig,
    demo::{self, Demo},
};
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// End after the acts, with status 0 only if each of them succeeded; without it, stay up until Ctrl-C
    #[arg(long)]
    exit: bool,
    /// Keep everything in this new or empty folder, instead of a temporary one that is removed at the end
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Write log lines that this filter of the tracing crate lets through, to standard error
    #[arg(long, value_name = "FILTER", default_value = "error")]
    log: String,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    super::log::begin(&LogConfig { filter: arguments.log.clone(), ..LogConfig::default() })?;
    let demo = tokio::select! {
        demo = demo::run(arguments.data.as_deref()) => demo?,
        asked = super::asked_to_end() => {
            asked?;
            return Ok(ExitCode::FAILURE);
        }
    };
    stay(demo, arguments.exit).await
}

async fn stay(demo: Demo, exit: bool) -> anyhow::Result<ExitCode> {
    if !exit {
        println!("\nEverything stays up until Ctrl-C.");
        super::asked_to_end().await?;
        println!();
    }
    super::end(demo.stop()).await
}
