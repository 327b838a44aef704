//! The executable's own commands.

use anyhow::ensure;
use ropeway_tests::environment::server_executable;
use std::process::Command;

#[test]
fn migrating_is_done_once_and_others_variables_are_let_be() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let migrate = |name: &str, value: &str| {
        Command::new(server_executable()?)
            .arg("migrate")
            .env_clear()
            .env("ROPEWAY_DATA__FOLDER", folder.path())
            .env(name, value)
            .output()
            .map_err(anyhow::Error::from)
    };
    // Kubernetes says this to every pod where there is a Service named ropeway.
    let first = migrate("ROPEWAY_PORT", "tcp://10.0.0.1:8080")?;
    let printed = String::from_utf8(first.stdout)?;
    ensure!(first.status.success() && printed.starts_with("migrated "), "{printed}");
    ensure!(folder.path().join("ropeway.db").is_file(), "there is a database");
    let second = migrate("ROPEWAY_LOG__FILTER", "error")?;
    let printed = String::from_utf8(second.stdout)?;
    ensure!(second.status.success() && printed == "the database is up to date\n", "{printed}");
    let refused = migrate("ROPEWAY_LOG__COLOUR", "red")?;
    let told = String::from_utf8(refused.stderr)?;
    ensure!(!refused.status.success() && told.contains("ROPEWAY_LOG__COLOUR"), "{told}");
    Ok(())
}
