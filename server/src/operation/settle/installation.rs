//! What the end of an installation, an upgrade, a rollback or an uninstallation means for rows.

use crate::{
    error::Result,
    id::VersionId,
    operation::{Action, retry},
    store::{
        Conn, Instant, Key, Stored, Word, application_lock, component,
        installation::{self, Installation},
        operation::Operation,
        record::{self, ComponentOutcome, Record, RecordKind},
        resource,
        step::Step,
    },
};
use ropeway_domain::{
    Change, ComponentKey, Decision, ResourceKey,
    change::Owner,
    installed::VersionRef,
    operation::{OperationState, StepState, UpgradeState, record_state},
};
use std::collections::{BTreeMap, BTreeSet};

/// A first installation ended.
pub(super) async fn installed(
    conn: &mut Conn,
    operation: &Operation,
    steps: &[Step],
    outcome: OperationState,
) -> Result<()> {
    let Some(found) = find(conn, operation).await? else { return Ok(()) };
    // What an earlier attempt brought there counts as well.
    let mut states = BTreeSet::from([outcome_of(outcome == OperationState::Succeeded && all_succeeded(steps))]);
    let rows = component::of_applications(conn, &[found.application_id]).await?;
    let own = rows.iter().filter(|row| row.installation_id == Some(found.id));
    states.extend(own.map(|row| outcome_of(row.deployed.is_some())));
    let resources = resource::of_applications(conn, &[found.application_id]).await?;
    let own = resources.iter().filter(|row| row.installation_id == Some(found.id));
    states.extend(own.map(|row| outcome_of(row.deployed.is_some())));
    let state = found.state.0.settle(as_operation(whole_of(&states)))?;
    installation::update(conn, &Installation { state: Word(state), ..found }).await?;
    Ok(())
}

/// What was uninstalled is gone, or what is left of it stays listed.
pub(super) async fn uninstalled(
    conn: &mut Conn,
    operation: &Operation,
    steps: &[Step],
    outcome: OperationState,
    now: Instant,
) -> Result<()> {
    let Some(found) = find(conn, operation).await? else { return Ok(()) };
    let ended = match outcome {
        OperationState::Succeeded => Installation {
            uninstalled_at: Some(now),
            // Whose volumes went with it left nothing that could be taken over.
            ended_as: found.ended_as.clone().filter(|_| !retry::deletes_claims(steps)),
            ..found
        },
        outcome => Installation { state: Word(found.state.0.settle(outcome)?), ..found },
    };
    installation::update(conn, &ended).await?;
    Ok(())
}

/// An upgrade or a rollback ended. An upgrade that failed and is to be rolled back keeps the application.
pub(super) async fn upgraded(
    conn: &mut Conn,
    operation: &Operation,
    steps: &[Step],
    outcome: OperationState,
) -> Result<()> {
    let Some(found) = find(conn, operation).await? else { return Ok(()) };
    let record = match operation.record_id {
        Some(id) => record::find(conn, id).await?,
        None => None,
    };
    let Some(record) = record else { return Ok(()) };
    let here = component::of_applications(conn, &[found.application_id]).await?;
    let here: BTreeSet<ComponentKey> = here.iter().map(|row| row.key.0).collect();
    let outcomes = outcomes(&record, &here, steps);
    let whole = judged(&outcomes, steps, outcome);
    record::update(conn, record.id, record.state.0.finish(whole)?, &outcomes).await?;
    let failed = Failed::of(&record, &outcomes, steps);
    if whole != UpgradeState::Failed {
        move_rows(conn, &record, &failed).await?;
    }
    let mut after = Installation { state: Word(found.state.0.settle(as_operation(whole))?), ..found };
    if whole == UpgradeState::Succeeded && record.request.0.completes {
        after.version_id = record.to_version_id;
    }
    if whole != UpgradeState::Failed {
        let of = match record.rollback_of {
            Some(id) => record::find(conn, id).await?,
            None => None,
        };
        let new = match (&record.kind.0, &of) {
            (RecordKind::Rollback, Some(of)) => of.snapshot.0.kept_changes.clone(),
            (RecordKind::Rollback, None) => Vec::new(),
            (RecordKind::Upgrade, _) => {
                record.changes.0.iter().filter(|one| one.decision == Decision::Keep).cloned().collect()
            }
        };
        after.kept_changes = Stored(kept(&after.kept_changes.0, &new, &failed));
        if whole == UpgradeState::Succeeded
            && let Some(of) = of
        {
            take_back(conn, &record, &of).await?;
        }
    }
    installation::update(conn, &after).await?;
    let rolls_back = whole != UpgradeState::Succeeded
        && outcome != OperationState::Cancelled
        && record.kind.0 == RecordKind::Upgrade
        && record.request.0.roll_back_on_failure;
    if rolls_back && let Some(application) = operation.application_id {
        // A service plans the rollback; nobody else changes the application in between.
        application_lock::take(conn, application, operation.id, None).await?;
    }
    Ok(())
}

async fn find(conn: &mut Conn, operation: &Operation) -> Result<Option<Installation>> {
    match operation.installation_id {
        Some(id) => Ok(installation::find(conn, id).await?),
        None => Ok(None),
    }
}

/// What did not get to the version that a record wrote, by template key.
struct Failed {
    components: BTreeSet<ComponentKey>,
    resources: BTreeSet<ResourceKey>,
}

impl Failed {
    fn of(record: &Record, outcomes: &[ComponentOutcome], steps: &[Step]) -> Self {
        let components: BTreeSet<ComponentKey> =
            outcomes.iter().filter(|one| one.state != UpgradeState::Succeeded).map(|one| one.key).collect();
        let left = retry::left(steps).resources;
        // Resources move with the last component.
        let stays = |own: &ResourceKey| !components.is_empty() || left.contains(own);
        let written = record.written.0.resources.iter();
        let resources = written.filter(|(_, one)| stays(&one.own_key)).map(|(key, _)| *key).collect();
        Self { components, resources }
    }
}

/// What stays listed as kept: of what did not get to the version, what was listed before; of all else, what is new.
fn kept(before: &[Change], new: &[Change], failed: &Failed) -> Vec<Change> {
    let stays = |change: &&Change| match change.owner {
        Owner::Component(key) => failed.components.contains(&key),
        Owner::Resource(key) => failed.resources.contains(&key),
    };
    let old = before.iter().filter(stays);
    old.chain(new.iter().filter(|change| !stays(change))).cloned().collect()
}

/// The record is taken back, and with it those that came after it.
async fn take_back(conn: &mut Conn, by: &Record, of: &Record) -> Result<()> {
    for one in record::between(conn, of.installation_id, of.sequence, by.sequence).await? {
        if one.state.0.can_roll_back() {
            record::update(conn, one.id, one.state.0.rolled_back()?, &one.outcomes.0).await?;
        }
    }
    Ok(())
}

/// Whether all, some or none of it succeeded, earlier attempts included. That a namespace was found is no success.
fn judged(outcomes: &[ComponentOutcome], steps: &[Step], outcome: OperationState) -> UpgradeState {
    let mut states: BTreeSet<UpgradeState> =
        outcomes.iter().map(|one| outcome_of(one.state == UpgradeState::Succeeded)).collect();
    let of_resource = |step: &&Step| {
        step.component_key.is_none() && !matches!(serde_json::from_slice(&step.action), Ok(Action::EnsureNamespace(_)))
    };
    states.extend(steps.iter().filter(of_resource).map(|step| outcome_of(step.state.0 == StepState::Succeeded)));
    if outcome != OperationState::Succeeded && states.iter().all(|state| *state == UpgradeState::Succeeded) {
        // Nothing of it failed, and yet it did not succeed: it was cancelled, or did not even find its namespace.
        let began = steps.iter().any(|step| step.state.0 == StepState::Succeeded);
        return if began || !states.is_empty() { UpgradeState::Partial } else { UpgradeState::Failed };
    }
    whole_of(&states)
}

fn all_succeeded(steps: &[Step]) -> bool {
    steps.iter().all(|step| step.state.0 == StepState::Succeeded)
}

fn outcome_of(succeeded: bool) -> UpgradeState {
    if succeeded { UpgradeState::Succeeded } else { UpgradeState::Failed }
}

/// One state of many: all succeeded, all failed, or some of each.
fn whole_of(states: &BTreeSet<UpgradeState>) -> UpgradeState {
    match (states.contains(&UpgradeState::Succeeded), states.contains(&UpgradeState::Failed)) {
        (_, false) => UpgradeState::Succeeded,
        (false, true) => UpgradeState::Failed,
        (true, true) => UpgradeState::Partial,
    }
}

fn as_operation(state: UpgradeState) -> OperationState {
    match state {
        UpgradeState::Succeeded => OperationState::Succeeded,
        UpgradeState::Failed => OperationState::Failed,
        _ => OperationState::Partial,
    }
}

/// How it went for each component, those of an earlier attempt included. A component that a person deleted since is
/// waited for no more.
fn outcomes(record: &Record, here: &BTreeSet<ComponentKey>, steps: &[Step]) -> Vec<ComponentOutcome> {
    let by_own: BTreeMap<ComponentKey, ComponentKey> =
        record.written.0.components.iter().map(|(key, one)| (one.own_key, *key)).collect();
    let states = steps.iter().filter_map(|step| {
        let key = by_own.get(&step.component_key?.0)?;
        Some((*key, step.state.0))
    });
    let (_, states) = record_state(states);
    let error = |key: ComponentKey| {
        let of = steps.iter().filter(|step| {
            step.component_key.and_then(|own| by_own.get(&own.0)) == Some(&key) && step.state.0 != StepState::Succeeded
        });
        of.into_iter().find_map(|step| step.error.clone())
    };
    let own = |key: &ComponentKey| record.written.0.components.get(key).map(|one| one.own_key);
    let is_here = |one: &&ComponentOutcome| own(&one.key).is_none_or(|own| here.contains(&own));
    record
        .outcomes
        .0
        .iter()
        .filter(is_here)
        .map(|before| match states.get(&before.key) {
            Some(state) => ComponentOutcome {
                state: *state,
                error: if *state == UpgradeState::Succeeded { None } else { error(before.key) },
                ..before.clone()
            },
            None => before.clone(),
        })
        .collect()
}

/// Components and resources are at the versions that the record wrote, but for those that failed.
async fn move_rows(conn: &mut Conn, record: &Record, failed: &Failed) -> Result<()> {
    let id = |version: &Option<VersionRef>| version.as_ref().map(|version| VersionId::new(version.id));
    for (key, component) in &record.written.0.components {
        if !failed.components.contains(key) {
            let (own, version) = (Key(component.own_key), id(&component.version));
            component::set_version(conn, record.application_id, own, version).await?;
        }
    }
    for (key, one) in &record.written.0.resources {
        if !failed.resources.contains(key) {
            resource::set_version(conn, record.application_id, Key(one.own_key), id(&one.version)).await?;
        }
    }
    Ok(())
}
