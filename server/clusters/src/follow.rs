//! The live state of an application: every change of its objects, for as long as somebody listens.

use std::{collections::HashSet, time::Duration};

use futures::{Stream, StreamExt, stream};
use serde_json::Value;

use crate::{
    Cluster, Error, Kind, ObjectRef,
    watch::{Change, Role, Source, watch_kind},
};

/// Objects followed of one kind; more are left out.
const MAX_FOLLOWED: usize = 10_000;

/// Pause before the kinds are looked up again.
const RESOLVE_AGAIN: Duration = Duration::from_secs(2);

/// What a follower sees.
#[derive(Debug, Clone, PartialEq)]
pub enum ClusterEvent {
    /// An object was made, has changed, or is there at the beginning. Without managed fields.
    Changed(Value),
    /// An object does not exist any more.
    Gone(ObjectRef),
    /// All objects of a kind that there are have been seen; also again after an interruption.
    Synced(Kind),
    /// The cluster does not answer for now. What was seen may be out of date until the next event.
    Interrupted(Error),
}

impl Cluster {
    /// Follows the objects of these kinds that match a label selector, in one namespace. The stream never ends by
    /// itself: after an error it resumes, later each time. Nothing is read faster than the stream is polled.
    pub fn follow(
        &self,
        namespace: &str,
        selector: &str,
        kinds: &[Kind],
    ) -> impl Stream<Item = ClusterEvent> + Send + 'static {
        let followed = kinds.iter().cloned().map(|kind| {
            let (cluster, namespace, selector) = (self.clone(), namespace.to_owned(), selector.to_owned());
            follow_kind(cluster, namespace, selector, kind).boxed()
        });
        stream::select_all(followed)
    }
}

/// First come the failures to find the kind, then its changes.
fn follow_kind(
    cluster: Cluster,
    namespace: String,
    selector: String,
    kind: Kind,
) -> impl Stream<Item = ClusterEvent> + Send + 'static {
    enum Step {
        Resolve { pause: bool },
        Watch(stream::BoxStream<'static, ClusterEvent>),
    }
    stream::unfold(Step::Resolve { pause: false }, move |step| {
        let (cluster, namespace, selector, kind) = (cluster.clone(), namespace.clone(), selector.clone(), kind.clone());
        async move {
            let mut events = match step {
                Step::Watch(events) => events,
                Step::Resolve { pause } => {
                    if pause {
                        tokio::time::sleep(RESOLVE_AGAIN).await;
                    }
                    match cluster.resource(&kind).await {
                        Err(error) => return Some((ClusterEvent::Interrupted(error), Step::Resolve { pause: true })),
                        Ok(resource) => {
                            let source = Source {
                                namespace: resource.namespaced.then_some(namespace),
                                resource,
                                labels: Some(selector),
                                fields: None,
                                role: Role::Judged,
                            };
                            changes(kind, watch_kind(&cluster, source)).boxed()
                        }
                    }
                }
            };
            let event = events.next().await?;
            Some((event, Step::Watch(events)))
        }
    })
}

/// Turns what a watch saw into events. Objects that vanished while nobody watched are told when it resumes.
fn changes(
    kind: Kind,
    watched: impl Stream<Item = Result<Change, Error>> + Send + 'static,
) -> impl Stream<Item = ClusterEvent> + Send + 'static {
    let mut known: HashSet<ObjectRef> = HashSet::new();
    let mut before: HashSet<ObjectRef> = HashSet::new();
    watched.flat_map(move |change| {
        let events = match change {
            Err(error) => vec![ClusterEvent::Interrupted(error)],
            Ok(Change::Restart) => {
                // A restart that follows a restart has not seen all: keep what was known before both.
                before.extend(known.drain());
                Vec::new()
            }
            Ok(Change::Complete) => {
                let gone = before.drain().filter(|reference| !known.contains(reference));
                let mut events: Vec<ClusterEvent> = gone.map(ClusterEvent::Gone).collect();
                events.push(ClusterEvent::Synced(kind.clone()));
                events
            }
            Ok(Change::Initial(object) | Change::Applied(object)) => match ObjectRef::of(&object) {
                Ok(reference) if known.contains(&reference) || known.len() < MAX_FOLLOWED => {
                    known.insert(reference);
                    vec![ClusterEvent::Changed(object)]
                }
                _ => Vec::new(),
            },
            Ok(Change::Deleted(object)) => match ObjectRef::of(&object) {
                Ok(reference) if known.remove(&reference) => vec![ClusterEvent::Gone(reference)],
                _ => Vec::new(),
            },
        };
        stream::iter(events)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn what_vanished_during_an_interruption_is_told() {
        let pod = |name: &str| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "a"}});
        let watched = stream::iter(vec![
            Ok(Change::Restart),
            Ok(Change::Initial(pod("stays"))),
            Ok(Change::Initial(pod("goes"))),
            Ok(Change::Complete),
            Err(Error::Expired),
            Ok(Change::Restart),
            Err(Error::Expired),
            Ok(Change::Restart),
            Ok(Change::Initial(pod("stays"))),
            Ok(Change::Complete),
        ]);
        let events: Vec<ClusterEvent> = changes(Kind::new("v1", "Pod"), watched).collect().await;
        let gone: Vec<&ClusterEvent> = events.iter().filter(|event| matches!(event, ClusterEvent::Gone(_))).collect();
        assert_eq!(gone, [&ClusterEvent::Gone(ObjectRef::namespaced("v1", "Pod", "a", "goes"))]);
    }
}
