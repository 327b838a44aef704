//! `ropeway schema`

use std::{io::Write as _, process::ExitCode};

pub(super) fn run() -> anyhow::Result<ExitCode> {
    std::io::stdout().write_all(crate::graphql::sdl().as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
