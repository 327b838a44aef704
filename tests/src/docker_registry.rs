//! Debian's `docker-registry`, the reference implementation of the protocol, as a process of its own.

use anyhow::Context as _;
use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};
use tempfile::TempDir;

/// Who may use it.
pub const USER: &str = "jana";

/// With which password.
pub const PASSWORD: &str = "open-sesame";

/// bcrypt of [`PASSWORD`].
const PASSWORD_HASH: &str = "$2b$05$abcdefghijklmnopqrstuutXu9KzOt.1yBoZUeFWoT/914/JfszCO";

const PROGRAM: &str = "/usr/bin/docker-registry";

/// A registry that ends when this is dropped.
pub struct DockerRegistry {
    /// `host:port`.
    pub host: String,
    process: Child,
    _folder: TempDir,
}

impl DockerRegistry {
    /// Starts it; none where it is not installed.
    pub fn start() -> anyhow::Result<Option<Self>> {
        if !Path::new(PROGRAM).exists() {
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        let (config, passwords) = (folder.path().join("config.yml"), folder.path().join("htpasswd"));
        std::fs::write(&passwords, format!("{USER}:{PASSWORD_HASH}\n"))?;
        let text = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: \"{}\"}}}}\n\
             http: {{addr: \"127.0.0.1:0\"}}\nauth: {{htpasswd: {{realm: test, path: \"{}\"}}}}\n",
            folder.path().join("data").display(),
            passwords.display()
        );
        std::fs::write(&config, text)?;
        let mut process = Command::new(PROGRAM)
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting docker-registry")?;
        let log = BufReader::new(process.stderr.take().context("its standard error is piped")?);
        let (sender, receiver) = mpsc::channel();
        // Goes on reading, or the program would block on a full pipe.
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("listening on ") {
                    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(rest.len());
                    let _ = sender.send(rest[..end].to_owned());
                }
            }
        });
        match receiver.recv_timeout(Duration::from_secs(20)) {
            Ok(host) => Ok(Some(Self { host, process, _folder: folder })),
            Err(error) => {
                let _ = process.kill();
                let _ = process.wait();
                Err(error).context("docker-registry does not listen")
            }
        }
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
