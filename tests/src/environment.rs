//! What the test command says by the environment.

use std::{
    ffi::OsString,
    io::Write as _,
    path::{Path, PathBuf},
};

/// Where PostgreSQL accepts an administrator: `ROPEWAY_TEST_POSTGRES`, a `postgres://` address.
pub fn postgres() -> Option<String> {
    variable("ROPEWAY_TEST_POSTGRES").and_then(|url| url.into_string().ok())
}

/// The executable that is a control plane: `ROPEWAY_TEST_CONTROLPLANE`.
pub fn control_plane() -> Option<PathBuf> {
    variable("ROPEWAY_TEST_CONTROLPLANE").map(PathBuf::from)
}

/// The server's executable: `ROPEWAY_TEST_BINARY`, or the one that was built beside this test.
pub fn server_executable() -> anyhow::Result<PathBuf> {
    if let Some(path) = variable("ROPEWAY_TEST_BINARY") {
        return Ok(path.into());
    }
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent);
    let path = folder.map(|folder| folder.join("ropeway")).filter(|path| path.is_file());
    path.ok_or_else(|| anyhow::anyhow!("there is no server to start: run `cargo build -p ropeway` first"))
}

/// Whether tests run against embedded clusters: `ROPEWAY_TEST_CLUSTERS` is `playground`, `both` or nothing.
pub fn wants_playgrounds() -> bool {
    wants("playground")
}

/// Whether tests run against real control planes: `ROPEWAY_TEST_CLUSTERS` is `real`, `both` or nothing.
pub fn wants_real_clusters() -> bool {
    wants("real")
}

/// Whether generated files are written instead of compared: `UPDATE_SCHEMA`.
pub fn updates_schema() -> bool {
    variable("UPDATE_SCHEMA").is_some()
}

/// Notes that a test is skipped, for the last lines of the test command. In continuous integration it fails.
pub fn skip(test: &str, reason: &str) {
    assert!(variable("CI").is_none(), "{test} is skipped, which must not be here: {reason}");
    eprintln!("skipped: {test}: {reason}");
    if let Some(path) = variable("ROPEWAY_TEST_SKIPPED") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        let written = file.and_then(|mut file| writeln!(file, "{test}: {reason}"));
        written.expect("the list of skipped tests can be written");
    }
}

fn wants(sort: &str) -> bool {
    variable("ROPEWAY_TEST_CLUSTERS").is_none_or(|chosen| chosen == "both" || chosen == sort)
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
