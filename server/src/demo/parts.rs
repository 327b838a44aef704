//! What the demo consists of: a server, its library, two clusters and a registry with images, all on loopback.

use super::source::Source;
use crate::{
    clock::{self, Clock},
    config::Config,
    process::{self, Running},
};
use anyhow::Context as _;
use ropeway_playground::{Options, Playground};
use std::{
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// The names of the clusters.
pub const CLUSTERS: [&str; 2] = ["alibaba-hangzhou", "tencent-guangzhou"];

/// Everything that runs.
pub struct Parts {
    /// The server.
    pub server: Running,
    /// The clusters, in the order of [`CLUSTERS`].
    pub clusters: [Cluster; 2],
    /// The registry with the sample application's images.
    pub source: Source,
    /// Where everything is kept.
    pub folder: PathBuf,
    _temporary: Option<TempDir>,
}

/// An embedded cluster.
pub struct Cluster {
    /// Its name.
    pub name: &'static str,
    /// The file with which `kubectl` reaches it.
    pub kubeconfig_file: PathBuf,
    /// It ends when this is dropped.
    pub playground: Playground,
}

impl Parts {
    /// Starts everything, in a folder that is new or empty, or in a temporary one.
    pub async fn start(folder: Option<&Path>) -> anyhow::Result<Self> {
        process::install_tls();
        let temporary = match folder {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("ropeway-demo-").tempdir().context("making a folder")?),
        };
        let folder = match (folder, &temporary) {
            (Some(folder), _) => use_folder(folder)?,
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => anyhow::bail!("there is no folder"),
        };
        let source = Source::start(&folder.join("source")).await.context("starting the registry with images")?;
        let samples = async { source.push_samples().await.context("building the sample application's images") };
        let [one, other] = CLUSTERS;
        let server = server(&folder, source.host());
        let ((), one, other, server) =
            tokio::try_join!(samples, cluster(one, &folder), cluster(other, &folder), server)?;
        Ok(Self { server, clusters: [one, other], source, folder, _temporary: temporary })
    }

    /// Ends everything, in order.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.server.stop().await?;
        for cluster in self.clusters {
            cluster.playground.stop().await;
        }
        Ok(())
    }
}

async fn server(folder: &Path, source: String) -> anyhow::Result<Running> {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config = Config::default();
    config.data.folder = folder.join("server");
    config.http.listen = loopback;
    config.library.listen = loopback;
    config.library.plain_http_hosts = vec![source];
    config.clusters.status_seconds = 2;
    process::run(config, Clock::default()).await.context("starting the server")
}

async fn cluster(name: &'static str, folder: &Path) -> anyhow::Result<Cluster> {
    let playground = Playground::start(Options::new(name, clock::random_text(32)))
        .await
        .with_context(|| format!("starting the cluster {name}"))?;
    let kubeconfig_file = folder.join(format!("kubeconfig-{name}.yaml"));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&kubeconfig_file)?;
    file.write_all(playground.kubeconfig().as_bytes())?;
    Ok(Cluster { name, kubeconfig_file, playground })
}

/// A folder of the user's choice: made where it is missing, refused where it holds something.
fn use_folder(folder: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))?;
    let is_empty = std::fs::read_dir(folder)?.next().is_none();
    anyhow::ensure!(is_empty, "the folder {} is not empty; the demo needs a new one", folder.display());
    Ok(folder.canonicalize()?)
}
