//! Waits until objects are as they should be: by watching them, not by asking again and again.
//!
//! The wait survives broken connections, expired watches and restarts of the API server. It knows no health itself: a
//! judge is called with everything that was seen, at the start, after changes, and at least every ten seconds.

mod events;
mod source;
mod table;

use std::{pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{Cluster, Error, ObjectRef, Observed};

pub(crate) use source::{Change, Role, Source, watch_kind};
use table::Tables;

/// Changes that come within this time are judged together.
const TOGETHER: Duration = Duration::from_millis(100);

/// The judge is called at least this often.
const AT_LEAST: Duration = Duration::from_secs(10);

/// Pause between attempts to find out how the kinds are addressed, while the cluster does not answer.
const RESOLVE_AGAIN: Duration = Duration::from_millis(500);

/// Refusals in a row before they are believed: an API server that has just begun refuses everybody for a moment.
const PATIENCE: u32 = 5;

/// What to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The objects that are judged, in this order.
    pub references: Vec<ObjectRef>,
    /// The namespace of their pods and events.
    pub namespace: String,
    /// A label selector that all of the objects match, such as `ropeway.dev/application=...`: less to transfer.
    /// Without it, objects are watched by name, or (several of a kind) by namespace.
    pub selector: Option<String>,
    /// Whether pods and events are wanted: for workloads.
    pub details: bool,
}

/// What a judge says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<T> {
    /// All is as it should be.
    Done(T),
    /// Not yet; what is waited for.
    Continue(String),
    /// It never will be; why.
    Fail(String),
}

impl Cluster {
    /// Watches until the judge is content.
    ///
    /// A judge that says [`Verdict::Fail`] ends it with [`Error::Failed`]; the deadline ends it with
    /// [`Error::Timeout`] and the last verdict. A cluster that cannot be reached is waited for until the deadline;
    /// one that goes on refusing
    /// the credentials or a permission is not.
    pub async fn watch_until<T, J, F>(&self, watch: &Watch, deadline: Instant, mut judge: J) -> Result<T, Error>
    where
        J: FnMut(Arc<[Observed]>) -> F,
        F: Future<Output = Verdict<T>>,
    {
        let mut last = None;
        match timeout_at(deadline, self.watch_loop(watch, &mut judge, &mut last)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::Timeout { what: "waiting for the cluster".into(), last }),
        }
    }

    async fn watch_loop<T, J, F>(&self, watch: &Watch, judge: &mut J, last: &mut Option<String>) -> Result<T, Error>
    where
        J: FnMut(Arc<[Observed]>) -> F,
        F: Future<Output = Verdict<T>>,
    {
        let sources = loop {
            match self.sources(watch).await {
                Ok(sources) => break sources,
                Err(error) if error.retryable() => {
                    *last = Some(error.to_string());
                    tokio::time::sleep(RESOLVE_AGAIN).await;
                }
                Err(error) => return Err(error),
            }
        };
        let mut tables = Tables::new(watch, &sources);
        let streams = sources
            .into_iter()
            .enumerate()
            .map(|(at, source)| watch_kind(self, source).map(move |change| (at, change)).boxed());
        let mut changes = futures::stream::select_all(streams);
        // Without anything to look at, the judge decides at once.
        let mut judge_at = tables.complete().then(Instant::now);
        let mut refusals = 0;
        loop {
            let wake = pin!(sleep_until(judge_at.unwrap_or_else(|| Instant::now() + AT_LEAST)));
            tokio::select! {
                Some((at, change)) = changes.next() => match change {
                    Err(error) if !error.retryable() && tables.is_needed(at) && refusals >= PATIENCE => return Err(error),
                    Err(error) => {
                        refusals += u32::from(!error.retryable() && tables.is_needed(at));
                        *last = Some(error.to_string());
                        if !error.retryable() && !tables.is_needed(at) && tables.give_up(at) {
                            judge_at = Some(sooner(judge_at));
                        }
                    }
                    Ok(change) => {
                        // The end of a list is proof of a permission, its beginning is not.
                        if matches!(change, Change::Complete) && tables.is_needed(at) {
                            refusals = 0;
                        }
                        if tables.take(at, change) && tables.complete() {
                            judge_at = Some(sooner(judge_at));
                        }
                    }
                },
                () = wake, if judge_at.is_some() => {
                    match judge(tables.observed()).await {
                        Verdict::Done(value) => return Ok(value),
                        Verdict::Fail(reason) => return Err(Error::Failed { reason: crate::error::bounded(&reason) }),
                        Verdict::Continue(what) => *last = Some(crate::error::bounded(&what)),
                    }
                    judge_at = Some(Instant::now() + AT_LEAST);
                }
            }
        }
    }
}

/// A change moves the next judgement forward, but changes that keep coming do not put it off.
fn sooner(judge_at: Option<Instant>) -> Instant {
    let soon = Instant::now() + TOGETHER;
    judge_at.map_or(soon, |planned| planned.min(soon))
}
