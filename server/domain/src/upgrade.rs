//! Upgrades, and the acceptance of what earlier upgrades kept: from the versions that components are at to another
//! one, over what was edited here.

mod run;

pub use crate::merge::AcceptError;

use crate::{
    change::{Change, ChangeId, Decision},
    install::Fresh,
    installed::{Installed, VersionRef},
    key::{ComponentKey, ResourceKey},
    plan::{AskedValue, Blocker},
    secrets::{NewSecret, SuppliedValues},
    version::VersionContent,
};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What an upgrade is decided from.
#[derive(Debug, Clone, Copy)]
pub struct UpgradeInput<'a> {
    /// The desired state now.
    pub installed: &'a Installed,
    /// The version that the installation as a whole is at.
    pub installation: &'a VersionRef,
    /// The content of every version that the installation or anything in it is at, by the revision's id.
    pub contents: &'a BTreeMap<Uuid, &'a VersionContent>,
    /// What is gone to.
    pub target: &'a VersionContent,
    /// The revision that that is.
    pub target_ref: &'a VersionRef,
    /// The components that go there, by template key; none: all.
    pub selection: Option<&'a BTreeSet<ComponentKey>>,
    /// The offered changes that a person accepts.
    pub accept: &'a BTreeSet<ChangeId>,
    /// What earlier upgrades kept: it is offered again while it is true.
    pub kept: &'a [Change],
    /// The values that the version asks for.
    pub supplied: &'a SuppliedValues,
}

/// What an upgrade comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradeOutcome {
    /// The desired state afterwards. Values that are still asked for are missing in it.
    pub after: Installed,
    /// Every difference, applied or kept.
    pub changes: Vec<Change>,
    /// What is generated when the plan is committed.
    pub new_secrets: Vec<NewSecret>,
    /// What has to be supplied before.
    pub asks: Vec<AskedValue>,
    /// What stands in the way.
    pub blockers: Vec<Blocker>,
    /// What does not stop it.
    pub warnings: Vec<String>,
    /// The components whose objects must be applied: those that change, and those whose environment follows from one
    /// that changes.
    pub apply: BTreeSet<ComponentKey>,
    /// The resources that must be applied, or deleted where [`UpgradeOutcome::after`] no longer has them.
    pub apply_resources: BTreeSet<ResourceKey>,
    /// The components that have no counterpart in the version. They keep running.
    pub left: BTreeSet<ComponentKey>,
    /// Whether everything is at the version afterwards, so that the installation is.
    pub is_complete: bool,
}

/// Why an upgrade cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    /// Some accepted changes cannot be.
    #[error(transparent)]
    Accept(#[from] AcceptError),
    /// Components were chosen that neither the installation nor the version has.
    #[error("these components are neither installed nor in the version: {}", shown(keys))]
    UnknownSelection {
        /// As given.
        keys: Vec<ComponentKey>,
    },
    /// A chosen component needs a new one that was not chosen.
    #[error("choose these as well: {}", needs(missing))]
    UnselectedDependency {
        /// The names of the component that needs and of the one that is needed.
        missing: Vec<(String, String)>,
    },
    /// A version that something is at was not given.
    #[error("the content of version {} is missing, which {owner} is at", version.number)]
    NoContent {
        /// What is at it.
        owner: String,
        /// The version.
        version: VersionRef,
    },
}

/// Decides an upgrade. Without acceptances it changes no value of the environment, no content of a configuration file,
/// no volume and no number of replicas that exists here.
pub fn upgrade(input: &UpgradeInput<'_>, fresh: &mut Fresh<'_>) -> Result<UpgradeOutcome, UpgradeError> {
    run(input, true, fresh)
}

impl UpgradeOutcome {
    /// What is kept: it stays listed on the installation, and can be accepted at any time.
    pub fn kept(&self) -> Vec<Change> {
        self.changes.iter().filter(|change| change.decision == Decision::Keep).cloned().collect()
    }

    /// Whether nothing is applied. Such an upgrade is allowed, and recorded.
    pub fn applies_nothing(&self) -> bool {
        self.changes.iter().all(|change| change.decision == Decision::Keep)
    }
}

pub(crate) use run::{dependents, run};

fn shown(keys: &[ComponentKey]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn needs(missing: &[(String, String)]) -> String {
    missing.iter().map(|(one, other)| format!("{other} (needed by {one})")).collect::<Vec<_>>().join(", ")
}
