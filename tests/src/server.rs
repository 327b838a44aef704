//! The server's own executable as a process, to be killed.

use crate::environment;
use anyhow::{Context as _, ensure};
use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

/// A server that is killed when this is dropped.
pub struct ServerProcess {
    /// Where its API is.
    pub address: SocketAddr,
    /// Where its registry is.
    pub registry: SocketAddr,
    /// What the administrator signs in with once, at the first start.
    pub one_time_password: Option<String>,
    child: Child,
}

impl ServerProcess {
    /// Starts it with SQLite in a folder, and its registry at an address; a free one at the first start.
    pub fn start(folder: &Path, registry: Option<SocketAddr>) -> anyhow::Result<Self> {
        let key = folder.join("data").join("key");
        Self::start_with(folder, registry, &key, "")
    }

    /// Starts one of several that share a database and the file of a key.
    pub fn start_replica(folder: &Path, database: &str, key: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Self::start_with(folder, None, key, &format!("\n[database]\nurl = \"{database}\"\nreplicated = true\n"))
    }

    fn start_with(folder: &Path, registry: Option<SocketAddr>, key: &Path, more: &str) -> anyhow::Result<Self> {
        let registry = registry.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let config = folder.join("ropeway.toml");
        let text = format!(
            "[data]\nfolder = \"{}\"\nkey_file = \"{}\"\n\n[http]\nlisten = \"127.0.0.1:0\"\n\n\
             [library]\nlisten = \"{registry}\"\nplain_http_hosts = [\"127.0.0.1\"]\n\n[operations]\nlease_seconds = 6\n\n[log]\nformat = \"json\"\n{more}",
            folder.join("data").display(),
            key.display(),
        );
        std::fs::write(&config, text)?;
        let mut child = Command::new(environment::server_executable()?)
            .args(["serve", "--config"])
            .arg(&config)
            // What the test command says to tests is no configuration.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log"))?)
            .spawn()
            .context("starting the server")?;
        let output = BufReader::new(child.stdout.take().context("its output is piped")?);
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut one_time_password = None;
        let mut address = None;
        loop {
            let line = match lines.recv_timeout(Duration::from_secs(60)) {
                Ok(line) => line,
                Err(error) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
                    return Err(error).with_context(|| format!("the server does not come up: {log}"));
                }
            };
            if let Some(password) = line.trim().strip_prefix("password:") {
                one_time_password = Some(password.trim().to_owned());
            } else if let Some(url) = line.strip_prefix("GraphQL:") {
                let host = url.trim().trim_start_matches("http://").trim_end_matches("/graphql");
                address = Some(host.parse()?);
            } else if let (Some(url), Some(address)) = (line.strip_prefix("registry:"), address) {
                let registry = url.trim().trim_start_matches("http://").parse()?;
                return Ok(Self { address, registry, one_time_password, child });
            }
        }
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Stops it where it is, as a machine does that is too busy.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal("STOP")
    }

    /// Lets it go on after [`ServerProcess::pause`].
    pub fn go_on(&self) -> anyhow::Result<()> {
        self.signal("CONT")
    }

    fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let asked = Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status()?;
        ensure!(asked.success(), "the server cannot be sent {signal}");
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    pub fn terminate(mut self) -> anyhow::Result<()> {
        self.signal("TERM")?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
