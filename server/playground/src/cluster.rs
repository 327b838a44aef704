//! A cluster: its memory, its settings and the faults it plays at present.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::sync::watch;

use crate::Options;
use crate::store::Store;

/// What every task of a playground shares.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Its objects.
    pub(crate) store: Store,
    /// Its settings.
    pub(crate) options: Options,
    /// Asks registries for images.
    pub(crate) http: reqwest::Client,
    /// Whether every request is answered with 503.
    pub(crate) unavailable: AtomicBool,
    /// Whether no request is answered at all.
    pub(crate) frozen: watch::Sender<bool>,
    addresses: AtomicU32,
}

impl Cluster {
    /// An empty cluster.
    pub(crate) fn new(options: Options, http: reqwest::Client) -> Self {
        Self {
            store: Store::new(),
            options,
            http,
            unavailable: AtomicBool::new(false),
            frozen: watch::Sender::new(false),
            addresses: AtomicU32::new(0),
        }
    }

    /// The next number for an address of a pod or a balanced service.
    pub(crate) fn next_address(&self) -> u32 {
        self.addresses.fetch_add(1, Ordering::Relaxed) + 1
    }
}
