//! The process: what every request and every operation has at hand.

use crate::{
    clock::Clock,
    clusters::Clusters,
    config::Config,
    libraries::Libraries,
    operation::feed::Feed,
    seal::Sealer,
    store::Database,
};
use std::{ops::Deref, sync::Arc};
use tokio::sync::Semaphore;

/// The process. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What the process consists of.
pub struct Parts {
    /// As it was configured.
    pub config: Config,
    /// Where rows live.
    pub database: Database,
    /// Where time comes from.
    pub clock: Clock,
    /// Seals and opens secrets.
    pub sealer: Sealer,
    /// Wakes those who follow operations.
    pub feed: Feed,
    /// Connections to clusters, and the drivers that know them.
    pub clusters: Clusters,
    /// Connections to libraries.
    pub libraries: Libraries,
    /// Password hashes are dear; so many are computed at the same time.
    pub password_work: Semaphore,
}

impl App {
    /// Puts a process together.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Opens the database (without migrating it), the key file and the drivers.
    pub async fn open(config: Config, clock: Clock) -> anyhow::Result<Self> {
        let database = Database::open(&config.database_url(), config.database.connections.unwrap_or(8)).await?;
        let sealer = Sealer::open(&config.key_file())?;
        let clusters = Clusters::new(&config.clusters)?;
        let libraries = Libraries::new(&config.library);
        let feed = Feed::new(database.clone(), &config.database_url());
        Ok(Self::new(Parts {
            config,
            database,
            clock,
            sealer,
            feed,
            clusters,
            libraries,
            password_work: Semaphore::new(2),
        }))
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
