//! Watches: a stream of changes that reads the history and keeps no buffer of its own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;

use super::list::{Choice, now};
use super::path::Options;
use super::table;
use crate::cluster::Cluster;
use crate::status::{Cause, Status};
use crate::store::Change;

/// How long a watch lasts that names no time, and at most.
const LONGEST: Duration = Duration::from_mins(30);
/// How often a watch says that it is alive.
const BOOKMARK: Duration = Duration::from_secs(30);
/// Changes read at once.
const BATCH: usize = 256;
/// Answers that wait for a slow client.
const BUFFER: usize = 64;

/// What a watch is to do.
struct Watch {
    choice: Choice,
    version: u64,
    epoch: u64,
    initial: Option<Vec<Value>>,
    bookmarks: bool,
    /// Whether the end of the initial events is marked.
    marked: bool,
    table: bool,
}

/// Begins a watch; what is wrong with it at once is an error, what later goes wrong an event.
pub(crate) fn begin(
    cluster: Arc<Cluster>,
    stopped: watch::Receiver<bool>,
    choice: Choice,
    options: &Options,
    table: bool,
) -> Result<Body, Status> {
    let asked = options.number("resourceVersion")?.unwrap_or(0);
    let marked = options.is("sendInitialEvents");
    if marked && options.text("resourceVersionMatch") != "NotOlderThan" {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        return Err(Status::invalid_options("ListOptions", &[Cause::forbidden("resourceVersionMatch", why)]));
    }
    let initial = if marked || asked == 0 { Some(now(&cluster, &choice)) } else { None };
    let epoch = cluster.store.read(crate::store::State::epoch);
    let version = match &initial {
        Some((_, version)) => *version,
        None => cluster.store.read(|state| {
            if asked > state.version() {
                return Err(Status::version_too_large(asked, state.version()));
            }
            Ok(asked)
        })?,
    };
    let watch = Watch {
        choice,
        version,
        epoch,
        initial: initial.map(|(objects, _)| objects.iter().map(|object| Value::clone(object)).collect()),
        bookmarks: options.is("allowWatchBookmarks"),
        marked,
        table,
    };
    let time = options.number("timeoutSeconds")?.filter(|seconds| *seconds > 0).map_or(LONGEST, Duration::from_secs);
    let (lines, receiver) = mpsc::channel(BUFFER);
    tokio::spawn(follow(cluster, stopped, watch, lines, Instant::now() + time.min(LONGEST)));
    let stream = futures::StreamExt::map(ReceiverStream::new(receiver), Ok::<Bytes, Infallible>);
    Ok(Body::from_stream(stream))
}

async fn follow(
    cluster: Arc<Cluster>,
    mut stopped: watch::Receiver<bool>,
    mut watch: Watch,
    lines: mpsc::Sender<Bytes>,
    end: Instant,
) {
    let mut news = cluster.store.subscribe();
    let mut frozen = cluster.frozen.subscribe();
    for object in watch.initial.take().into_iter().flatten() {
        if send(&lines, &watch, "ADDED", object).await.is_err() {
            return;
        }
    }
    if watch.marked && send(&lines, &watch, "BOOKMARK", bookmark(&watch, true)).await.is_err() {
        return;
    }
    let mut beat = Instant::now() + BOOKMARK;
    loop {
        while *frozen.borrow_and_update() {
            if frozen.changed().await.is_err() {
                return;
            }
        }
        news.mark_unchanged();
        let changes = cluster.store.read(|state| {
            if state.epoch() != watch.epoch {
                return Err(Status::expired(format!(
                    "too old resource version: {} ({})",
                    watch.version,
                    state.version()
                )));
            }
            state.changes_after(watch.version, BATCH)
        });
        let changes = match changes {
            Ok(changes) => changes,
            Err(status) => {
                // The client has gone or learns it: either way the watch ends.
                let _gone = lines.send(line("ERROR", &status.body())).await;
                return;
            }
        };
        for change in &changes {
            watch.version = change.version;
            if let Some((kind, object)) = event(&watch.choice, change)
                && send(&lines, &watch, kind, object).await.is_err()
            {
                return;
            }
        }
        if changes.len() == BATCH {
            continue;
        }
        tokio::select! {
            told = news.changed() => if told.is_err() { return },
            _ = frozen.changed() => {}
            () = async { drop(stopped.wait_for(|ended| *ended).await) } => return,
            () = lines.closed() => return,
            () = sleep_until(end) => {
                if watch.bookmarks {
                    // The last word of a watch; the client may have gone.
                    let _gone = send(&lines, &watch, "BOOKMARK", bookmark(&watch, false)).await;
                }
                return;
            }
            () = sleep_until(beat) => {
                beat = Instant::now() + BOOKMARK;
                if watch.bookmarks && send(&lines, &watch, "BOOKMARK", bookmark(&watch, false)).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// What a change means to those who watch this choice.
fn event(choice: &Choice, change: &Change) -> Option<(&'static str, Value)> {
    if change.kind != choice.kind {
        return None;
    }
    let was = change.before.as_ref().is_some_and(|object| choice.includes(object));
    let is = change.after.as_ref().is_some_and(|object| choice.includes(object));
    match (was, is) {
        (false, true) => Some(("ADDED", Value::clone(&change.object))),
        (true, true) => Some(("MODIFIED", Value::clone(&change.object))),
        (true, false) => {
            let last = change.before.as_ref().filter(|_| change.after.is_some()).unwrap_or(&change.object);
            let mut last = Value::clone(last);
            last["metadata"]["resourceVersion"] = json!(change.version.to_string());
            Some(("DELETED", last))
        }
        (false, false) => None,
    }
}

fn bookmark(watch: &Watch, initial: bool) -> Value {
    let mut object = json!({
        "kind": watch.choice.kind.description().kind, "apiVersion": watch.choice.kind.api_version(),
        "metadata": {"resourceVersion": watch.version.to_string(), "creationTimestamp": null},
    });
    if initial {
        object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    object
}

async fn send(lines: &mpsc::Sender<Bytes>, watch: &Watch, kind: &str, object: Value) -> Result<(), ()> {
    let object =
        if watch.table && kind != "BOOKMARK" { table::of(watch.choice.kind, &[object], &json!({})) } else { object };
    lines.send(line(kind, &object)).await.map_err(|_| ())
}

fn line(kind: &str, object: &Value) -> Bytes {
    let mut text = json!({"type": kind, "object": object}).to_string();
    text.push('\n');
    Bytes::from(text)
}
