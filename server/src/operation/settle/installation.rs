//! What the end of an installation, an upgrade, a rollback or an uninstallation means for rows.

use crate::{
    error::Result,
    id::VersionId,
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
    ComponentKey, Decision,
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
    let outcome = match judged(steps, outcome) {
        UpgradeState::Succeeded => OperationState::Succeeded,
        UpgradeState::Failed => OperationState::Failed,
        _ => OperationState::Partial,
    };
    let state = found.state.0.settle(outcome)?;
    installation::update(conn, &Installation { state: Word(state), ..found }).await?;
    Ok(())
}

/// What was uninstalled is gone, or what is left of it stays listed.
pub(super) async fn uninstalled(
    conn: &mut Conn,
    operation: &Operation,
    outcome: OperationState,
    now: Instant,
) -> Result<()> {
    let Some(found) = find(conn, operation).await? else { return Ok(()) };
    let ended = match outcome {
        OperationState::Succeeded => Installation { uninstalled_at: Some(now), ..found },
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
    let whole = judged(steps, outcome);
    let outcomes = outcomes(&record, steps);
    record::update(conn, record.id, record.state.0.finish(whole)?, &outcomes).await?;
    let failed: BTreeSet<ComponentKey> =
        outcomes.iter().filter(|one| one.state != UpgradeState::Succeeded).map(|one| one.key).collect();
    if whole != UpgradeState::Failed {
        move_rows(conn, &record, &failed).await?;
    }
    let mut after = Installation { state: Word(found.state.0.settle(as_operation(whole))?), ..found };
    if whole == UpgradeState::Succeeded && record.request.0.completes {
        after.version_id = record.to_version_id;
        after.kept_changes = match record.kind.0 {
            RecordKind::Upgrade => {
                let kept = record.changes.0.iter().filter(|change| change.decision == Decision::Keep);
                Stored(kept.cloned().collect())
            }
            RecordKind::Rollback => {
                let of = match record.rollback_of {
                    Some(id) => record::find(conn, id).await?,
                    None => None,
                };
                Stored(of.map(|of| of.snapshot.0.kept_changes).unwrap_or_default())
            }
        };
    }
    if whole == UpgradeState::Succeeded
        && let Some(id) = record.rollback_of
        && let Some(of) = record::find(conn, id).await?
        && of.state.0.can_roll_back()
    {
        record::update(conn, of.id, of.state.0.rolled_back()?, &of.outcomes.0).await?;
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

/// Whether all, some or none of it succeeded. That a namespace was found is no success of an upgrade.
fn judged(steps: &[Step], outcome: OperationState) -> UpgradeState {
    if outcome == OperationState::Succeeded {
        return UpgradeState::Succeeded;
    }
    let counted: Vec<_> = steps
        .iter()
        .filter(|step| step.component_key.is_some() || step.state.0 != StepState::Succeeded)
        .map(|step| (step.component_key.map(|key| key.0), step.state.0))
        .collect();
    match record_state(counted).0 {
        // Nothing was left to fail, and yet it did not succeed: it was cancelled in between.
        UpgradeState::Succeeded => UpgradeState::Partial,
        state => state,
    }
}

fn as_operation(state: UpgradeState) -> OperationState {
    match state {
        UpgradeState::Succeeded => OperationState::Succeeded,
        UpgradeState::Failed => OperationState::Failed,
        _ => OperationState::Partial,
    }
}

/// How it went for each component, those of an earlier attempt included.
fn outcomes(record: &Record, steps: &[Step]) -> Vec<ComponentOutcome> {
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
    record
        .outcomes
        .0
        .iter()
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
async fn move_rows(conn: &mut Conn, record: &Record, failed: &BTreeSet<ComponentKey>) -> Result<()> {
    let id = |version: &Option<VersionRef>| version.as_ref().map(|version| VersionId::new(version.id));
    for (key, component) in &record.written.0.components {
        if !failed.contains(key) {
            let (own, version) = (Key(component.own_key), id(&component.version));
            component::set_version(conn, record.application_id, own, version).await?;
        }
    }
    if failed.is_empty() {
        for one in record.written.0.resources.values() {
            resource::set_version(conn, record.application_id, Key(one.own_key), id(&one.version)).await?;
        }
    }
    Ok(())
}
