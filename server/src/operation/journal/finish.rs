//! The end of an operation.

use super::{EventKind, Hold, Journal, JournalError, event::Log};
use crate::{
    operation::settle,
    store::{
        Conn, Word, application_lock,
        operation::Operation,
        step::{self as steps, Step},
    },
};
use ropeway_domain::operation::{OperationState, StepState, outcome, progress};

impl Journal {
    /// An operation comes to its end: no step of it runs, and none will. What it means for what it changed is written
    /// in the same transaction.
    pub async fn finish(&self, hold: Hold) -> Result<Operation, JournalError> {
        self.entry(hold, async |conn, log| finish(conn, log).await).await.map(|(operation, ())| operation)
    }
}

/// Ends an operation that is locked.
pub(super) async fn finish(conn: &mut Conn, log: &mut Log) -> Result<(), JournalError> {
    let mut all = steps::of_operation(conn, log.operation.id).await?;
    let cancelled = log.operation.cancel_requested;
    for step in all.iter_mut().filter(|step| step.state.0 == StepState::Pending) {
        step.state = Word(step.state.0.skip()?);
        step.finished_at = Some(log.now);
        steps::save(conn, step).await?;
        let why = if cancelled { "not begun, because the operation was cancelled" } else { "not begun" };
        log.add_of(step, EventKind::StepSkipped, &format!("{}: {why}", step.name), None, None);
    }
    let states = || all.iter().map(|step| step.state.0);
    let end = outcome(states(), cancelled);
    log.operation.progress = progress(states());
    // One that was still in the queue ends without ever having run.
    log.operation.state = Word(match log.operation.state.0 {
        OperationState::Queued => log.operation.state.0.start()?.finish(end)?,
        state => state.finish(end)?,
    });
    log.operation.finished_at = Some(log.now);
    log.operation.lease_owner = None;
    log.operation.lease_until = None;
    let message = describe(end, &all);
    if let Some(code) = error_code(end) {
        log.operation.error_code = Some(code.to_owned());
        log.operation.error_message = Some(message.clone());
    }
    if let Some(application) = log.operation.application_id {
        application_lock::release(conn, application, log.operation.id).await?;
    }
    settle::settle(conn, &log.operation, &all, end, log.now)
        .await
        .map_err(|error| JournalError::Settle(Box::new(error)))?;
    log.add(EventKind::Finished, &message);
    Ok(())
}

fn error_code(end: OperationState) -> Option<&'static str> {
    match end {
        OperationState::Cancelled => Some("CANCELLED"),
        OperationState::Failed | OperationState::Partial => Some("STEP_FAILED"),
        OperationState::Queued | OperationState::Running | OperationState::Succeeded => None,
    }
}

/// What it has come to, for people.
fn describe(end: OperationState, steps: &[Step]) -> String {
    let done = steps.iter().filter(|step| step.state.0 == StepState::Succeeded).count();
    let first = steps.iter().find_map(|step| step.error.as_ref().map(|error| format!("; {}: {error}", step.name)));
    let of = format!("{done} of {} steps done{}", steps.len(), first.unwrap_or_default());
    let message = match end {
        OperationState::Succeeded => "Succeeded".to_owned(),
        OperationState::Partial => format!("Partly done: {of}"),
        OperationState::Failed => format!("Failed: {of}"),
        OperationState::Cancelled => format!("Cancelled: {of}"),
        OperationState::Queued | OperationState::Running => of,
    };
    super::event::bounded(&message)
}
