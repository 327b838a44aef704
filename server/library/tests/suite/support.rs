//! Registries to test with, on loopback and gone with the test.

use crate::docker_registry::DockerRegistry;
use axum::Router;
use chrono::{DateTime, Utc};
use ropeway_library::embedded::{self, Action, Authenticator, Config, Subject, Unavailable};
use ropeway_library::{Endpoint, Limits, Reference, Registry, RepositoryName, Tag};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use uuid::Uuid;

pub(crate) const USER: &str = "jana";
pub(crate) const PASSWORD: &str = "open-sesame";
/// May only pull, and only from `shop`.
pub(crate) const READER: &str = "reader";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RegistryUnderTest {
    Embedded,
    DockerRegistry,
}

/// A registry that runs as long as this value lives.
pub(crate) struct Running {
    pub(crate) host: String,
    _process: Option<DockerRegistry>,
    _served: Option<Served>,
    _dir: TempDir,
}

/// A server that ends with this value.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

pub(crate) struct Users;

impl RegistryUnderTest {
    /// Nothing where the program is not installed.
    pub(crate) async fn start(self) -> Option<Running> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        match self {
            Self::Embedded => {
                let served = serve(embedded_at(dir.path())).await;
                Some(Running { host: served.host(), _process: None, _served: Some(served), _dir: dir })
            }
            Self::DockerRegistry => {
                let process = DockerRegistry::start(dir.path())?;
                Some(Running { host: process.host.clone(), _process: Some(process), _served: None, _dir: dir })
            }
        }
    }
}

impl Running {
    pub(crate) fn client(&self) -> Registry {
        client(&self.host)
    }
}

impl Served {
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait::async_trait]
impl Authenticator for Users {
    async fn authenticate(&self, username: &str, password: &str) -> Result<Option<Subject>, Unavailable> {
        Ok(match (username, password) {
            (USER, PASSWORD) => Some(Subject::new(USER, |_, _| true)),
            ("omar", PASSWORD) => Some(Subject::new("omar", |_, _| true)),
            (READER, PASSWORD) => Some(Subject::new(READER, |repository: &RepositoryName, action| {
                action == Action::Pull && repository.as_str().starts_with("shop/")
            })),
            ("broken", _) => return Err(Unavailable),
            _ => None,
        })
    }
}

pub(crate) async fn serve(router: Router) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let task = tokio::spawn(async move {
        axum::serve(listener, router).await.expect("serving goes on");
    });
    Served { address, task }
}

pub(crate) fn embedded_at(dir: &Path) -> Router {
    embedded_with(dir, embedded::Limits::default(), Arc::new(now))
}

/// The clock of the registries under test.
#[expect(clippy::disallowed_methods, reason = "the one place of these tests that reads the clock")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// A new id for the registries under test.
#[expect(clippy::disallowed_methods, reason = "the one place of these tests that asks for randomness")]
pub(crate) fn id() -> Uuid {
    Uuid::from_u128(rand::random())
}

pub(crate) fn embedded_with(
    dir: &Path,
    limits: embedded::Limits,
    clock: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
) -> Router {
    let config = Config { data_dir: dir.join("registry"), realm: "Ropeway".into(), limits };
    embedded::router(config, Arc::new(Users), clock, Arc::new(id)).expect("the folder can be used")
}

pub(crate) fn client(host: &str) -> Registry {
    registry(Endpoint::plain(host).with_credentials(USER, PASSWORD))
}

pub(crate) fn registry(endpoint: Endpoint) -> Registry {
    // Another test of this process may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Registry::new(endpoint, impatient()).expect("a valid endpoint")
}

/// Limits with short pauses.
pub(crate) fn impatient() -> Limits {
    Limits {
        min_pause: Duration::from_millis(1),
        max_pause: Duration::from_millis(20),
        max_retry_after: Duration::from_millis(50),
        attempts: 4,
        ..Limits::default()
    }
}

pub(crate) fn name(text: &str) -> RepositoryName {
    text.parse().expect("a valid repository name")
}

pub(crate) fn tag(text: &str) -> Tag {
    text.parse().expect("a valid tag")
}

pub(crate) fn reference(text: &str) -> Reference {
    text.parse().expect("a valid reference")
}

/// Notes that a test is skipped because a program is missing, for the last lines of the test command. In continuous
/// integration it fails.
pub(crate) fn skip(test: &str, program: &str) {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    assert!(variable("CI").is_none(), "{test} is skipped, which must not be here: {program} is not installed");
    eprintln!("skipped: {test}: {program} is not installed");
    if let Some(path) = variable("ROPEWAY_TEST_SKIPPED") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        let line = format!("ropeway-library {test}: {program} is not installed\n");
        let written = file.and_then(|mut file| std::io::Write::write_all(&mut file, line.as_bytes()));
        written.expect("the list of skipped tests can be written");
    }
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while !condition() {
            ticks.tick().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), waiting).await.is_ok(), "never: {what}");
}
