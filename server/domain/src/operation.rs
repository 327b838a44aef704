//! Operations, their steps, and the states of what they work on.
//!
//! An operation is a list of steps that is fixed when it begins. Which step may run next, what a failed step takes with
//! it and what the whole has come to are functions of the steps' states alone, so that any worker comes to the same
//! conclusion after any crash.

mod lifecycle;
mod steps;

pub use lifecycle::{InstallationState, InvalidTransition, PublicationState, UpgradeState};
pub use steps::{StepView, interrupted, next_steps, outcome, progress, record_state, skipped_by};

use crate::spelling::spelled;
use lifecycle::refuse;

spelled! {
    /// What an operation does.
    "kind of operation" enum OperationKind {
        /// Copies the images of a publication into the library.
        SyncImages = "SYNC_IMAGES",
        /// Brings a version into a cluster.
        Install = "INSTALL",
        /// Takes an installation to another version.
        Upgrade = "UPGRADE",
        /// Takes an installation back to the snapshot of a record.
        Rollback = "ROLLBACK",
        /// Brings an application's edits into its cluster.
        Deploy = "DEPLOY",
        /// Deletes what an installation owns.
        Uninstall = "UNINSTALL",
        /// Asks clusters whether they reach the library.
        Probe = "PROBE",
        /// Gives the namespaces of teams in a cluster what pulls from the library, when access to it has changed.
        OpenTeam = "OPEN_TEAM",
    }

    /// Where an operation is.
    "state of an operation" enum OperationState {
        /// No worker has taken it yet.
        Queued = "QUEUED",
        /// A worker holds its lease, or held it when it died.
        Running = "RUNNING",
        /// All of its steps succeeded.
        Succeeded = "SUCCEEDED",
        /// Some of its steps succeeded and some did not.
        Partial = "PARTIAL",
        /// None of its steps succeeded.
        Failed = "FAILED",
        /// A person stopped it before its end.
        Cancelled = "CANCELLED",
    }

    /// Where a step is.
    "state of a step" enum StepState {
        /// It has not run.
        Pending = "PENDING",
        /// It runs, or ran when its worker died.
        Running = "RUNNING",
        /// It did what it had to.
        Succeeded = "SUCCEEDED",
        /// It did not.
        Failed = "FAILED",
        /// It never ran, because one that it needs failed or because the operation was cancelled.
        Skipped = "SKIPPED",
    }
}

impl OperationState {
    /// A worker takes it for the first time. One that takes it over finds it running already.
    pub fn start(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Queued => Ok(Self::Running),
            _ => Err(refuse("operation", self.as_str(), "started")),
        }
    }

    /// It came to its end; `outcome` is that of [`outcome`].
    pub fn finish(self, outcome: Self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Running if outcome.is_finished() => Ok(outcome),
            _ => Err(refuse("operation", self.as_str(), "finished")),
        }
    }

    /// Stops it before its end. One that runs is cancelled once its running step has ended.
    pub fn cancel(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Queued | Self::Running => Ok(Self::Cancelled),
            _ => Err(refuse("operation", self.as_str(), "cancelled")),
        }
    }

    /// Whether it may be run again, as a new operation.
    pub fn can_retry(self) -> bool {
        matches!(self, Self::Partial | Self::Failed | Self::Cancelled)
    }

    /// Whether it has come to its end.
    pub fn is_finished(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl StepState {
    /// An attempt begins. A step that was left running by a worker that died begins another.
    pub fn start(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Pending | Self::Running => Ok(Self::Running),
            _ => Err(refuse("step", self.as_str(), "started")),
        }
    }

    /// The attempt did what it had to.
    pub fn succeed(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Running => Ok(Self::Succeeded),
            _ => Err(refuse("step", self.as_str(), "completed")),
        }
    }

    /// The last attempt did not.
    pub fn fail(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Running => Ok(Self::Failed),
            _ => Err(refuse("step", self.as_str(), "failed")),
        }
    }

    /// It will not run.
    pub fn skip(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Pending => Ok(Self::Skipped),
            _ => Err(refuse("step", self.as_str(), "skipped")),
        }
    }

    /// It shall run again. What succeeded never does.
    pub fn retry(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Failed | Self::Skipped => Ok(Self::Pending),
            _ => Err(refuse("step", self.as_str(), "retried")),
        }
    }

    /// Whether it has come to its end.
    pub fn is_finished(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read_back_and_is_that_of_serde() {
        for &kind in OperationKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        for &state in OperationState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        let error = "DONE".parse::<OperationState>().unwrap_err();
        assert_eq!(error.to_string(), "\"DONE\" is no state of an operation");
    }

    #[test]
    fn an_operation_ends_once() {
        use OperationState::{Cancelled, Failed, Queued, Running, Succeeded};
        assert_eq!(Queued.start(), Ok(Running));
        assert_eq!(Running.finish(Succeeded), Ok(Succeeded));
        assert_eq!(Queued.cancel(), Ok(Cancelled));
        assert!(Running.start().is_err());
        assert!(Running.finish(Queued).is_err());
        assert_eq!(Failed.finish(Succeeded).unwrap_err().to_string(), "an operation that is FAILED cannot be finished");
        for &ended in OperationState::ALL.iter().filter(|state| state.is_finished()) {
            assert!(ended.start().is_err() && ended.cancel().is_err() && ended.finish(Succeeded).is_err(), "{ended}");
        }
    }

    #[test]
    fn a_step_that_succeeded_never_runs_again() {
        assert!(StepState::Succeeded.start().is_err());
        assert!(StepState::Succeeded.retry().is_err());
        assert!(StepState::Succeeded.skip().is_err());
        assert_eq!(StepState::Failed.retry().and_then(StepState::start), Ok(StepState::Running));
        assert_eq!(StepState::Running.start(), Ok(StepState::Running), "after its worker died");
        assert!(StepState::Pending.succeed().is_err());
    }
}
