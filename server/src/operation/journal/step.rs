//! The entries of a step: it begins, tells how far it is, and ends.

use super::{EventKind, Hold, Journal, JournalError, effect, event::bounded, later};
use crate::{
    operation::Action,
    store::{
        Conn, Instant, Word,
        operation::Operation,
        step::{self as steps, Step},
    },
};
use ropeway_domain::operation::{progress, skipped_by};
use serde_json::Value as Json;
use std::time::Duration;

/// Whether a step may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// It runs now.
    Run {
        /// As it is stored now: with its attempts and its deadline.
        step: Box<Step>,
        /// When this attempt has failed if it has not succeeded: the step's deadline, or soon if that has passed.
        deadline_at: Instant,
    },
    /// A person asked for the operation's end: nothing new begins.
    Cancelled,
}

/// What a step has at least when it begins again after its deadline.
const LAST_ATTEMPT: Duration = Duration::from_secs(30);

impl Journal {
    /// A step begins, or begins again after its worker died. Its deadline is fixed at its first beginning, `limit` from
    /// then, and no restart prolongs it. Where it has passed by the time the step begins again, which is nobody's fault
    /// but the process's, there is one more attempt, of a tenth of the limit: what the step waited for may have come
    /// meanwhile. Once the operation's end was asked for, only steps that were running when their worker died begin.
    pub async fn start_step(&self, hold: Hold, number: u32, limit: Duration) -> Result<Start, JournalError> {
        let (_, start) = self
            .entry(hold, async |conn, log| {
                let mut step = find(conn, hold, number).await?.1;
                let first = step.attempts == 0;
                if first && log.operation.cancel_requested {
                    return Ok(Start::Cancelled);
                }
                let deadline_at = step.deadline_at.unwrap_or_else(|| later(log.now, limit));
                step.state = Word(step.state.0.start()?);
                step.attempts += 1;
                step.started_at = step.started_at.or(Some(log.now));
                step.deadline_at = Some(deadline_at);
                steps::save(conn, &step).await?;
                let deadline_at = if !first && deadline_at <= log.now {
                    later(log.now, (limit / 10).max(LAST_ATTEMPT))
                } else {
                    deadline_at
                };
                let message =
                    if first { step.name.clone() } else { format!("{}: attempt {}", step.name, step.attempts) };
                log.add_of(&step, EventKind::StepStarted, &message, None, None);
                Ok(Start::Run { step: Box::new(step), deadline_at })
            })
            .await?;
        Ok(start)
    }

    /// A step did what it had to.
    pub async fn complete_step(&self, hold: Hold, number: u32) -> Result<Operation, JournalError> {
        self.entry(hold, async |conn, log| {
            let (mut all, mut step) = find(conn, hold, number).await?;
            step.state = Word(step.state.0.succeed()?);
            step.finished_at = Some(log.now);
            step.error = None;
            steps::save(conn, &step).await?;
            let action: Action = serde_json::from_slice(&step.action).map_err(JournalError::Action)?;
            for consequence in action.on_success() {
                effect::write(conn, log.operation.application_id, consequence).await?;
            }
            replace(&mut all, &step);
            log.operation.progress = progress(all.iter().map(|step| step.state.0));
            let message = format!("{}: done", step.name);
            let progress = log.operation.progress;
            log.add_of(&step, EventKind::StepSucceeded, &message, Some(progress), None);
            Ok(())
        })
        .await
        .map(|(operation, ())| operation)
    }

    /// A step did not do what it had to. What needs it is skipped.
    pub async fn fail_step(&self, hold: Hold, number: u32, message: &str) -> Result<Operation, JournalError> {
        let message = bounded(message);
        self.entry(hold, async |conn, log| {
            let (mut all, mut step) = find(conn, hold, number).await?;
            step.state = Word(step.state.0.fail()?);
            step.finished_at = Some(log.now);
            step.error = Some(message.clone());
            steps::save(conn, &step).await?;
            replace(&mut all, &step);
            let views: Vec<_> = all.iter().map(Step::view).collect();
            let lost = skipped_by(&views, number);
            for other in all.iter_mut().filter(|step| lost.contains(&step.number())) {
                other.state = Word(other.state.0.skip()?);
                other.finished_at = Some(log.now);
                steps::save(conn, other).await?;
            }
            log.operation.progress = progress(all.iter().map(|step| step.state.0));
            let progress = log.operation.progress;
            log.add_of(&step, EventKind::StepFailed, &format!("{}: {message}", step.name), Some(progress), None);
            for other in all.iter().filter(|step| lost.contains(&step.number())) {
                let why = format!("{}: not begun, because \"{}\" failed", other.name, step.name);
                log.add_of(other, EventKind::StepSkipped, &why, Some(progress), None);
            }
            Ok(())
        })
        .await
        .map(|(operation, ())| operation)
    }

    /// Tells something of a running step. `progress` is that of the step, from 0 to 1.
    pub async fn note(
        &self,
        hold: Hold,
        number: u32,
        kind: EventKind,
        message: &str,
        progress: Option<f64>,
        data: Option<Json>,
    ) -> Result<(), JournalError> {
        self.entry(hold, async |conn, log| {
            let (_, step) = find(conn, hold, number).await?;
            log.add_of(&step, kind, message, progress, data);
            Ok(())
        })
        .await?;
        Ok(())
    }
}

/// All steps of an operation, and one of them.
pub(super) async fn find(conn: &mut Conn, hold: Hold, number: u32) -> Result<(Vec<Step>, Step), JournalError> {
    let all = steps::of_operation(conn, hold.operation_id).await?;
    let one = all.iter().find(|step| step.number() == number).cloned().ok_or(JournalError::NoStep(number))?;
    Ok((all, one))
}

fn replace(all: &mut [Step], one: &Step) {
    for step in all.iter_mut().filter(|step| step.number == one.number) {
        step.clone_from(one);
    }
}
