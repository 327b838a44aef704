//! Wakes those who follow something, who then read what is stored. A wake says nothing but that there may be something
//! new; it may come too often and may be lost: whoever follows looks by itself at least every second.
//!
//! Wakes reach every follower in this process at once, and those in other processes through PostgreSQL, see
//! [`Feed::relay`].

mod cursor;
mod events;
mod relay;

pub use cursor::{EventCursor, InvalidCursor};
pub use events::{FollowError, Patience, application_changes, events_after};

use crate::{
    id::{ApplicationId, EnterpriseId, OperationId},
    store::{Database, operation::Operation},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use uuid::Uuid;

/// How long a follower waits for a wake before it looks by itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Wakes that wait to be sent to other processes. More are dropped.
const OUTBOX: usize = 256;

/// What can be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// There may be an operation to take.
    Work,
    /// An operation.
    Operation(OperationId),
    /// All that belongs to an application.
    Application(ApplicationId),
    /// The clusters of an enterprise.
    Clusters(EnterpriseId),
}

/// Wakes followers. Cheap to clone.
#[derive(Clone)]
pub struct Feed(Arc<Parts>);

struct Parts {
    followers: Mutex<HashMap<Topic, watch::Sender<()>>>,
    /// Tells this process's own wakes from others'.
    process: Uuid,
    database: Database,
    url: String,
    outbox: mpsc::Sender<Topic>,
    outgoing: tokio::sync::Mutex<mpsc::Receiver<Topic>>,
}

/// One follower of one topic.
pub struct Follower {
    feed: Feed,
    topic: Topic,
    wakes: watch::Receiver<()>,
}

impl Feed {
    /// The feed of a process. `url` is that of the database, for [`Feed::relay`].
    pub fn new(database: Database, url: &str) -> Self {
        let (outbox, outgoing) = mpsc::channel(OUTBOX);
        Self(Arc::new(Parts {
            followers: Mutex::default(),
            process: crate::clock::new_uuid(),
            database,
            url: url.to_owned(),
            outbox,
            outgoing: tokio::sync::Mutex::new(outgoing),
        }))
    }

    /// Wakes the followers of a topic, here and in other processes.
    pub fn publish(&self, topic: Topic) {
        self.wake(topic);
        // Full: other processes look by themselves.
        let _ = self.0.outbox.try_send(topic);
    }

    /// An operation was begun or has changed: wakes all whom that may concern. To be called after the transaction.
    pub fn changed(&self, operation: &Operation) {
        self.publish(Topic::Operation(operation.id));
        if let Some(application) = operation.application_id {
            self.publish(Topic::Application(application));
        }
        if operation.lease_owner.is_none() && !operation.state.0.is_finished() {
            self.publish(Topic::Work);
        }
    }

    /// Follows a topic from now on.
    pub fn subscribe(&self, topic: Topic) -> Follower {
        let wakes = self.followers().entry(topic).or_default().subscribe();
        Follower { feed: self.clone(), topic, wakes }
    }

    /// Wakes the followers of a topic in this process.
    fn wake(&self, topic: Topic) {
        if let Some(followers) = self.followers().get(&topic) {
            followers.send_replace(());
        }
    }

    fn wake_all(&self) {
        for followers in self.followers().values() {
            followers.send_replace(());
        }
    }

    fn followers(&self) -> MutexGuard<'_, HashMap<Topic, watch::Sender<()>>> {
        self.0.followers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower {
    /// Waits for a wake, or for a second. Wakes that came since the last wait count as one.
    pub async fn changed(&mut self) {
        let _ = timeout(LOOK_EVERY, self.wakes.changed()).await;
    }

    /// Waits for a wake, or for `patience`.
    pub async fn changed_within(&mut self, patience: Duration) {
        let _ = timeout(patience, self.wakes.changed()).await;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut followers = self.feed.followers();
        // This receiver still counts.
        if followers.get(&self.topic).is_some_and(|sender| sender.receiver_count() <= 1) {
            followers.remove(&self.topic);
        }
    }
}
