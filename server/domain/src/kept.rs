//! What upgrades kept, and its acceptance later.

use crate::{
    change::{Change, ChangeId, ChangeKind, Decision, Owner},
    install::Fresh,
    installed::{Installed, VersionRef},
    key::{ComponentKey, ResourceKey, SecretId},
    model::Slug,
    secrets::SuppliedValues,
    upgrade::{UpgradeError, UpgradeInput, UpgradeOutcome, run},
    version::VersionContent,
};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What the acceptance of kept changes is decided from.
#[derive(Debug, Clone, Copy)]
pub struct AcceptInput<'a> {
    /// The desired state now.
    pub installed: &'a Installed,
    /// The version that the installation as a whole is at.
    pub installation: &'a VersionRef,
    /// The content of every version that the installation or anything in it is at, by the revision's id.
    pub contents: &'a BTreeMap<Uuid, &'a VersionContent>,
    /// What upgrades kept.
    pub kept: &'a [Change],
    /// What a person accepts of it.
    pub accept: &'a BTreeSet<ChangeId>,
    /// The values that accepted changes ask for.
    pub supplied: &'a SuppliedValues,
}

/// Accepts kept changes. Nothing moves to another version; whatever is not accepted and still true stays listed.
pub fn accept_kept(input: &AcceptInput<'_>, fresh: &mut Fresh<'_>) -> Result<UpgradeOutcome, UpgradeError> {
    let missing =
        || UpgradeError::NoContent { owner: "the installation".to_owned(), version: input.installation.clone() };
    let target = input.contents.get(&input.installation.id).copied().ok_or_else(missing)?;
    let input = UpgradeInput {
        installed: input.installed,
        installation: input.installation,
        contents: input.contents,
        target,
        target_ref: input.installation,
        selection: None,
        accept: input.accept,
        kept: input.kept,
        supplied: input.supplied,
    };
    run(&input, false, fresh)
}

/// The kept changes that are still true: an edit may have made one true to its version, or given it another before.
pub fn still_kept(
    installed: &Installed,
    installation: &VersionRef,
    contents: &BTreeMap<Uuid, &VersionContent>,
    kept: &[Change],
) -> Result<Vec<Change>, UpgradeError> {
    let (accept, supplied) = (BTreeSet::new(), SuppliedValues::new());
    let input = AcceptInput { installed, installation, contents, kept, accept: &accept, supplied: &supplied };
    // Nothing is accepted, so nothing is created.
    let nil = Uuid::nil();
    let mut fresh = Fresh {
        component: &mut |slug: &Slug| (ComponentKey(nil), slug.to_string()),
        resource: &mut || ResourceKey(nil),
        secret: &mut || SecretId(nil),
    };
    let found = accept_kept(&input, &mut fresh)?.changes;
    Ok(kept.iter().filter_map(|change| still(change, installed, &found)).collect())
}

/// A kept change as it is now, by the differences that there are; none where there is none any more.
fn still(kept: &Change, installed: &Installed, found: &[Change]) -> Option<Change> {
    let is_here = match kept.owner {
        Owner::Component(key) => installed.components.contains_key(&key),
        Owner::Resource(key) => installed.resources.contains_key(&key),
    };
    // What is no longer in a version, or was deleted here, stays so until an upgrade looks at it again.
    if matches!(kept.path.as_str(), "component" | "resource") {
        let was_here = kept.kind == ChangeKind::Remove;
        return (was_here == is_here).then(|| kept.clone());
    }
    let of_owner = || found.iter().filter(|change| change.owner == kept.owner);
    if let Some(now) = of_owner().find(|change| change.path == kept.path) {
        // What stood in its way may be gone; it is not done for that.
        return Some(if now.decision == Decision::Keep { now.clone() } else { kept.clone() });
    }
    let part = format!("{}/", kept.path);
    of_owner().any(|change| change.path.starts_with(&part)).then(|| kept.clone())
}
