//! A real control plane as a process of its own.

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value as Json;
use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};
use tempfile::TempDir;

/// A real control plane. It ends when its standard input is closed: when this is dropped, or with the test's process.
pub struct ControlPlane {
    /// Its name.
    pub name: String,
    /// How it is reached, with everything in it.
    pub kubeconfig: String,
    child: Child,
    input: Option<ChildStdin>,
    _folder: TempDir,
}

impl ControlPlane {
    /// Starts one and waits until it is usable.
    pub fn start(executable: &Path, name: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut child = Command::new(executable)
            .args(["up", "--delay", "50ms", "--name", name, "--data"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .with_context(|| format!("starting {}", executable.display()))?;
        let input = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output is piped")?).read_line(&mut line)?;
        let started: Json = serde_json::from_str(&line).context("the control plane says where it is")?;
        let path = started["kubeconfig"].as_str().context("it names its kubeconfig")?;
        let kubeconfig = inline(&std::fs::read_to_string(path)?)?;
        Ok(Self { name: name.to_owned(), kubeconfig, child, input, _folder: folder })
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// Puts the content of files that a kubeconfig names into it.
fn inline(text: &str) -> anyhow::Result<String> {
    let keys = ["certificate-authority", "client-certificate", "client-key"];
    let mut lines = Vec::new();
    for line in text.lines() {
        let named = keys.iter().find_map(|key| {
            let at = line.find(&format!("{key}: "))?;
            Some((key, &line[..at], line[at + key.len() + 2..].trim().trim_matches(['"', '\''])))
        });
        lines.push(match named {
            Some((key, before, path)) => {
                let content = std::fs::read(path).with_context(|| format!("reading {path}"))?;
                format!("{before}{key}-data: {}", STANDARD.encode(content))
            }
            None => line.to_owned(),
        });
    }
    Ok(lines.join("\n"))
}
