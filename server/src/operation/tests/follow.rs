//! Followers get every event once and in order, whenever they come, go and come again (L25).

use super::{
    bed::{Bed, nobody, succeed},
    on_both,
};
use crate::{
    id::{Id, OperationId},
    operation::{
        Outcome, StepContext,
        feed::{EventCursor, Feed, FollowError, Patience, Topic, application_changes, events_after},
    },
    store::event::Event,
};
use futures::{Stream, StreamExt as _};
use std::{pin::pin, time::Duration};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

on_both! {
    a_follower_may_reconnect_at_every_cursor
    a_follower_that_reconnects_after_every_event_misses_none
    a_client_that_is_too_slow_is_told_where_to_resume
    following_what_does_not_exist_fails
    a_change_of_an_application_wakes_its_followers
    wakes_reach_other_processes
}

fn follow(bed: &Bed, id: OperationId, sequence: i64) -> impl Stream<Item = Result<Event, FollowError>> + Send + use<> {
    let after = EventCursor { operation_id: id, sequence };
    events_after(bed.database.clone(), &bed.feed, after, Patience::default())
}

async fn collect(events: impl Stream<Item = Result<Event, FollowError>>) -> Vec<Event> {
    let all = events.map(|event| event.unwrap()).collect();
    timeout(Duration::from_secs(20), all).await.unwrap()
}

/// Four steps that tell something, at a pace that a follower can keep.
async fn telling(step: StepContext, _action: crate::operation::Action) -> Outcome {
    for _ in 0..3 {
        step.tell("on").await.unwrap();
    }
    Outcome::Succeeded
}

async fn a_follower_may_reconnect_at_every_cursor(bed: Bed) {
    let id = bed.begin(bed.plan(&[("a", &[]), ("b", &[1]), ("c", &[1]), ("d", &[2, 3])])).await;
    let live = tokio::spawn(collect(follow(&bed, id, 0)));
    bed.finish_all(telling).await;
    let stored = bed.events(id).await;
    assert_eq!(live.await.unwrap(), stored);
    assert!(stored.len() > 20);
    for sequence in 0..=stored.len() {
        let rest = collect(follow(&bed, id, i64::try_from(sequence).unwrap())).await;
        assert_eq!(rest, stored[sequence..]);
    }
}

async fn a_follower_that_reconnects_after_every_event_misses_none(bed: Bed) {
    let id = bed.begin(bed.plan(&[("a", &[]), ("b", &[1]), ("c", &[1]), ("d", &[2, 3])])).await;
    let follower = tokio::spawn({
        let bed = bed.clone();
        async move {
            let mut seen: Vec<Event> = Vec::new();
            loop {
                let last = seen.last().map_or(0, |event| event.sequence);
                let mut events = pin!(follow(&bed, id, last));
                match timeout(Duration::from_secs(20), events.next()).await.unwrap() {
                    Some(event) => seen.push(event.unwrap()),
                    None => return seen,
                }
            }
        }
    });
    bed.finish_all(telling).await;
    assert_eq!(follower.await.unwrap(), bed.events(id).await);
}

async fn a_client_that_is_too_slow_is_told_where_to_resume(bed: Bed) {
    let id = bed.begin(bed.plan(&[("a", &[])])).await;
    bed.finish_all(succeed).await;
    let stored = bed.events(id).await;
    let mut seen = Vec::new();
    // Without patience every client is too slow: it gets one event at a time.
    for _ in 0..stored.len() {
        let sequence = seen.last().map_or(0, |event: &Event| event.sequence);
        let after = EventCursor { operation_id: id, sequence };
        let mut events = pin!(events_after(bed.database.clone(), &bed.feed, after, Patience(Duration::ZERO)));
        seen.push(events.next().await.unwrap().unwrap());
        match events.next().await {
            Some(Err(error)) => {
                assert_eq!(error.code(), "RESUME");
                let FollowError::Resume { after } = error else { panic!("{error}") };
                assert_eq!(after.sequence, seen.last().unwrap().sequence);
                assert!(events.next().await.is_none());
            }
            end => assert!(end.is_none() && seen.len() == stored.len()),
        }
    }
    assert_eq!(seen, stored);
}

async fn following_what_does_not_exist_fails(bed: Bed) {
    let mut events = pin!(follow(&bed, Id::new(nobody()), 0));
    assert_eq!(events.next().await.unwrap().unwrap_err().code(), "NOT_FOUND");
    assert!(events.next().await.is_none());
}

async fn a_change_of_an_application_wakes_its_followers(bed: Bed) {
    let mut changes = pin!(application_changes(&bed.feed, bed.application));
    assert!(changes.next().await.is_some(), "the state now");
    let began = Instant::now();
    bed.begin(bed.plan(&[("a", &[])])).await;
    assert!(changes.next().await.is_some());
    assert!(began.elapsed() < Duration::from_secs(4), "woken, not by looking now and then");
}

async fn wakes_reach_other_processes(bed: Bed) {
    if !bed.database.allows_replicas() {
        return;
    }
    let shutdown = CancellationToken::new();
    let feeds = [(); 2].map(|()| Feed::new(bed.database.clone(), &bed.url));
    let relays = feeds.clone().map(|feed| {
        let shutdown = shutdown.clone();
        tokio::spawn(async move { feed.relay(shutdown).await })
    });
    let topic = Topic::Operation(Id::new(nobody()));
    let mut follower = feeds[1].subscribe(topic);
    // What is sent before the other process listens is lost, which followers outlive; so it is sent until it is heard.
    // Whoever begins to listen is woken once without a wake.
    let heard = async {
        let mut heard = 0;
        while heard < 3 {
            feeds[0].publish(topic);
            let began = Instant::now();
            follower.changed_within(Duration::from_millis(500)).await;
            heard += u32::from(began.elapsed() < Duration::from_millis(500));
        }
    };
    timeout(Duration::from_secs(20), heard).await.unwrap();
    shutdown.cancel();
    for relay in relays {
        relay.await.unwrap();
    }
}
