//! The Ropeway command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ropeway::cli::main()
}
