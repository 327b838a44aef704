//! Embedded clusters that speak the Kubernetes API, for the demo and for fast tests.
//!
//! A [`Playground`] is a cluster in this process: objects in memory, an API server on loopback, and the controllers that
//! make pods of Deployments, volumes of claims and so on. It runs no container, but a pod becomes ready only when its
//! images are in their registry, for the architecture of its node, with the pull secrets that it has. What a playground
//! does not support it refuses with 415 or 501; it never answers with an approximation.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cluster::Cluster;

mod admission;
mod api;
mod apply;
mod clock;
mod cluster;
mod controller;
mod image;
mod kind;
mod object;
mod quantity;
mod selector;
mod status;
mod store;
mod unsupported;
mod write;

/// The annotation on a pod that keeps it in the state it names: `ImagePullBackOff`, `CrashLoopBackOff`, `NotReady` or
/// `Failed`. It can be put into the pod template of a workload.
pub const FAULT: &str = "playground.ropeway.dev/fault";

/// What a playground is made of.
#[derive(Clone)]
pub struct Options {
    /// Its name in the kubeconfig.
    pub name: String,
    /// Major and minor version of Kubernetes that it reports.
    pub kubernetes_version: (u32, u32),
    /// Its nodes, at least one.
    pub nodes: Vec<NodeOptions>,
    /// How long a pod takes from its node to running.
    pub pod_delay: Duration,
    /// Whether images in registries that are not on this machine count as pulled.
    pub trust_elsewhere: bool,
    /// The bearer token that clients must present: letters, digits, `-`, `_` and `.`.
    pub token: String,
    /// The address to listen on; a free port of loopback when absent.
    pub listen: Option<SocketAddr>,
}

/// One node of a playground.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeOptions {
    /// Its name.
    pub name: String,
    /// Its architecture as Kubernetes names it: `amd64`, `arm64`.
    pub architecture: String,
    /// Its zone.
    pub zone: String,
}

/// A failure to start a playground.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options cannot be.
    #[error("the options of the playground are wrong: {0}")]
    Options(&'static str),
    /// The address is not to be had.
    #[error("listening on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The client for registries cannot be made.
    #[error("making the client for registries")]
    Client(#[source] reqwest::Error),
    /// What every cluster has at its start was refused.
    #[error("making the first objects of the cluster: {0}")]
    Seed(String),
}

/// A cluster in this process. Dropping it ends all of its tasks.
#[derive(Debug)]
pub struct Playground {
    cluster: Arc<Cluster>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    server: Option<JoinHandle<()>>,
    controllers: JoinHandle<()>,
}

impl Options {
    /// A cluster of three amd64 nodes in two zones, quick enough for tests.
    pub fn new(name: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kubernetes_version: (1, 36),
            nodes: Self::nodes(3, "amd64"),
            pod_delay: Duration::from_millis(200),
            trust_elsewhere: false,
            token: token.into(),
            listen: None,
        }
    }

    /// Nodes of one architecture, spread over two zones.
    pub fn nodes(count: usize, architecture: &str) -> Vec<NodeOptions> {
        (0..count)
            .map(|n| NodeOptions {
                name: format!("node-{n}"),
                architecture: architecture.to_owned(),
                zone: format!("zone-{}", n % 2),
            })
            .collect()
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("name", &self.name).field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

impl Playground {
    /// Starts a cluster. When this returns it is usable: its nodes are ready, its classes and accounts are there.
    pub async fn start(options: Options) -> Result<Self, Error> {
        if options.nodes.is_empty() {
            return Err(Error::Options("a cluster has at least one node"));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if options.token.is_empty() || !options.token.chars().all(plain) {
            return Err(Error::Options("a token of letters, digits, '-', '_' and '.' is needed"));
        }
        let wanted = options.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let failed = |source| Error::Listen { address: wanted, source };
        let listener = tokio::net::TcpListener::bind(wanted).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let http = image::client().map_err(Error::Client)?;
        let cluster = Arc::new(Cluster::new(options, http));
        controller::seed(&cluster).map_err(|status| Error::Seed(status.message))?;
        let (stop, stopped) = watch::channel(false);
        let controllers = tokio::spawn(controller::run(cluster.clone()));
        let server = tokio::spawn(api::serve(cluster.clone(), listener, stopped));
        Ok(Self { cluster, address, stop, server: Some(server), controllers })
    }

    /// Where the API server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A kubeconfig for this cluster, as YAML. The token is in the server's address too: kubectl sends none by header to
    /// a server without TLS.
    pub fn kubeconfig(&self) -> String {
        let (name, token) = (quoted(&self.cluster.options.name), quoted(&self.cluster.options.token));
        let server = quoted(&format!("http://{}/{}", self.address, self.cluster.options.token));
        [
            "apiVersion: v1\nkind: Config\n".to_owned(),
            format!("current-context: {name}\n"),
            format!("clusters:\n- name: {name}\n  cluster:\n    server: {server}\n"),
            format!("contexts:\n- name: {name}\n  context:\n    cluster: {name}\n    user: {name}\n"),
            format!("users:\n- name: {name}\n  user:\n    token: {token}\n"),
        ]
        .concat()
    }

    /// Answers every request with 503, or stops doing so. For tests.
    pub fn set_unavailable(&self, unavailable: bool) {
        self.cluster.unavailable.store(unavailable, Ordering::Relaxed);
    }

    /// Leaves every request, and every open watch, without an answer; or goes on answering. For tests.
    pub fn set_frozen(&self, frozen: bool) {
        self.cluster.frozen.send_replace(frozen);
    }

    /// Forgets the history, as compaction does: a watch or a list from an older version is answered with 410. Watches
    /// that are open go on. For tests.
    pub fn compact(&self) {
        self.cluster.store.compact();
    }

    /// Forgets the history and ends every open watch with an error 410. For tests.
    pub fn expire_watches(&self) {
        self.cluster.store.expire_watches();
    }

    /// Stops the cluster and waits until its address is free.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        self.cluster.frozen.send_replace(false);
        self.controllers.abort();
        if let Some(server) = self.server.take() {
            server.abort();
            // It was aborted: the only thing to learn is that it has ended.
            let _ended = server.await;
        }
    }
}

impl Drop for Playground {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.controllers.abort();
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

/// Text as a quoted YAML scalar: JSON strings are YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
