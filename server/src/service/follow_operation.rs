//! Following an operation: its events, for as long as whoever follows it may see it.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result},
    operation::feed::{EventCursor, FollowError, Patience, events_after},
    service::find_application::find_operation,
    shares::Share,
    store::event::Event,
};
use futures::{FutureExt as _, Stream, StreamExt as _, stream, stream::BoxStream};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How often it is checked whether the operation may still be seen.
const CHECK_EVERY: Duration = Duration::from_secs(1);

struct Following {
    app: App,
    actor: Actor,
    start: EventCursor,
    events: BoxStream<'static, Result<Event, FollowError>>,
    checked_at: Instant,
    _share: Share,
}

/// The events of an operation after a cursor, to its end. It ends as well when the operation may not be seen any more.
/// One person follows a limited number of things at a time.
pub async fn follow_operation(
    app: &App,
    actor: &Actor,
    start: EventCursor,
) -> Result<impl Stream<Item = Result<Event, FollowError>> + Send + use<>> {
    find_operation(app, actor, start.operation_id).await?;
    let share = app.share_of_followers(actor)?;
    let following = Following {
        app: app.clone(),
        actor: actor.clone(),
        start,
        events: events_after(app.database.clone(), &app.feed, start, Patience::default()).boxed(),
        checked_at: Instant::now(),
        _share: share,
    };
    Ok(stream::unfold(Some(following), |following| {
        async move {
            let mut following = following?;
            match following.next().await {
                Ok(event) => event.map(|event| (Ok(event), Some(following))),
                Err(FollowError::Failed(Error::NotFound(_))) => None,
                Err(error) => Some((Err(error), None)),
            }
        }
        .boxed()
    }))
}

impl Following {
    async fn next(&mut self) -> Result<Option<Event>, FollowError> {
        loop {
            if self.checked_at.elapsed() >= CHECK_EVERY {
                find_operation(&self.app, &self.actor, self.start.operation_id).await?;
                self.checked_at = Instant::now();
            }
            tokio::select! {
                event = self.events.next() => return event.transpose(),
                () = sleep_until(self.checked_at + CHECK_EVERY) => {}
            }
        }
    }
}
