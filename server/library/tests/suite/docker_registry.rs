//! Debian's `docker-registry`, the reference implementation, as a process of its own.

use crate::support::{PASSWORD, USER};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const PROGRAM: &str = "/usr/bin/docker-registry";
/// bcrypt of [`PASSWORD`].
const PASSWORD_HASH: &str = "$2b$05$abcdefghijklmnopqrstuutXu9KzOt.1yBoZUeFWoT/914/JfszCO";

pub(crate) struct DockerRegistry {
    pub(crate) host: String,
    process: Child,
}

impl DockerRegistry {
    /// Starts it with its data in a folder; nothing where it is not installed.
    pub(crate) fn start(dir: &Path) -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            return None;
        }
        let (config, passwords, data) = (dir.join("config.yml"), dir.join("htpasswd"), dir.join("data"));
        assert_eq!(PASSWORD, "open-sesame", "the hash belongs to this password");
        std::fs::write(&passwords, format!("{USER}:{PASSWORD_HASH}\n")).expect("a file");
        let text = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: \"{}\"}}}}\n\
             http: {{addr: \"127.0.0.1:0\"}}\nauth: {{htpasswd: {{realm: test, path: \"{}\"}}}}\n",
            data.display(),
            passwords.display()
        );
        std::fs::write(&config, text).expect("a file");
        let mut process = Command::new(PROGRAM)
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = BufReader::new(process.stderr.take().expect("piped"));
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
        let Ok(host) = receiver.recv_timeout(Duration::from_secs(20)) else {
            let _ = process.kill();
            let _ = process.wait();
            panic!("docker-registry did not listen in time");
        };
        Some(Self { host, process })
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
