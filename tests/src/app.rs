//! A server of a test's own.

mod build;

pub use build::{Person, TeamRole};

use crate::{
    cluster::TestCluster,
    database::TestDatabase,
    docker_registry::{self, DockerRegistry},
    log,
    wait::wait_for,
};
use anyhow::{Context as _, ensure};
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::RunQueryDsl as _;
use ropeway::{
    clock::Clock,
    config::Config,
    demo::{
        acts::{Scene, prepare},
        client::{Client, text},
        progress::Progress,
        source::Source,
    },
    process::{self, Running},
    store::schema::operations,
};
use serde_json::json;
use std::{net::SocketAddr, path::Path, thread};
use tempfile::TempDir;

/// A server, with somebody who administers it, and registries.
pub struct TestApp {
    /// The administrator.
    pub client: Client,
    /// The global id of the one enterprise.
    pub enterprise: String,
    /// The registry with the sample application's images.
    pub source: Source,
    /// The time of the server.
    pub clock: Clock,
    running: Option<Running>,
    registry: Option<DockerRegistry>,
    database: TestDatabase,
    folder: TempDir,
}

/// The password of administrators.
pub const PASSWORD: &str = "correct horse battery";

const CONFIGURE_LIBRARY: &str = "
    mutation($input: ConfigureLibraryInput!) {
      configureLibrary(input: $input) { library { url } operation { id } errors { code message path } }
    }";

impl TestApp {
    /// Runs a test with a server on SQLite with the embedded registry.
    pub async fn run(test: impl AsyncFnOnce(&Self) -> anyhow::Result<()>) -> anyhow::Result<()> {
        Self::start().await?.run_this(test).await
    }

    /// Runs a test with this server, and ends it. Work that does not come to its end fails the test.
    pub async fn run_this(mut self, test: impl AsyncFnOnce(&Self) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let result = test(&self).await;
        let ended = self.end(result.is_ok()).await;
        result.and(ended)
    }

    /// A server on SQLite with the embedded registry.
    async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let database = TestDatabase::sqlite(folder.path());
        Self::start_with(folder, database, None).await
    }

    /// A server on PostgreSQL with `docker-registry`; the reason where one of them is missing.
    pub async fn start_big() -> anyhow::Result<Result<Self, &'static str>> {
        let Some(database) = TestDatabase::postgres().await? else { return Ok(Err("there is no PostgreSQL")) };
        let Some(registry) = DockerRegistry::start()? else { return Ok(Err("docker-registry is not installed")) };
        Self::start_with(tempfile::tempdir()?, database, Some(registry)).await.map(Ok)
    }

    async fn start_with(
        folder: TempDir,
        database: TestDatabase,
        registry: Option<DockerRegistry>,
    ) -> anyhow::Result<Self> {
        log::keep();
        process::install_tls();
        let source = Source::start(&folder.path().join("source")).await?;
        let clock = Clock::default();
        let mut running = process::run(config(folder.path(), &database, source.host()), clock.clone()).await?;
        let first = running.first.take().context("the server was started before")?;
        let nobody = Client::new(running.http_addr)?;
        let client = prepare::first_sign_in(&nobody, &first.name, first.one_time_password.expose(), PASSWORD).await?;
        let enterprise = prepare::enterprise(&client).await?;
        if let Some(registry) = &registry {
            let input = json!({
                "enterpriseId": enterprise, "url": format!("http://{}/ropeway", registry.host), "plainHttp": true,
                "username": docker_registry::USER, "password": docker_registry::PASSWORD,
            });
            client.change(CONFIGURE_LIBRARY, input).await.context("configuring the library")?;
        }
        Ok(Self { client, enterprise, source, clock, running: Some(running), registry, database, folder })
    }

    /// Where the server keeps its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The address of its database.
    pub fn database_url(&self) -> &str {
        self.database.url()
    }

    /// Where its API is.
    pub fn address(&self) -> SocketAddr {
        self.client.address()
    }

    /// Somebody who is not signed in.
    pub fn nobody(&self) -> Client {
        self.client.with_token(None)
    }

    /// `host:port` of the library.
    pub fn library_host(&self) -> anyhow::Result<String> {
        let running = self.running.as_ref().context("the server runs")?;
        Ok(self.registry.as_ref().map_or_else(|| running.registry_addr.to_string(), |registry| registry.host.clone()))
    }

    /// Registers a cluster; its global id.
    pub async fn register(&self, cluster: &TestCluster) -> anyhow::Result<String> {
        let shown =
            prepare::register_cluster(&self.client, &self.enterprise, &cluster.name, &cluster.kubeconfig).await?;
        Ok(text(&shown, "/id")?.to_owned())
    }

    /// Registers two clusters that reach the library, with images to compose the sample application of. Names of teams
    /// begin with `name`.
    pub async fn scene(&self, clusters: &[TestCluster; 2], name: &str) -> anyhow::Result<Scene> {
        let first_cluster = self.register(&clusters[0]).await?;
        let second_cluster = self.register(&clusters[1]).await?;
        self.source.push_samples().await?;
        prepare::check_library(&self.client, &Progress::hidden(), &self.enterprise).await?;
        Ok(Scene {
            client: self.client.clone(),
            progress: Progress::hidden(),
            enterprise: self.enterprise.clone(),
            first_cluster,
            second_cluster,
            source: self.source.host(),
            first_team: format!("{name}-north"),
            second_team: format!("{name}-south"),
            template: "Shop".into(),
        })
    }

    async fn end(&mut self, must_be_done: bool) -> anyhow::Result<()> {
        let running = self.running.take().context("the server runs")?;
        if must_be_done {
            let database = running.app.database.clone();
            wait_for("operations that end", async || Ok((unfinished(&database).await? == 0).then_some(()))).await?;
        }
        running.stop().await?;
        let uploads = self.folder.path().join("registry").join("uploads");
        let left = std::fs::read_dir(&uploads).map_or(0, Iterator::count);
        ensure!(left == 0 || !must_be_done, "{left} uploads were left in {}", uploads.display());
        Ok(())
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        let forgotten = self.running.take().is_some();
        assert!(!forgotten || thread::panicking(), "a test runs with TestApp::run, so that unfinished work is found");
    }
}

/// How many operations have not come to their end.
async fn unfinished(database: &ropeway::store::Database) -> anyhow::Result<i64> {
    let mut conn = database.read().await?;
    let count: i64 = ropeway::on!(&mut conn, |c| operations::table
        .filter(operations::finished_at.is_null())
        .count()
        .get_result(c)
        .await)?;
    Ok(count)
}

fn config(folder: &Path, database: &TestDatabase, source: String) -> Config {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config = Config::default();
    folder.clone_into(&mut config.data.folder);
    config.database.url = Some(database.url().to_owned());
    config.http.listen = loopback;
    config.library.listen = loopback;
    config.library.plain_http_hosts = vec![source];
    config.clusters.status_seconds = 2;
    config
}
