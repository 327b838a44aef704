//! Log lines, to standard error.

use crate::config::{LogConfig, LogFormat};
use anyhow::Context as _;
use std::io::IsTerminal as _;
use tracing_subscriber::{EnvFilter, fmt};

/// Writes log lines as configured, from now on. Once in a process.
pub(super) fn begin(config: &LogConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.filter).with_context(|| format!("log.filter is {:?}", config.filter))?;
    // The client of Kubernetes writes whole answers, which may hold secrets.
    let filter = filter.add_directive("kube_client=off".parse()?);
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let begun = match config.format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Pretty => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    begun.map_err(|error| anyhow::anyhow!("preparing the log: {error}"))
}
