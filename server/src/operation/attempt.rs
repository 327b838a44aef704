//! One step under way: its attempts, its deadline, and what it may tell of itself.

use super::{
    Action, Journal, JournalError,
    journal::{EventKind, Hold, ImageNews, NewObject},
};
use crate::{
    id::{ImageId, PublicationId},
    store::{cluster::Reachability, cluster_object::ClusterObject, library::Library, operation::Operation, step::Step},
};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use serde_json::Value as Json;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout_at};

/// The pause before a second attempt; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What carries a step out knows its deadline and says more about what it waited for than a timeout here could.
const GRACE: Duration = Duration::from_secs(2);

/// Progress is told at most this often: each telling is a write.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it had to.
    Succeeded,
    /// It did not.
    Failed {
        /// Why, for people: without secrets, values of objects or internal causes.
        message: String,
        /// Whether the same may succeed a little later without anybody's doing.
        retryable: bool,
    },
    /// The worker holds the operation no more: whoever does will do the step again. Nothing is recorded.
    Interrupted,
}

/// What carries actions out: [`crate::operation::perform::perform`] in a process, something else in tests of the worker.
pub trait Perform: Clone + Send + Sync + 'static {
    /// One attempt. It may be dropped at any point, and it may have been begun before.
    fn perform(&self, step: StepContext, action: Action) -> impl Future<Output = Outcome> + Send;
}

impl<F, R> Perform for F
where
    F: Fn(StepContext, Action) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Outcome> + Send,
{
    fn perform(&self, step: StepContext, action: Action) -> impl Future<Output = Outcome> + Send {
        self(step, action)
    }
}

/// A step under way, as what carries it out sees it. Cheap to clone.
#[derive(Clone)]
pub struct StepContext(Arc<Parts>);

struct Parts {
    journal: Journal,
    hold: Hold,
    operation: Arc<Operation>,
    step: Step,
    deadline: Instant,
    told_at: Mutex<Option<Instant>>,
}

impl Outcome {
    /// A failure that stays one, however often it is tried.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), retryable: false }
    }
}

impl From<Result<(), Outcome>> for Outcome {
    fn from(result: Result<(), Outcome>) -> Self {
        result.err().unwrap_or(Self::Succeeded)
    }
}

/// An entry that could not be made: the worker is on its own and stops.
impl From<JournalError> for Outcome {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::LostLease | JournalError::Query(_) | JournalError::Database(_) => Self::Interrupted,
            error @ (JournalError::ForeignObject { .. } | JournalError::NoApplication) => {
                Self::failed(error.to_string())
            }
            error => crate::Error::internal(error).into(),
        }
    }
}

/// A fault of ours is logged here and told as such; what does not answer is tried again.
impl From<crate::Error> for Outcome {
    fn from(error: crate::Error) -> Self {
        let retryable = matches!(error, crate::Error::Unavailable { .. } | crate::Error::RateLimited(_));
        if let crate::Error::Internal(cause) = &error {
            tracing::error!(error = &**cause as &(dyn std::error::Error + 'static), "a step met an internal error");
        }
        Self::Failed { message: error.to_string(), retryable }
    }
}

impl From<ropeway_clusters::Error> for Outcome {
    fn from(error: ropeway_clusters::Error) -> Self {
        Self::Failed { retryable: error.retryable(), message: error.to_string() }
    }
}

impl StepContext {
    pub(super) fn new(journal: Journal, hold: Hold, operation: Arc<Operation>, step: Step, deadline: Instant) -> Self {
        Self(Arc::new(Parts { journal, hold, operation, step, deadline, told_at: Mutex::new(None) }))
    }

    /// The operation, as it was when this worker took it.
    pub fn operation(&self) -> &Operation {
        &self.0.operation
    }

    /// The step's number in its operation.
    pub fn number(&self) -> u32 {
        self.0.step.number()
    }

    /// What the step does, for people.
    pub fn name(&self) -> &str {
        &self.0.step.name
    }

    /// Which attempt after a crash this is, from 1. Attempts within one worker's life are not counted.
    pub fn attempt(&self) -> i64 {
        self.0.step.attempts
    }

    /// When it has failed if it has not succeeded.
    pub fn deadline(&self) -> Instant {
        self.0.deadline
    }

    /// Tells how far the step is, from 0 to 1. What comes within a second of the last telling is left out.
    pub async fn progress(&self, message: &str, progress: f64, data: Option<Json>) -> Result<(), JournalError> {
        if self.may_tell() {
            self.note(EventKind::StepProgress, message, Some(progress.clamp(0.0, 1.0)), data).await?;
        }
        Ok(())
    }

    /// Tells something that must not be left out.
    pub async fn tell(&self, message: &str) -> Result<(), JournalError> {
        self.note(EventKind::StepProgress, message, None, None).await
    }

    /// Lists an object as ours: before anything else is done in the cluster.
    pub async fn record_object(&self, object: &NewObject) -> Result<(), JournalError> {
        self.0.journal.record_object(self.0.hold, object).await
    }

    /// Takes an object off the list.
    pub async fn forget_object(&self, object: &ClusterObject) -> Result<(), JournalError> {
        self.0.journal.forget_object(self.0.hold, object).await
    }

    /// Tells how far the copy of an image is. Whoever copies bounds how often.
    pub async fn note_images(&self, images: &[ImageId], news: &ImageNews) -> Result<(), JournalError> {
        self.0.journal.note_images(self.0.hold, self.number(), images, news).await
    }

    /// Names the artifact that was pushed for a publication.
    pub async fn note_artifact(&self, publication: PublicationId, digest: &str) -> Result<(), JournalError> {
        self.0.journal.note_artifact(self.0.hold, publication, digest).await
    }

    /// Records whether the nodes of a cluster pulled from the library.
    pub async fn note_reachability(&self, found: &Reachability) -> Result<(), JournalError> {
        self.0.journal.note_reachability(self.0.hold, found).await
    }

    /// Records whether the server reached a library, and why not.
    pub async fn note_library(&self, library: &Library, failure: Option<&str>) -> Result<(), JournalError> {
        self.0.journal.note_library(self.0.hold, library, failure).await
    }

    async fn note(
        &self,
        kind: EventKind,
        message: &str,
        progress: Option<f64>,
        data: Option<Json>,
    ) -> Result<(), JournalError> {
        self.0.journal.note(self.0.hold, self.number(), kind, message, progress, data).await
    }

    fn may_tell(&self) -> bool {
        let now = Instant::now();
        let mut told_at = self.0.told_at.lock().unwrap_or_else(PoisonError::into_inner);
        let may = told_at.is_none_or(|at| now.duration_since(at) >= PROGRESS_EVERY);
        if may {
            *told_at = Some(now);
        }
        may
    }
}

/// Attempts an action until it succeeds, fails for good, or its deadline passes.
pub(super) async fn attempt<P: Perform>(perform: P, step: StepContext, action: Action) -> Outcome {
    let deadline = step.deadline();
    let mut pauses = ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .build();
    loop {
        let attempt = perform.perform(step.clone(), action.clone());
        let message = match timeout_at(deadline + GRACE, attempt).await {
            Ok(Outcome::Failed { message, retryable: true }) => message,
            Ok(outcome) => return outcome,
            Err(_) => return Outcome::failed("it took too long"),
        };
        let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
        if Instant::now() + pause >= deadline {
            return Outcome::failed(format!("{message}; it was tried until its time was over"));
        }
        if let Err(error) = step.note(EventKind::StepRetried, &format!("Trying again: {message}"), None, None).await {
            return error.into();
        }
        sleep(pause).await;
    }
}
