//! The worker of a process: takes operations and carries them on, so many at the same time.
//!
//! It looks for work whenever somebody says that there is some, and at least every second. The end of a lease is an
//! instant of the taker's clock: replicas keep their clocks to within a fifth of the lease of each other, which is what
//! a worker leaves of its lease unused.

use super::{
    Journal, JournalError, Perform,
    feed::{Feed, Topic},
    journal::Claim,
    perform,
    run::{DRAIN, Left, run},
};
use crate::{app::App, clock, config::OperationsConfig, store::operation::WorkerId};
use std::time::Duration;
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

/// Takes operations and carries them on until `shutdown`; then lets running steps end, for a while, and leaves the
/// rest to other workers.
pub async fn work(app: App, shutdown: CancellationToken) {
    let journal = Journal::new(app.database.clone(), app.clock.clone(), app.feed.clone());
    let config = app.config.operations.clone();
    let feed = app.feed.clone();
    let perform = move |step, action| {
        let app = app.clone();
        async move { perform::perform(&app, &step, action).await }
    };
    work_with(journal, feed, config, perform, shutdown).await;
}

/// As [`work`], with something else that carries actions out.
pub async fn work_with<P: Perform>(
    journal: Journal,
    feed: Feed,
    config: OperationsConfig,
    perform: P,
    shutdown: CancellationToken,
) {
    let worker: WorkerId = clock::new_id();
    let lease = Duration::from_secs(config.lease_seconds);
    // Eight copies over a slow network, or eight deployments to a cluster that does not answer, keep nobody else from
    // working.
    let share = config.concurrent.div_ceil(2);
    let mut wakes = feed.subscribe(Topic::Work);
    let mut running = JoinSet::new();
    while !shutdown.is_cancelled() {
        while running.len() < config.concurrent {
            let taken_at = Instant::now();
            match journal.claim(worker, lease, share).await {
                Ok(Some(claim)) => {
                    let (journal, perform, config) = (journal.clone(), perform.clone(), config.clone());
                    let shutdown = shutdown.clone();
                    running.spawn(async move { carry(&journal, &perform, &config, claim, taken_at, &shutdown).await });
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &(dyn std::error::Error + 'static),
                        "looking for operations to carry out failed"
                    );
                    break;
                }
            }
        }
        tokio::select! {
            () = wakes.changed() => {}
            Some(ended) = running.join_next() => log_panic(ended),
            () = shutdown.cancelled() => {}
        }
    }
    while let Some(ended) = running.join_next().await {
        log_panic(ended);
    }
}

async fn carry<P: Perform>(
    journal: &Journal,
    perform: &P,
    config: &OperationsConfig,
    claim: Claim,
    taken_at: Instant,
    shutdown: &CancellationToken,
) {
    let id = claim.operation.id;
    let kind = claim.operation.kind.0;
    let generation = claim.hold.generation;
    match run(journal, perform, config, claim, taken_at, shutdown, DRAIN).await {
        Ok(Left::Finished) => {
            let duration_ms = taken_at.elapsed().as_millis();
            tracing::info!(operation.id = %id, operation.kind = %kind, duration_ms, "an operation came to its end");
        }
        Ok(Left::Released) => {
            tracing::info!(operation.id = %id, operation.kind = %kind, "an operation is left to another worker");
        }
        Err(JournalError::LostLease) => {
            tracing::warn!(operation.id = %id, operation.kind = %kind, operation.generation = generation,
                "the lease of an operation was lost; another worker goes on with it");
        }
        Err(error) => {
            tracing::error!(operation.id = %id, operation.kind = %kind,
                error = &error as &(dyn std::error::Error + 'static),
                "an operation cannot be carried on; it is tried again after its lease");
        }
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(
            error = &error as &(dyn std::error::Error + 'static),
            "an operation's task panicked; another one goes on after its lease"
        );
    }
}
