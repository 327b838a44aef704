//! The process: what every request and every operation has at hand.

use crate::{
    actor::Actor,
    clock::Clock,
    clusters::Clusters,
    config::Config,
    error::{Error, Result},
    operation::feed::Feed,
    seal::Sealer,
    service::sign_in::Attempts,
    shares::{Share, Shares},
    store::Database,
};
use std::{ops::Deref, sync::Arc};
use tokio::sync::Semaphore;

/// Things that one person follows at the same time.
const MAX_FOLLOWED: usize = 100;

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
    /// Password hashes are dear; so many are computed at the same time.
    pub password_work: Semaphore,
    /// The failed attempts to sign in of the last minute.
    pub sign_in_attempts: Attempts,
    /// Who follows what: each follower watches a cluster, or looks at the database once in a while.
    pub followers: Shares,
}

impl App {
    /// Puts a process together.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Opens the database (without migrating it), the key file and the drivers.
    pub async fn open(config: Config, clock: Clock) -> anyhow::Result<Self> {
        let database = Database::open(&config.database_url(), config.database.connections()).await?;
        let sealer = Sealer::open(&config.key_file())?;
        let clusters = Clusters::new(&config.clusters).await?;
        let feed = Feed::new(database.clone(), &config.database_url());
        Ok(Self::new(Parts {
            config,
            database,
            clock,
            sealer,
            feed,
            clusters,
            password_work: Semaphore::new(2),
            sign_in_attempts: Attempts::default(),
            followers: Shares::new(MAX_FOLLOWED),
        }))
    }
}

impl App {
    /// One more thing that somebody follows.
    pub fn share_of_followers(&self, actor: &Actor) -> Result<Share> {
        let too_many = || Error::RateLimited("you follow too many things at the same time".into());
        self.followers.take(actor.user_id).ok_or_else(too_many)
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
