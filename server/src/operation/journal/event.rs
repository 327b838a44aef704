//! What is told of an operation, with a sequence that has no gaps.

use crate::store::{
    Conn, Instant, Stored,
    event::{self, Event},
    operation::{self, Operation},
    step::Step,
};
use diesel::QueryResult;
use serde_json::Value as Json;

/// The longest message, in characters.
const MAX_MESSAGE: usize = 1000;

/// What happened, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The operation waits for a worker.
    Queued,
    /// A worker has taken it.
    Started,
    /// Another worker goes on after the first one was interrupted.
    Resumed,
    /// A person asked for its end.
    CancelRequested,
    /// A step began.
    StepStarted,
    /// A step is under way.
    StepProgress,
    /// A step's attempt failed and it is tried again.
    StepRetried,
    /// A step did what it had to.
    StepSucceeded,
    /// A step did not.
    StepFailed,
    /// A step will not run.
    StepSkipped,
    /// The operation came to its end.
    Finished,
    /// It failed, and the rollback that was asked for cannot begin yet.
    RollbackWaits,
    /// The rollback that was asked for will not be: it is left to people.
    RollbackGivenUp,
}

impl EventKind {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Started => "STARTED",
            Self::Resumed => "RESUMED",
            Self::CancelRequested => "CANCEL_REQUESTED",
            Self::StepStarted => "STEP_STARTED",
            Self::StepProgress => "STEP_PROGRESS",
            Self::StepRetried => "STEP_RETRIED",
            Self::StepSucceeded => "STEP_SUCCEEDED",
            Self::StepFailed => "STEP_FAILED",
            Self::StepSkipped => "STEP_SKIPPED",
            Self::Finished => "FINISHED",
            Self::RollbackWaits => "ROLLBACK_WAITS",
            Self::RollbackGivenUp => "ROLLBACK_GIVEN_UP",
        }
    }
}

/// An operation that is locked, and what is told of it in this entry.
pub(super) struct Log {
    pub(super) operation: Operation,
    pub(super) now: Instant,
    events: Vec<Event>,
}

impl Log {
    pub(super) fn new(operation: Operation, now: Instant) -> Self {
        Self { operation, now, events: Vec::new() }
    }

    /// Tells something of the whole operation.
    pub(super) fn add(&mut self, kind: EventKind, message: &str) {
        let progress = Some(self.operation.progress);
        self.push(kind, None, message, progress, None);
    }

    /// Tells something of a step.
    pub(super) fn add_of(
        &mut self,
        step: &Step,
        kind: EventKind,
        message: &str,
        progress: Option<f64>,
        data: Option<Json>,
    ) {
        self.push(kind, Some(step), message, progress, data);
    }

    /// Writes the operation and its new events.
    pub(super) async fn write(self, conn: &mut Conn) -> QueryResult<Operation> {
        operation::save(conn, &self.operation).await?;
        for event in &self.events {
            event::insert(conn, event).await?;
        }
        Ok(self.operation)
    }

    fn push(&mut self, kind: EventKind, step: Option<&Step>, message: &str, progress: Option<f64>, data: Option<Json>) {
        let sequence = self.operation.next_sequence;
        self.operation.next_sequence += 1;
        self.events.push(Event {
            operation_id: self.operation.id,
            sequence,
            at: self.now,
            kind: kind.as_str().to_owned(),
            step: step.map(|step| step.name.clone()),
            component: step.and_then(|step| step.component_name.clone()),
            message: bounded(message),
            progress,
            data: data.map(Stored),
        });
    }
}

/// A message as it is stored: of bounded length, without control characters.
pub(super) fn bounded(message: &str) -> String {
    let mut text: String = message.chars().take(MAX_MESSAGE).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if message.chars().nth(MAX_MESSAGE).is_some() {
        text.push('…');
    }
    text
}
