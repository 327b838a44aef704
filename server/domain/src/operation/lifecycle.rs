//! The lives of upgrade records, installations and publications.

use super::OperationState;
use crate::spelling::spelled;

/// A state in which something cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} {what} that is {from} cannot be {action}", article(what))]
pub struct InvalidTransition {
    /// What has the state.
    pub what: &'static str,
    /// The state that it is in.
    pub from: &'static str,
    /// What was to be done to it, as a participle.
    pub action: &'static str,
}

spelled! {
    /// Where an upgrade or rollback is, for one component and for the whole.
    "state of an upgrade" enum UpgradeState {
        /// Recorded, nothing is applied yet.
        Pending = "PENDING",
        /// Being applied.
        Running = "RUNNING",
        /// All of it was applied and is healthy.
        Succeeded = "SUCCEEDED",
        /// Some components succeeded and some did not.
        Partial = "PARTIAL",
        /// No component succeeded.
        Failed = "FAILED",
        /// A later rollback took it back, and succeeded.
        RolledBack = "ROLLED_BACK",
    }

    /// Where an installation is.
    "state of an installation" enum InstallationState {
        /// It is being brought into its cluster.
        Installing = "INSTALLING",
        /// All of it is at its version.
        Installed = "INSTALLED",
        /// Some of its components are not what its last change wanted.
        Partial = "PARTIAL",
        /// Its last change failed as a whole.
        Failed = "FAILED",
        /// It is being taken to another version.
        Upgrading = "UPGRADING",
        /// It is being taken back to a snapshot.
        RollingBack = "ROLLING_BACK",
        /// It is being deleted.
        Uninstalling = "UNINSTALLING",
    }

    /// Where a publication is.
    "state of a publication" enum PublicationState {
        /// Stored; the sync has not begun.
        Draft = "DRAFT",
        /// Its images are being copied.
        Syncing = "SYNCING",
        /// The library has all of its images.
        Synced = "SYNCED",
        /// Confirmed: the version is visible.
        Published = "PUBLISHED",
        /// An image could not be copied.
        Failed = "FAILED",
        /// Given up.
        Abandoned = "ABANDONED",
    }
}

impl UpgradeState {
    /// Its operation begins to apply it.
    pub fn start(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Pending => Ok(Self::Running),
            _ => Err(refuse("upgrade record", self.as_str(), "started")),
        }
    }

    /// It was applied, as far as it could be. What was cancelled counts as it would if it had failed: `outcome` is
    /// that of [`super::record_state`].
    pub fn finish(self, outcome: Self) -> Result<Self, InvalidTransition> {
        match (self, outcome) {
            (Self::Pending | Self::Running, Self::Succeeded | Self::Partial | Self::Failed) => Ok(outcome),
            _ => Err(refuse("upgrade record", self.as_str(), "finished")),
        }
    }

    /// What failed of it is planned again and run.
    pub fn retry(self) -> Result<Self, InvalidTransition> {
        if self.can_retry() { Ok(Self::Running) } else { Err(refuse("upgrade record", self.as_str(), "retried")) }
    }

    /// A rollback of it has succeeded. Until then it stays what it was.
    pub fn rolled_back(self) -> Result<Self, InvalidTransition> {
        if self.can_roll_back() {
            Ok(Self::RolledBack)
        } else {
            Err(refuse("upgrade record", self.as_str(), "rolled back"))
        }
    }

    /// Whether something of it failed.
    pub fn can_retry(self) -> bool {
        matches!(self, Self::Partial | Self::Failed)
    }

    /// Whether it is finished and was not taken back yet: after success, partial success and failure alike.
    pub fn can_roll_back(self) -> bool {
        matches!(self, Self::Succeeded | Self::Partial | Self::Failed)
    }
}

impl InstallationState {
    /// Its last change came to its end.
    pub fn settle(self, outcome: OperationState) -> Result<Self, InvalidTransition> {
        if !matches!(self, Self::Installing | Self::Upgrading | Self::RollingBack | Self::Uninstalling) {
            return Err(refuse("installation", self.as_str(), "settled"));
        }
        match outcome {
            // What was uninstalled is no installation any more.
            OperationState::Succeeded if self == Self::Uninstalling => {
                Err(refuse("installation", self.as_str(), "settled as a success"))
            }
            OperationState::Succeeded => Ok(Self::Installed),
            OperationState::Partial | OperationState::Cancelled => Ok(Self::Partial),
            OperationState::Failed => Ok(Self::Failed),
            OperationState::Queued | OperationState::Running => {
                Err(refuse("installation", self.as_str(), "settled by an operation that has not ended"))
            }
        }
    }

    /// A first installation that did not succeed is tried again.
    pub fn retry_install(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Partial | Self::Failed => Ok(Self::Installing),
            _ => Err(refuse("installation", self.as_str(), "installed again")),
        }
    }

    /// An upgrade begins.
    pub fn upgrade(self) -> Result<Self, InvalidTransition> {
        if self.is_at_rest() { Ok(Self::Upgrading) } else { Err(refuse("installation", self.as_str(), "upgraded")) }
    }

    /// A rollback begins, after an upgrade that may still hold the application.
    pub fn roll_back(self) -> Result<Self, InvalidTransition> {
        if self.is_at_rest() || self == Self::Upgrading {
            Ok(Self::RollingBack)
        } else {
            Err(refuse("installation", self.as_str(), "rolled back"))
        }
    }

    /// Its deletion begins.
    pub fn uninstall(self) -> Result<Self, InvalidTransition> {
        if self.is_at_rest() {
            Ok(Self::Uninstalling)
        } else {
            Err(refuse("installation", self.as_str(), "uninstalled"))
        }
    }

    /// Whether no operation changes it.
    pub fn is_at_rest(self) -> bool {
        matches!(self, Self::Installed | Self::Partial | Self::Failed)
    }
}

impl PublicationState {
    /// The sync of its images begins.
    pub fn sync(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Draft => Ok(Self::Syncing),
            _ => Err(refuse("publication", self.as_str(), "synchronized")),
        }
    }

    /// The library has all of its images.
    pub fn synced(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Syncing => Ok(Self::Synced),
            _ => Err(refuse("publication", self.as_str(), "completed")),
        }
    }

    /// An image could not be copied.
    pub fn fail(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Syncing => Ok(Self::Failed),
            _ => Err(refuse("publication", self.as_str(), "failed")),
        }
    }

    /// What is missing is copied again.
    pub fn retry(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Failed => Ok(Self::Syncing),
            _ => Err(refuse("publication", self.as_str(), "retried")),
        }
    }

    /// A person confirms it: from here on the version can be installed.
    pub fn publish(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Synced => Ok(Self::Published),
            _ => Err(refuse("publication", self.as_str(), "confirmed")),
        }
    }

    /// A person gives it up.
    pub fn abandon(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Draft | Self::Syncing | Self::Synced | Self::Failed => Ok(Self::Abandoned),
            Self::Published | Self::Abandoned => Err(refuse("publication", self.as_str(), "abandoned")),
        }
    }
}

pub(super) fn refuse(what: &'static str, from: &'static str, action: &'static str) -> InvalidTransition {
    InvalidTransition { what, from, action }
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Step<S> = (&'static str, fn(S) -> Result<S, InvalidTransition>);

    /// The name of every state, and where each step leads from it.
    fn table<S: Copy + std::fmt::Display>(states: &[S], steps: &[Step<S>]) -> String {
        let mut lines = Vec::new();
        for &state in states {
            for (name, step) in steps {
                if let Ok(next) = step(state) {
                    lines.push(format!("{state} {name} {next}"));
                }
            }
        }
        lines.join("\n")
    }

    #[test]
    fn a_publication_goes_its_way_and_no_other() {
        let steps: [Step<PublicationState>; 6] = [
            ("sync", PublicationState::sync),
            ("synced", PublicationState::synced),
            ("fail", PublicationState::fail),
            ("retry", PublicationState::retry),
            ("publish", PublicationState::publish),
            ("abandon", PublicationState::abandon),
        ];
        insta::assert_snapshot!(table(PublicationState::ALL, &steps), @r"
        DRAFT sync SYNCING
        DRAFT abandon ABANDONED
        SYNCING synced SYNCED
        SYNCING fail FAILED
        SYNCING abandon ABANDONED
        SYNCED publish PUBLISHED
        SYNCED abandon ABANDONED
        FAILED retry SYNCING
        FAILED abandon ABANDONED
        ");
    }

    #[test]
    fn a_record_can_be_rolled_back_after_success_partial_success_and_failure() {
        let steps: [Step<UpgradeState>; 3] =
            [("start", UpgradeState::start), ("retry", UpgradeState::retry), ("roll-back", UpgradeState::rolled_back)];
        insta::assert_snapshot!(table(UpgradeState::ALL, &steps), @r"
        PENDING start RUNNING
        SUCCEEDED roll-back ROLLED_BACK
        PARTIAL retry RUNNING
        PARTIAL roll-back ROLLED_BACK
        FAILED retry RUNNING
        FAILED roll-back ROLLED_BACK
        ");
        assert_eq!(UpgradeState::Running.finish(UpgradeState::Partial), Ok(UpgradeState::Partial));
        assert!(UpgradeState::Running.finish(UpgradeState::RolledBack).is_err());
        assert!(UpgradeState::RolledBack.finish(UpgradeState::Succeeded).is_err());
    }

    #[test]
    fn an_installation_changes_by_one_operation_at_a_time() {
        let steps: [Step<InstallationState>; 4] = [
            ("retry", InstallationState::retry_install),
            ("upgrade", InstallationState::upgrade),
            ("roll-back", InstallationState::roll_back),
            ("uninstall", InstallationState::uninstall),
        ];
        insta::assert_snapshot!(table(InstallationState::ALL, &steps), @r"
        INSTALLED upgrade UPGRADING
        INSTALLED roll-back ROLLING_BACK
        INSTALLED uninstall UNINSTALLING
        PARTIAL retry INSTALLING
        PARTIAL upgrade UPGRADING
        PARTIAL roll-back ROLLING_BACK
        PARTIAL uninstall UNINSTALLING
        FAILED retry INSTALLING
        FAILED upgrade UPGRADING
        FAILED roll-back ROLLING_BACK
        FAILED uninstall UNINSTALLING
        UPGRADING roll-back ROLLING_BACK
        ");
        for (outcome, state) in [
            (OperationState::Succeeded, Some(InstallationState::Installed)),
            (OperationState::Partial, Some(InstallationState::Partial)),
            (OperationState::Cancelled, Some(InstallationState::Partial)),
            (OperationState::Failed, Some(InstallationState::Failed)),
            (OperationState::Running, None),
        ] {
            assert_eq!(InstallationState::Upgrading.settle(outcome).ok(), state, "{outcome}");
            assert!(InstallationState::Installed.settle(outcome).is_err());
        }
        assert!(InstallationState::Uninstalling.settle(OperationState::Succeeded).is_err());
        assert_eq!(InstallationState::Uninstalling.settle(OperationState::Failed), Ok(InstallationState::Failed));
    }
}
