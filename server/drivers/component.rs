//! Rust to a WebAssembly component, by a cargo inside of cargo. Used by the build script and by the tests.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

const TARGET: &str = "wasm32-unknown-unknown";

/// What the outer cargo sets for its own target, and what would change the bytes of a component.
const NOT_FOR_GUESTS: &[&str] = &[
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
];

/// The folder in which guests are built. It is not that of the outer cargo, for whose lock the inner one would wait
/// for ever; beside it, what was built is kept from one profile to the next.
pub(crate) fn target_folder(out: &Path) -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR").map(PathBuf::from) {
        Some(folder) if folder.is_absolute() => folder.join("driver-components"),
        _ => out.join("driver-components"),
    }
}

/// Builds one library or example (`which`) and makes the module `name` that comes of it a component.
pub(crate) fn build(root: &Path, target_folder: &Path, which: &[&str], name: &str) -> Result<Vec<u8>, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).arg("build").args(which).args(["--target", TARGET, "--profile", "driver"]);
    command.arg("--target-dir").arg(target_folder);
    if root.join("Cargo.lock").exists() {
        command.arg("--locked");
    }
    for (variable, _) in env::vars_os() {
        let text = variable.to_string_lossy();
        if NOT_FOR_GUESTS.contains(&&*text) || text.starts_with("CARGO_PROFILE_") || text.starts_with("CARGO_FEATURE_")
        {
            command.env_remove(&variable);
        }
    }
    // The same bytes wherever it is built: messages of panics name source files.
    let home = env::var_os("CARGO_HOME").map_or_else(|| home().join(".cargo"), PathBuf::from);
    let flags = [(root, "/ropeway"), (&home, "/cargo")]
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));

    let output = command.output().map_err(|error| format!("cannot start cargo: {error}"))?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr);
        let lacks_target = log.contains("E0463") && log.contains(TARGET);
        let hint = if lacks_target {
            format!("\n\nThe target {TARGET} is not installed. Install it: rustup target add {TARGET}")
        } else {
            String::new()
        };
        return Err(format!("{command:?} failed:\n{log}{hint}"));
    }
    let folder = target_folder.join(TARGET).join("driver");
    let folder = if which.contains(&"--example") { folder.join("examples") } else { folder };
    let module = folder.join(format!("{name}.wasm"));
    let module = std::fs::read(&module).map_err(|error| format!("cannot read {}: {error}", module.display()))?;
    // The types are in a custom section of the module, where the bindings put them.
    let mut encoder = wit_component::ComponentEncoder::default();
    encoder.validate(true).module(&module).map_err(|error| format!("{name} has no contract: {error:#}"))?;
    encoder.encode().map_err(|error| format!("cannot make a component of {name}: {error:#}"))
}

fn home() -> PathBuf {
    env::var_os("HOME").map_or_else(PathBuf::new, PathBuf::from)
}
