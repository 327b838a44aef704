//! Following: what is stored after a cursor, then what comes, without a gap and without a repetition.

use super::{EventCursor, Feed, Follower, Topic};
use crate::{
    error::Error,
    id::ApplicationId,
    store::{
        Conn, Database,
        event::{self, Event},
        operation,
    },
};
use futures::{Stream, stream};
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// Events that are read at once; so many wait for a client at most.
const PAGE: i64 = 200;

/// How often whoever follows an application is woken without a reason.
const LOOK_AT_APPLICATION_EVERY: Duration = Duration::from_secs(5);

/// How long a client may take for one event while others wait for it. It is shorter than a socket waits for a message to
/// be sent, so that a slow client is told where to go on before it is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience(pub Duration);

/// Why following ended before the operation did.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The client was too slow. It may go on after the last event that it got.
    #[error("this client is too slow; subscribe again after the cursor of the last event that arrived")]
    Resume {
        /// That event's.
        after: EventCursor,
    },
    /// The events could not be read.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Default for Patience {
    fn default() -> Self {
        Self(Duration::from_secs(10))
    }
}

impl FollowError {
    /// The code that clients see.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Resume { .. } => "RESUME",
            Self::Failed(error) => error.code(),
        }
    }
}

/// The events of an operation after a cursor, in order: first those that are stored, then each one soon after it is.
/// It ends when the operation is finished and all was delivered, and after its first error.
pub fn events_after(
    database: Database,
    feed: &Feed,
    after: EventCursor,
    patience: Patience,
) -> impl Stream<Item = Result<Event, FollowError>> + Send + use<> {
    let following = Following {
        database,
        follower: feed.subscribe(Topic::Operation(after.operation_id)),
        after,
        waiting: VecDeque::new(),
        complete: false,
        given_at: None,
        patience,
    };
    stream::unfold(Some(following), async |following| {
        let mut following = following?;
        match following.next().await {
            Ok(Some(event)) => Some((Ok(event), Some(following))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
}

/// Wakes for whoever follows an application: one at once, then one soon after each change, and now and then without
/// one. What has changed is to be read.
pub fn application_changes(feed: &Feed, application: ApplicationId) -> impl Stream<Item = ()> + Send + use<> {
    let follower = feed.subscribe(Topic::Application(application));
    stream::unfold((follower, true), async |(mut follower, first)| {
        if !first {
            follower.changed_within(LOOK_AT_APPLICATION_EVERY).await;
        }
        Some(((), (follower, false)))
    })
}

struct Following {
    database: Database,
    follower: Follower,
    after: EventCursor,
    /// Read, not yet delivered.
    waiting: VecDeque<Event>,
    /// Nothing comes after what is waiting.
    complete: bool,
    /// When the client got its last event.
    given_at: Option<Instant>,
    patience: Patience,
}

impl Following {
    async fn next(&mut self) -> Result<Option<Event>, FollowError> {
        let late = self.given_at.take().is_some_and(|at| at.elapsed() > self.patience.0);
        if late && !self.waiting.is_empty() {
            return Err(FollowError::Resume { after: self.after });
        }
        while self.waiting.is_empty() {
            if self.complete {
                return Ok(None);
            }
            self.read().await?;
            if self.waiting.is_empty() && !self.complete {
                self.follower.changed().await;
            }
        }
        let Some(event) = self.waiting.pop_front() else { return Ok(None) };
        self.after.sequence = event.sequence;
        self.given_at = Some(Instant::now());
        Ok(Some(event))
    }

    async fn read(&mut self) -> Result<(), FollowError> {
        let id = self.after.operation_id;
        let mut conn: Conn = self.database.read().await.map_err(Error::from)?;
        // The state first: the last event is committed together with it.
        let operation = operation::find(&mut conn, id).await.map_err(Error::from)?;
        let finished = operation.ok_or(Error::NotFound("the operation"))?.state.0.is_finished();
        let events = event::after(&mut conn, id, self.after.sequence, PAGE).await.map_err(Error::from)?;
        self.complete = finished && i64::try_from(events.len()).unwrap_or(PAGE) < PAGE;
        self.waiting.extend(events);
        Ok(())
    }
}
