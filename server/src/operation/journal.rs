//! The only code that changes the state of an operation. Every entry is one transaction: the operation, its steps and
//! its events change together or not at all.
//!
//! A worker's entry names the lease under which it is made; without that lease it changes nothing and is refused as
//! [`JournalError::LostLease`].

mod after;
mod begin;
mod effect;
mod error;
mod event;
mod finish;
mod image;
mod object;
mod reach;
mod step;

pub use after::tell_after;
pub use begin::{Lock, NewOperation, NewStep, begin, changes_application, request_cancel};
pub use error::JournalError;
pub use event::EventKind;
pub use image::ImageNews;
pub use object::NewObject;
pub use step::Start;

use crate::{
    clock::Clock,
    id::OperationId,
    operation::feed::Feed,
    store::{
        Conn, Database, Instant, Word,
        operation::{self, Operation, WorkerId},
        step::{self as steps, Step},
    },
};
use event::Log;
use ropeway_domain::operation::OperationState;
use std::time::Duration;

/// A worker's book of entries. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    database: Database,
    clock: Clock,
    feed: Feed,
    #[cfg(test)]
    pub(super) faults: super::tests::Faults,
}

/// The right to change an operation: the lease of one worker, in one generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Which operation.
    pub operation_id: OperationId,
    /// Whose right it is.
    pub owner: WorkerId,
    /// Of which lease: a later one ends it.
    pub generation: i64,
}

/// An operation that a worker has taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The operation, running.
    pub operation: Operation,
    /// Its steps, as the last worker left them.
    pub steps: Vec<Step>,
    /// The right to change it.
    pub hold: Hold,
}

impl Journal {
    /// A journal of the operations in a database, whose entries wake the followers of `feed`.
    pub fn new(database: Database, clock: Clock, feed: Feed) -> Self {
        Self {
            database,
            clock,
            feed,
            #[cfg(test)]
            faults: super::tests::Faults::default(),
        }
    }

    /// Now, by the journal's clock.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Takes the oldest operation that nobody works on, for the length of a lease. Of what it holds at the same time,
    /// at most `share` copy images, and at most `share` are in one cluster.
    pub async fn claim(&self, owner: WorkerId, lease: Duration, share: usize) -> Result<Option<Claim>, JournalError> {
        self.point()?;
        let now = self.now();
        let mut conn = self.database.write().await?;
        let claim = conn.transaction(async |conn| claim(conn, owner, now, lease, share).await).await?;
        drop(conn);
        if let Some(claim) = &claim {
            self.feed.changed(&claim.operation);
        }
        self.point()?;
        Ok(claim)
    }

    /// Holds an operation for the length of another lease.
    pub async fn renew(&self, hold: Hold, lease: Duration) -> Result<Operation, JournalError> {
        let until = later(self.now(), lease);
        self.entry(hold, async |_, log| {
            log.operation.lease_until = Some(until);
            Ok(())
        })
        .await
        .map(|(operation, ())| operation)
    }

    /// Lets an operation go, unfinished: another worker may take it at once.
    pub async fn release(&self, hold: Hold) -> Result<(), JournalError> {
        self.entry(hold, async |_, log| {
            log.operation.lease_owner = None;
            log.operation.lease_until = None;
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// One entry: checks the hold, does `change`, and writes the operation back, with its events.
    async fn entry<T>(
        &self,
        hold: Hold,
        change: impl AsyncFnOnce(&mut Conn, &mut Log) -> Result<T, JournalError>,
    ) -> Result<(Operation, T), JournalError> {
        self.point()?;
        let now = self.now();
        let mut conn = self.database.write().await?;
        let done = conn
            .transaction(async |conn| {
                let held = operation::lock_held(conn, hold.operation_id, hold.owner, hold.generation).await?;
                let mut log = Log::new(held.ok_or(JournalError::LostLease)?, now);
                let result = change(conn, &mut log).await?;
                Ok::<_, JournalError>((log.write(conn).await?, result))
            })
            .await?;
        drop(conn);
        self.feed.changed(&done.0);
        self.point()?;
        Ok(done)
    }

    /// Where a test may let the worker die: before and after every transaction.
    #[cfg(test)]
    fn point(&self) -> Result<(), JournalError> {
        if self.faults.strike() { Err(JournalError::LostLease) } else { Ok(()) }
    }

    #[cfg(not(test))]
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "in tests it may fail")]
    fn point(&self) -> Result<(), JournalError> {
        Ok(())
    }
}

async fn claim(
    conn: &mut Conn,
    owner: WorkerId,
    now: Instant,
    lease: Duration,
    share: usize,
) -> Result<Option<Claim>, JournalError> {
    let Some(mut operation) = operation::lock_next(conn, owner, share, now).await? else { return Ok(None) };
    let (kind, message) = match operation.state.0 {
        OperationState::Queued => {
            operation.state = Word(operation.state.0.start()?);
            operation.started_at = Some(now);
            (EventKind::Started, "Started")
        }
        _ => (EventKind::Resumed, "Continued after an interruption"),
    };
    operation.generation += 1;
    operation.lease_owner = Some(owner);
    operation.lease_until = Some(later(now, lease));
    let mut log = Log::new(operation, now);
    log.add(kind, message);
    let operation = log.write(conn).await?;
    let steps = steps::of_operation(conn, operation.id).await?;
    let hold = Hold { operation_id: operation.id, owner, generation: operation.generation };
    Ok(Some(Claim { operation, steps, hold }))
}

/// An instant after another, as far as there are any.
fn later(at: Instant, by: Duration) -> Instant {
    chrono::Duration::from_std(by).ok().and_then(|by| at.0.checked_add_signed(by)).map_or(at, Instant::new)
}
