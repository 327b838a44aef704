//! Rolls back the upgrades that failed and whose callers asked for that (`onFailure: ROLL_BACK`).
//!
//! Such an upgrade keeps its application when it ends, so that nobody else changes it in between: that is the request,
//! and it survives the process. Whichever replica sees it first plans the rollback from what is there. Where that cannot
//! begin, the upgrade's events say why; it is tried again for an hour, or until somebody cancels the upgrade.
//!
//! Each application has a task of its own, so that a cluster that does not answer holds up no other.

use crate::{
    app::App,
    error::{Error, Result},
    id::{ApplicationId, OperationId, RecordId},
    operation::{
        feed::Topic,
        journal::{self, EventKind},
    },
    service::roll_back_upgrade::roll_back_failed,
    store::{application_lock, operation, record},
};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};
use tokio::{
    task::{Id as TaskId, JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Applications that are served at the same time.
const AT_A_TIME: usize = 8;

/// How long it is tried before it is left to people.
const FOR: chrono::TimeDelta = chrono::TimeDelta::hours(1);

/// The pause before a second try; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// An upgrade that waits for its rollback.
#[derive(Debug, Clone, Copy)]
struct Request {
    record: RecordId,
    operation: OperationId,
    application: ApplicationId,
}

/// Who is served, and who is tried again when.
#[derive(Debug, Default)]
struct Schedule {
    running: HashMap<TaskId, OperationId>,
    failed: HashMap<OperationId, Failed>,
}

#[derive(Debug, Clone, Copy)]
struct Failed {
    times: u32,
    not_before: Instant,
}

/// Serves such requests until the process ends.
pub async fn roll_back_failures(app: App, shutdown: CancellationToken) {
    let mut work = app.feed.subscribe(Topic::Work);
    let mut tasks = JoinSet::new();
    let mut schedule = Schedule::default();
    loop {
        match pending(&app).await {
            Ok(waiting) => {
                for request in schedule.due(&waiting, Instant::now()) {
                    let app = app.clone();
                    let task = tasks.spawn(async move { serve(&app, request).await });
                    schedule.running.insert(task.id(), request.operation);
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "failed upgrades could not be looked up");
            }
        }
        tokio::select! {
            // What is broken off has changed nothing: each commits at once.
            () = shutdown.cancelled() => return,
            Some(ended) = tasks.join_next_with_id(), if !tasks.is_empty() => schedule.ended(ended, Instant::now()),
            () = work.changed() => {}
        }
    }
}

impl Schedule {
    /// Whom to serve now: those who were tried least first, so that what cannot be done keeps nobody waiting.
    fn due(&mut self, waiting: &[Request], now: Instant) -> Vec<Request> {
        let known: HashSet<OperationId> = waiting.iter().map(|request| request.operation).collect();
        self.failed.retain(|operation, _| known.contains(operation));
        let running: HashSet<OperationId> = self.running.values().copied().collect();
        let mut due: Vec<Request> = waiting
            .iter()
            .filter(|request| !running.contains(&request.operation))
            .filter(|request| self.failed.get(&request.operation).is_none_or(|failed| failed.not_before <= now))
            .copied()
            .collect();
        due.sort_by_key(|request| self.failed.get(&request.operation).map_or(0, |failed| failed.times));
        due.truncate(AT_A_TIME.saturating_sub(running.len()));
        due
    }

    fn ended(&mut self, ended: Result<(TaskId, bool), JoinError>, now: Instant) {
        let (task, settled) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let task = error.id();
                tracing::error!(error = &error as &dyn std::error::Error, "rolling a failed upgrade back panicked");
                (task, false)
            }
        };
        let Some(operation) = self.running.remove(&task) else { return };
        if settled {
            self.failed.remove(&operation);
            return;
        }
        let times = self.failed.get(&operation).map_or(0, |failed| failed.times) + 1;
        let pause = FIRST_PAUSE.saturating_mul(1 << (times - 1).min(10)).min(LONGEST_PAUSE);
        self.failed.insert(operation, Failed { times, not_before: now + pause });
    }
}

async fn pending(app: &App) -> Result<Vec<Request>> {
    let mut conn = app.database.read().await?;
    let waiting = record::awaiting_rollback(&mut conn).await?.into_iter();
    Ok(waiting.map(|(record, operation, application)| Request { record, operation, application }).collect())
}

/// Whether the request is settled: begun, or given up.
async fn serve(app: &App, request: Request) -> bool {
    let Err(error) = roll_back_failed(app, request.record, request.operation).await else { return true };
    let told = match &error {
        // Another replica was faster, or somebody changed the application: look again.
        Error::Conflict(_) => return false,
        Error::Invalid(errors) => errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("; "),
        Error::Internal(_) => {
            tracing::error!(
                upgrade_record.id = %request.record,
                error = &error as &dyn std::error::Error,
                "rolling a failed upgrade back met an internal error"
            );
            error.to_string()
        }
        error => error.to_string(),
    };
    tell(app, request, &told).await.unwrap_or_else(|error| {
        tracing::warn!(
            upgrade_record.id = %request.record,
            error = &error as &dyn std::error::Error,
            "it could not be told why a failed upgrade is not rolled back"
        );
        false
    })
}

/// Tells why a rollback cannot begin. Says whether it was given up, and the application let go.
async fn tell(app: &App, request: Request, why: &str) -> Result<bool> {
    let now = app.clock.now();
    let mut conn = app.database.write().await?;
    let (told, is_over) = conn
        .transaction(async |conn| {
            let row = operation::lock(conn, request.operation).await?.ok_or(Error::NotFound("the operation"))?;
            if application_lock::holder(conn, request.application).await? != Some(request.operation) {
                // Somebody cancelled it, or another replica was faster.
                return Ok((None, true));
            }
            let is_over = row.finished_at.is_some_and(|at| now.0 - at.0 >= FOR);
            let (kind, message) = if is_over {
                application_lock::release(conn, request.application, request.operation).await?;
                (EventKind::RollbackGivenUp, format!("Not rolled back, and left to people: {why}"))
            } else {
                (EventKind::RollbackWaits, format!("The rollback cannot begin yet: {why}"))
            };
            let told = journal::tell_after(conn, request.operation, kind, &message, now).await?;
            Ok::<_, Error>((told, is_over))
        })
        .await?;
    drop(conn);
    if let Some(operation) = &told {
        tracing::warn!(
            upgrade_record.id = %request.record,
            operation.id = %operation.id,
            given_up = is_over,
            reason = why,
            "a failed upgrade is not rolled back"
        );
        app.feed.changed(operation);
    }
    Ok(is_over)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn request() -> Request {
        Request { record: clock::new_id(), operation: clock::new_id(), application: clock::new_id() }
    }

    /// Tasks that end, with their ids.
    fn ids(tasks: usize) -> Vec<TaskId> {
        let mut set = JoinSet::new();
        (0..tasks).map(|_| set.spawn(async {}).id()).collect()
    }

    #[tokio::test]
    async fn what_cannot_be_done_keeps_nobody_waiting() {
        let waiting: Vec<Request> = (0..AT_A_TIME + 2).map(|_| request()).collect();
        let mut schedule = Schedule::default();
        let now = Instant::now();
        let first = schedule.due(&waiting, now);
        assert_eq!(first.len(), AT_A_TIME);
        let tasks = ids(AT_A_TIME);
        for (task, request) in tasks.iter().zip(&first) {
            schedule.running.insert(*task, request.operation);
        }
        assert!(schedule.due(&waiting, now).is_empty(), "so many at a time");
        for task in &tasks {
            schedule.ended(Ok((*task, false)), now);
        }
        let next: Vec<OperationId> = schedule.due(&waiting, now).iter().map(|request| request.operation).collect();
        assert_eq!(next, [waiting[AT_A_TIME].operation, waiting[AT_A_TIME + 1].operation]);
        let later = schedule.due(&waiting, now + FIRST_PAUSE);
        assert_eq!(later.len(), AT_A_TIME);
        assert_eq!(later[0].operation, waiting[AT_A_TIME].operation, "those who were not tried yet come first");
        // Whoever waits no more is forgotten.
        schedule.due(&waiting[AT_A_TIME..], now);
        assert!(schedule.failed.is_empty());
    }

    #[tokio::test]
    async fn pauses_grow_to_a_minute() {
        let waiting = [request()];
        let mut schedule = Schedule::default();
        let (task, now) = (ids(1)[0], Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..40 {
            schedule.running.insert(task, waiting[0].operation);
            schedule.ended(Ok((task, false)), now);
            pauses.push((schedule.failed[&waiting[0].operation].not_before - now).as_secs());
        }
        assert_eq!(pauses[..5], [5, 10, 20, 40, 60]);
        assert!(pauses[5..].iter().all(|pause| *pause == 60));
        schedule.running.insert(task, waiting[0].operation);
        schedule.ended(Ok((task, true)), now);
        assert_eq!(schedule.due(&waiting, now).len(), 1);
    }
}
