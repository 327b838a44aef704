//! The executable's own commands.

use anyhow::{Context as _, bail, ensure};
use ropeway_tests::{
    environment::{self, server_executable, skip},
    wait::DEADLINE,
};
use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
};

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

#[test]
fn every_command_is_listed_and_the_schema_is_that_of_the_file() -> anyhow::Result<()> {
    let print = |argument: &str| Command::new(server_executable()?).arg(argument).output().map_err(anyhow::Error::from);
    let help = String::from_utf8(print("--help")?.stdout)?;
    let listed = |command: &str| help.lines().any(|line| line.trim_start().starts_with(command));
    for command in ["serve", "demo", "schema", "migrate"] {
        ensure!(listed(command), "{command} is not listed: {help}");
    }
    let schema = print("schema")?;
    let file = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema.graphql"))?;
    ensure!(schema.status.success() && schema.stdout == file, "the schema that is printed is another one");
    Ok(())
}

#[test]
fn the_demo_performs_its_acts_and_leaves_nothing_behind() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut demo = Demo::start(&["--exit"], folder.path())?;
    ensure!(demo.ended()?.success(), "it failed: {}", demo.said());
    for act in ["Compose", "Publish", "Install", "Change", "Upgrade", "Roll back", "Done"] {
        ensure!(demo.lines.iter().any(|line| line.starts_with(act)), "{act} is missing: {}", demo.said());
    }
    for place in ["GraphiQL", "library", "images from"] {
        let shown = demo.lines.iter().any(|line| line.trim().starts_with(place) && line.contains("http://127.0.0.1:"));
        ensure!(shown, "the address of {place} is missing: {}", demo.said());
    }
    is_empty(folder.path())
}

#[test]
fn the_demo_stays_up_for_kubectl_until_it_is_asked_to_end() -> anyhow::Result<()> {
    const NAME: &str = "command::the_demo_stays_up_for_kubectl_until_it_is_asked_to_end";
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let at_data = ["--data", data.to_str().context("a path of text")?];
    let mut demo = Demo::start(&at_data, folder.path())?;
    demo.until("Everything stays up")?;
    match environment::control_plane() {
        Some(executable) => every_command_works(&demo, &executable)?,
        None => skip(NAME, "there is no kubectl: Go is missing"),
    }
    demo.signal("TERM")?;
    ensure!(demo.ended()?.success(), "it does not end well: {}", demo.said());
    ensure!(data.join("server").join("ropeway.db").is_file(), "what it was told to keep is gone");

    let mut again = Demo::start(&at_data, folder.path())?;
    ensure!(!again.ended()?.success(), "it takes a folder that holds something");
    Ok(())
}

#[test]
fn a_demo_that_is_broken_off_cleans_up() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut demo = Demo::start(&[], folder.path())?;
    demo.until("Compose")?;
    demo.signal("INT")?;
    let status = demo.ended()?;
    ensure!(status.code() == Some(1), "half a demo is no success, and no crash: {status}");
    is_empty(folder.path())
}

/// Runs each `kubectl` command that was printed.
fn every_command_works(demo: &Demo, executable: &Path) -> anyhow::Result<()> {
    let commands: Vec<&str> = demo.lines.iter().filter_map(|line| line.trim().strip_prefix("kubectl ")).collect();
    ensure!(commands.len() == 2, "one command a cluster: {commands:?}");
    for command in commands {
        let ran = Command::new(executable).arg("kubectl").args(command.split(' ')).output()?;
        let printed = String::from_utf8_lossy(&ran.stdout).into_owned();
        let told = String::from_utf8_lossy(&ran.stderr).into_owned();
        ensure!(ran.status.success(), "kubectl {command}: {told}");
        let pods: Vec<&str> = printed.lines().skip(1).collect();
        ensure!(pods.iter().any(|pod| pod.starts_with("shop-database-0 ")), "kubectl {command}: {printed}");
        ensure!(pods.iter().all(|pod| pod.contains("Running")), "kubectl {command}: {printed}");
    }
    Ok(())
}

fn is_empty(folder: &Path) -> anyhow::Result<()> {
    let left: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    ensure!(left.is_empty(), "{left:?} is left");
    Ok(())
}

/// `ropeway demo` as a process, killed when this is dropped.
struct Demo {
    child: Child,
    coming: mpsc::Receiver<String>,
    lines: Vec<String>,
}

impl Demo {
    /// Starts it with a folder for what is temporary.
    fn start(arguments: &[&str], temporary: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(server_executable()?)
            .arg("demo")
            .args(arguments)
            .env_clear()
            .env("TMPDIR", temporary)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .context("starting the demo")?;
        let output = BufReader::new(child.stdout.take().context("its output is piped")?);
        let (sender, coming) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Ok(Self { child, coming, lines: Vec::new() })
    }

    /// Waits for a line that begins like this.
    fn until(&mut self, start: &str) -> anyhow::Result<()> {
        loop {
            match self.coming.recv_timeout(DEADLINE) {
                Ok(line) => self.lines.push(line),
                Err(_) => bail!("{start:?} does not come: {}", self.said()),
            }
            if self.lines.last().is_some_and(|line| line.starts_with(start)) {
                return Ok(());
            }
        }
    }

    fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let asked = Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status()?;
        ensure!(asked.success(), "the demo cannot be asked to end");
        Ok(())
    }

    /// Waits until its output ends, and it does.
    fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        loop {
            match self.coming.recv_timeout(DEADLINE) {
                Ok(line) => self.lines.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(self.child.wait()?),
                Err(mpsc::RecvTimeoutError::Timeout) => bail!("it does not end: {}", self.said()),
            }
        }
    }

    fn said(&self) -> String {
        self.lines.join("\n")
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
