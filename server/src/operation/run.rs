//! One operation in the hands of one worker: starts the steps that may run, notes what became of them, and keeps the
//! lease.

use super::{
    Action, Journal, JournalError, Outcome, Perform, StepContext,
    attempt::attempt,
    journal::{Claim, Hold, Start},
};
use crate::{
    config::OperationsConfig,
    store::{operation::Operation, step::Step},
};
use ropeway_domain::operation::{StepState, StepView, interrupted, next_steps};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::{
    task::{Id as TaskId, JoinError, JoinSet},
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

/// How long a process that is asked to stop waits for running steps before it leaves them to others.
pub(super) const DRAIN: Duration = Duration::from_secs(20);

/// A step that was begun so often brings its worker down: it is not begun again.
const MAX_ATTEMPTS: i64 = 20;

/// How an operation left the hands of its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// It came to its end.
    Finished,
    /// The process stops; another one goes on.
    Released,
}

/// The lease as this worker knows it, by a clock that nobody sets. It is a little shorter than the one in the database.
struct Lease {
    length: Duration,
    until: Instant,
}

impl Lease {
    fn taken_at(length: Duration, at: Instant) -> Self {
        Self { length, until: at + length }
    }

    /// A third of it is over.
    fn renew_at(&self) -> Instant {
        self.until - self.length * 2 / 3
    }

    /// From here on another worker may soon begin: nothing of ours may be under way any more.
    fn abort_at(&self) -> Instant {
        self.until - self.length / 5
    }
}

struct Run<'a, P> {
    journal: &'a Journal,
    perform: &'a P,
    config: &'a OperationsConfig,
    hold: Hold,
    operation: Arc<Operation>,
    steps: BTreeMap<u32, Step>,
    /// What was running when an earlier worker died: it runs again, whatever was asked since.
    interrupted: BTreeSet<u32>,
    lease: Lease,
    running: JoinSet<Outcome>,
    numbers: HashMap<TaskId, u32>,
    /// Nothing new begins.
    stopping: bool,
    /// How long running steps may take to end when the process stops.
    drain: Duration,
}

/// Carries an operation on until it is finished, the lease is lost or the process stops. `taken_at` is an instant
/// before the lease was asked for. When it returns, nothing of the operation is under way in this process.
pub(super) async fn run<P: Perform>(
    journal: &Journal,
    perform: &P,
    config: &OperationsConfig,
    claim: Claim,
    taken_at: Instant,
    shutdown: &CancellationToken,
    drain: Duration,
) -> Result<Left, JournalError> {
    let views: Vec<StepView> = claim.steps.iter().map(Step::view).collect();
    let mut run = Run {
        journal,
        perform,
        config,
        hold: claim.hold,
        operation: Arc::new(claim.operation),
        steps: claim.steps.into_iter().map(|step| (step.number(), step)).collect(),
        interrupted: interrupted(&views).into_iter().collect(),
        lease: Lease::taken_at(Duration::from_secs(config.lease_seconds), taken_at),
        running: JoinSet::new(),
        numbers: HashMap::new(),
        stopping: false,
        drain,
    };
    let result = run.finish_all(shutdown).await;
    run.running.shutdown().await;
    result
}

impl<P: Perform> Run<'_, P> {
    async fn finish_all(&mut self, shutdown: &CancellationToken) -> Result<Left, JournalError> {
        let mut drain_until = None;
        loop {
            if drain_until.is_none() && shutdown.is_cancelled() {
                drain_until = Some(Instant::now() + self.drain);
            }
            if drain_until.is_none() {
                self.start_steps().await?;
            }
            if self.running.is_empty() {
                return self.leave(drain_until.is_some()).await;
            }
            let abort_at = self.lease.abort_at();
            tokio::select! {
                biased;
                () = sleep_until(abort_at) => return Err(JournalError::LostLease),
                Some(ended) = self.running.join_next_with_id() => self.note_end(ended).await?,
                () = sleep_until(self.lease.renew_at()) => self.renew().await?,
                () = shutdown.cancelled(), if drain_until.is_none() => {}
                () = sleep_until(drain_until.unwrap_or(abort_at)), if drain_until.is_some() => {
                    self.running.shutdown().await;
                    return self.leave(true).await;
                }
            }
        }
    }

    /// The end of this worker's part: of the operation, or only of the process.
    async fn leave(&mut self, process_stops: bool) -> Result<Left, JournalError> {
        // A step that was broken off is done again, also after its operation's end was asked for.
        let unfinished = self.steps.values().any(|step| match step.state.0 {
            StepState::Running => true,
            StepState::Pending => !self.stopping,
            StepState::Succeeded | StepState::Failed | StepState::Skipped => false,
        });
        if process_stops && unfinished {
            let release = self.journal.release(self.hold);
            within(self.lease.abort_at(), release).await?;
            return Ok(Left::Released);
        }
        let finish = self.journal.finish(self.hold);
        within(self.lease.abort_at(), finish).await?;
        Ok(Left::Finished)
    }

    async fn start_steps(&mut self) -> Result<(), JournalError> {
        while self.running.len() < self.config.concurrent_steps {
            let Some(number) = self.next() else { break };
            let Some(step) = self.steps.get(&number) else { break };
            if step.attempts >= MAX_ATTEMPTS {
                self.fail(number, "it was begun too often without coming to its end").await?;
                continue;
            }
            let action = serde_json::from_slice::<Action>(&step.action);
            let seconds = action.as_ref().ok().and_then(Action::deadline_seconds);
            let limit = Duration::from_secs(seconds.unwrap_or(self.config.progress_deadline_seconds).into());
            let start = self.journal.start_step(self.hold, number, limit);
            let (step, deadline_at) = match within(self.lease.abort_at(), start).await? {
                Start::Run { step, deadline_at } => (*step, deadline_at),
                Start::Cancelled => {
                    self.stopping = true;
                    continue;
                }
            };
            self.interrupted.remove(&number);
            self.steps.insert(number, step.clone());
            let action = match action {
                Ok(action) => action,
                Err(error) => {
                    tracing::error!(
                        operation.id = %self.hold.operation_id,
                        step.number = number,
                        error = &error as &(dyn std::error::Error + 'static),
                        "the action of a step cannot be read"
                    );
                    self.fail(number, INTERNAL).await?;
                    continue;
                }
            };
            let left = (deadline_at.0 - self.journal.now().0).to_std().unwrap_or_default();
            let context =
                StepContext::new(self.journal.clone(), self.hold, self.operation.clone(), step, Instant::now() + left);
            let span = tracing::info_span!("step", operation.id = %self.hold.operation_id, step.number = number);
            let task = self.running.spawn(attempt(self.perform.clone(), context, action).instrument(span));
            self.numbers.insert(task.id(), number);
        }
        Ok(())
    }

    /// The step to start now: what was interrupted first, then what is ready, unless an end was asked for.
    fn next(&self) -> Option<u32> {
        if let Some(number) = self.interrupted.first() {
            return Some(*number);
        }
        if self.stopping {
            return None;
        }
        let views: Vec<StepView> = self.steps.values().map(Step::view).collect();
        next_steps(&views).first().copied()
    }

    async fn note_end(&mut self, ended: Result<(TaskId, Outcome), JoinError>) -> Result<(), JournalError> {
        let (task, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let task = error.id();
                tracing::error!(
                    operation.id = %self.hold.operation_id,
                    error = &error as &(dyn std::error::Error + 'static),
                    "a step panicked"
                );
                (task, Outcome::failed(INTERNAL))
            }
        };
        let Some(number) = self.numbers.remove(&task) else { return Ok(()) };
        match outcome {
            Outcome::Succeeded => {
                let complete = self.journal.complete_step(self.hold, number);
                within(self.lease.abort_at(), complete).await?;
                if let Some(step) = self.steps.get_mut(&number) {
                    step.state.0 = step.state.0.succeed()?;
                }
                Ok(())
            }
            Outcome::Failed { message, .. } => self.fail(number, &message).await,
            Outcome::Interrupted => Err(JournalError::LostLease),
        }
    }

    /// Notes that a step failed, and what it takes with it.
    async fn fail(&mut self, number: u32, message: &str) -> Result<(), JournalError> {
        let Some(step) = self.steps.get_mut(&number) else { return Ok(()) };
        let entry = self.journal.fail_step(self.hold, number, message);
        within(self.lease.abort_at(), entry).await?;
        self.interrupted.remove(&number);
        step.state.0 = step.state.0.fail()?;
        let views: Vec<StepView> = self.steps.values().map(Step::view).collect();
        for skipped in ropeway_domain::operation::skipped_by(&views, number) {
            if let Some(step) = self.steps.get_mut(&skipped) {
                step.state.0 = step.state.0.skip()?;
            }
        }
        Ok(())
    }

    async fn renew(&mut self) -> Result<(), JournalError> {
        let asked_at = Instant::now();
        let renew = self.journal.renew(self.hold, self.lease.length);
        match within(self.lease.abort_at(), renew).await {
            Ok(_) => {
                self.lease = Lease::taken_at(self.lease.length, asked_at);
                Ok(())
            }
            // The database may answer again before the lease ends.
            Err(error @ (JournalError::Query(_) | JournalError::Database(_))) => {
                tracing::warn!(
                    operation.id = %self.hold.operation_id,
                    error = &error as &(dyn std::error::Error + 'static),
                    "a lease could not be renewed"
                );
                let pause = (asked_at + self.lease.length / 10).min(self.lease.abort_at());
                sleep_until(pause).await;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

const INTERNAL: &str = "an internal error; it was logged";

/// An entry that is made before the lease is in danger, or given up.
async fn within<T>(abort_at: Instant, entry: impl Future<Output = Result<T, JournalError>>) -> Result<T, JournalError> {
    timeout_at(abort_at, entry).await.unwrap_or(Err(JournalError::LostLease))
}
