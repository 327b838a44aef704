//! A whole process: the API, the embedded registry, the worker and what looks after clusters and libraries. `ropeway
//! serve`, `ropeway demo` and the tests start the same one.

#[cfg(test)]
mod tests;

use crate::{
    app::App,
    clock::Clock,
    config::Config,
    http, operation, registry,
    seal::Secret,
    service::{
        check_library::watch_libraries,
        configure_library::refresh_embedded,
        first_start::{FirstAdministrator, first_start, renew_unused_password},
        register_drivers::register_drivers,
        roll_back_failures::roll_back_failures,
        watch_clusters::watch_clusters,
    },
    store,
};
use anyhow::Context as _;
use std::{
    fs::{File, TryLockError},
    future::Future,
    io,
    net::SocketAddr,
    path::Path,
    time::Duration,
};
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

/// The name of the enterprise that the first start makes.
pub const FIRST_ENTERPRISE: &str = "Ropeway";

/// How often expired sessions are forgotten.
const CLEAN_EVERY: Duration = Duration::from_secs(3600);

/// How long everything together may take to end, once it was asked to.
const END_WITHIN: Duration = Duration::from_secs(30);

/// A process that runs. Dropping it stops it without waiting; [`Running::stop`] waits.
pub struct Running {
    /// What requests and operations have at hand.
    pub app: App,
    /// Where the API listens.
    pub http_addr: SocketAddr,
    /// Where the embedded registry listens.
    pub registry_addr: SocketAddr,
    /// Who can sign in, and with what, if this was the first start, or nobody has signed in since. Stored nowhere.
    pub first: Option<FirstAdministrator>,
    /// Cancelled to stop it.
    pub shutdown: CancellationToken,
    tasks: JoinSet<anyhow::Result<()>>,
    registry: JoinHandle<io::Result<()>>,
    registry_shutdown: CancellationToken,
    /// Held, so that no other process uses the data folder.
    _lock: Option<File>,
}

/// Installs what TLS needs, once for the process. Every client of HTTPS depends on it.
pub fn install_tls() {
    // Whoever came first installed the same one.
    let _installed = rustls::crypto::ring::default_provider().install_default();
}

/// Brings the tables of the configured database up to date and says which migrations that took.
pub async fn migrate(config: &Config) -> anyhow::Result<Vec<String>> {
    let database = store::Database::open(&config.database_url(), 1).await.context("opening the database")?;
    Ok(database.migrate().await?)
}

/// Starts everything. Ports that are 0 in the configuration become free ones.
pub async fn run(mut config: Config, clock: Clock) -> anyhow::Result<Running> {
    install_tls();
    let http_listener = bind(config.http.listen, "the API (http.listen)").await?;
    let registry_listener = bind(config.library.listen, "the embedded registry (library.listen)").await?;
    config.http.listen = http_listener.local_addr()?;
    config.library.listen = registry_listener.local_addr()?;
    let (http_addr, registry_addr) = (config.http.listen, config.library.listen);

    tokio::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.data.folder)
        .await
        .with_context(|| format!("making the data folder {}", config.data.folder.display()))?;
    // Replicas have nothing in it that is written but the key, which they share.
    let lock = if config.database.replicated { None } else { lock_folder(&config.data.folder)? };
    for name in migrate(&config).await? {
        tracing::info!(migration.name = name, "migrated the database");
    }
    let app = open_with_key(config, clock).await?;
    anyhow::ensure!(
        app.database.allows_replicas() || !app.config.database.replicated,
        "database.replicated needs PostgreSQL: SQLite serves one process"
    );
    refuse_replicated_registry(&app).await?;
    register_drivers(&app).await.context("listing the drivers")?;
    refresh_embedded(&app).await.context("giving the embedded library its address")?;
    let router = registry::router(&app).context("opening the embedded registry")?;
    // The last that may fail: what it returns is stored nowhere, and is lost with this process.
    let first = match first_start(&app, FIRST_ENTERPRISE).await.context("preparing the first start")? {
        Some(first) => Some(first),
        None => renew_unused_password(&app).await.context("renewing the password of the first start")?,
    };

    let shutdown = CancellationToken::new();
    let registry_shutdown = CancellationToken::new();
    let registry_end = registry_shutdown.clone();
    let registry = tokio::spawn(async move {
        axum::serve(registry_listener, router).with_graceful_shutdown(registry_end.cancelled_owned()).await
    });

    let mut tasks = JoinSet::new();
    {
        let (app, shutdown) = (app.clone(), shutdown.clone());
        tasks.spawn(async move { http::serve(app, http_listener, shutdown).await.context("serving the API") });
    }
    spawn(&mut tasks, operation::worker::work(app.clone(), shutdown.clone()));
    spawn(&mut tasks, roll_back_failures(app.clone(), shutdown.clone()));
    spawn(&mut tasks, watch_clusters(app.clone(), shutdown.clone()));
    spawn(&mut tasks, watch_libraries(app.clone(), shutdown.clone()));
    spawn(&mut tasks, clean_sessions(app.clone(), shutdown.clone()));
    let (feed, relay_shutdown) = (app.feed.clone(), shutdown.clone());
    spawn(&mut tasks, async move { feed.relay(relay_shutdown).await });
    tracing::info!(http.address = %http_addr, registry.address = %registry_addr, "serving");
    Ok(Running { app, http_addr, registry_addr, first, shutdown, tasks, registry, registry_shutdown, _lock: lock })
}

impl Running {
    /// The password that the first administrator signs in with once, if this was the first start.
    pub fn one_time_password(&self) -> Option<&Secret> {
        self.first.as_ref().map(|first| &first.one_time_password)
    }

    /// Waits until a part ends, which none does by itself, or until it is asked to stop.
    pub async fn failed(&mut self) -> anyhow::Result<()> {
        let shutdown = self.shutdown.clone();
        tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            ended = &mut self.registry => ended?.context("serving the embedded registry"),
            Some(ended) = self.tasks.join_next() => {
                ended.context("a part of the server panicked")??;
                anyhow::bail!("a part of the server ended by itself")
            }
        }
    }

    /// Stops accepting, lets what runs end for a while, hands operations over, and closes the rest.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        let end = async {
            let mut result = Ok(());
            while let Some(ended) = self.tasks.join_next().await {
                let ended = ended.context("a part of the server panicked").and_then(|ended| ended);
                result = result.and(ended);
            }
            // The worker may have been pushing to it until now.
            self.registry_shutdown.cancel();
            if !self.registry.is_finished() {
                (&mut self.registry).await??;
            }
            result
        };
        let result = tokio::time::timeout(END_WITHIN, end).await;
        self.tasks.abort_all();
        match result {
            Ok(result) => result,
            Err(_) => {
                tracing::warn!("what was still running after {} s was broken off", END_WITHIN.as_secs());
                Ok(())
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.registry_shutdown.cancel();
        self.registry.abort();
    }
}

/// Keeps other processes from a data folder for as long as the file is open.
fn lock_folder(folder: &Path) -> anyhow::Result<Option<File>> {
    let path = folder.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => {
            anyhow::bail!("another process uses the data folder {}; each has one of its own", folder.display())
        }
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
            tracing::warn!("the data folder is on a file system without locks; no other process may use it");
            Ok(None)
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}

/// Opens everything, if the key file is the one with which the secrets in the database were sealed. A new one is made
/// only where there are none: with another key nothing could be read, and what was sealed with it would be lost when
/// the right one is put back.
async fn open_with_key(config: Config, clock: Clock) -> anyhow::Result<App> {
    let key_file = config.key_file();
    let sealed = {
        let database = store::Database::open(&config.database_url(), 1).await.context("opening the database")?;
        let mut conn = database.read().await?;
        store::sealed_value::any(&mut conn).await.context("looking for sealed secrets")?
    };
    anyhow::ensure!(
        sealed.is_none() || key_file.exists(),
        "the key file {} is missing, and the database holds secrets that were sealed with it: put it back",
        key_file.display()
    );
    let app = App::open(config, clock).await?;
    if let Some(sealed) = sealed {
        sealed.open(&app.sealer).map(drop).with_context(|| {
            format!("{} is not the key file that the secrets in the database were sealed with", key_file.display())
        })?;
    }
    Ok(app)
}

/// The embedded registry belongs to one process and its folder: replicas would each have a part of its images.
async fn refuse_replicated_registry(app: &App) -> anyhow::Result<()> {
    if !app.config.database.replicated {
        return Ok(());
    }
    let mut conn = app.database.read().await?;
    let embedded = store::library::count_embedded(&mut conn).await.context("looking for embedded libraries")?;
    anyhow::ensure!(
        embedded == 0,
        "database.replicated is set, and {embedded} enterprises have their library in the embedded registry, which \
         belongs to one process: start one without database.replicated, and give each another registry with \
         configureLibrary"
    );
    Ok(())
}

async fn bind(address: SocketAddr, what: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listening on {address} for {what}"))
}

fn spawn(tasks: &mut JoinSet<anyhow::Result<()>>, task: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn(async move {
        task.await;
        Ok(())
    });
}

/// Forgets sessions that have expired, until the process stops.
async fn clean_sessions(app: App, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(CLEAN_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let cleaned = async {
            let mut conn = app.database.write().await?;
            store::user::delete_expired_sessions(&mut conn, app.clock.now()).await?;
            Ok::<_, crate::Error>(())
        };
        if let Err(error) = cleaned.await {
            tracing::warn!(error = &error as &dyn std::error::Error, "expired sessions could not be forgotten");
        }
    }
}
