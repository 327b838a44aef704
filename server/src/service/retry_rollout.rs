//! Running again what failed of an installation, an upgrade or a rollback: planned again from what is there, since a
//! stale manifest is never applied again.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result, UserError},
    graphql::id::encode_text,
    id::{OperationId, RecordId},
    operation::{
        journal::{self, NewOperation},
        retry,
    },
    service::{
        audit::{self, Act, Subject, audited},
        authorize,
        dry_run::{Accepted, Taking},
        execute::{self, Observed},
        rollout::{Scope, refuse_blocked},
        state::{ApplicationState, Side},
    },
    store::{
        Word, application, component,
        installation::{self, Installation},
        operation::Operation,
        record::{self, ComponentOutcome, Record},
        step::{self, Step},
    },
};
use ropeway_domain::{
    ComponentKey, ResourceKey,
    access::TeamAction,
    operation::{OperationKind, UpgradeState},
};
use std::collections::BTreeSet;

/// Runs again what failed of the first installation of an operation.
pub async fn retry_installation(app: &App, actor: &Actor, failed: &Operation) -> Result<Operation> {
    let act = Act::new("retryOperation", Subject::Operation(failed.id), encode_text(failed.id));
    audited(app, actor, act, async || {
        let mut conn = app.database.read().await?;
        let id = failed.installation_id.ok_or(Error::NotFound("the installation"))?;
        let (installation, application) =
            authorize::installation(&mut conn, actor, id, TeamAction::ControlOperations).await?;
        execute::check_not_ending(&installation)?;
        if record::newest(&mut conn, id).await?.is_some() {
            let message = "the installation was upgraded since; retry its newest record";
            return Err(UserError::new("NEWER_RECORD", message).into());
        }
        let steps = step::of_operation(&mut conn, failed.id).await?;
        let observed = Observed::load(app, conn, application).await?;
        again(app, actor, "retryOperation", &observed, installation, None, Some(failed.id), &steps).await
    })
    .await
}

/// Runs again what failed of an upgrade or a rollback.
pub async fn retry_upgrade(app: &App, actor: &Actor, id: RecordId) -> Result<(Record, Operation)> {
    let act = Act::new("retryUpgrade", Subject::Record(id), encode_text(id));
    audited(app, actor, act, async || {
        let mut conn = app.database.read().await?;
        let (record, installation, application) =
            authorize::record(&mut conn, actor, id, TeamAction::ControlOperations).await?;
        if installation.uninstalled_at.is_some() {
            let message = "its installation was uninstalled; there is nothing to run again";
            return Err(Error::invalid("CANNOT_RETRY", ["recordId"], message));
        }
        execute::check_not_ending(&installation)?;
        let newest = record::newest(&mut conn, installation.id).await?;
        if let Some(newest) = newest.filter(|newest| newest.sequence > record.sequence) {
            let message = "there is a newer record; retry that, or upgrade again";
            return Err(UserError::new("NEWER_RECORD", message).naming(encode_text(newest.id)).into());
        }
        let failed = record.operation_id;
        let steps = match failed {
            Some(id) => step::of_operation(&mut conn, id).await?,
            None => Vec::new(),
        };
        let observed = Observed::load(app, conn, application).await?;
        let operation =
            again(app, actor, "retryUpgrade", &observed, installation, Some(&record), failed, &steps).await?;
        Ok((record, operation))
    })
    .await
}

/// What an operation left undone: what failed or never ran of its steps, and the components that an earlier attempt at
/// the same record did not bring there. Nothing else that is desired goes along.
fn unfinished(state: &ApplicationState, installation: &Installation, record: Option<&Record>, steps: &[Step]) -> Scope {
    let left = retry::left(steps);
    let of_record = record.into_iter().flat_map(Record::unfinished).filter_map(|key| {
        let row = state.components.values().find(|row| row.template_key.map(|of| of.0) == Some(key));
        row.filter(|row| row.installation_id == Some(installation.id)).map(|row| row.key.0)
    });
    let is_desired = |key: &ComponentKey| state.components.get(key).is_some_and(|row| row.desired.is_some());
    let is_wanted = |key: &ResourceKey| state.resources.get(key).is_some_and(|row| row.desired.is_some());
    let (components, gone_components) = left.components.into_iter().chain(of_record).partition(is_desired);
    let (resources, gone_resources) = left.resources.into_iter().partition(is_wanted);
    let doomed_claims = retry::doomed_claims(steps);
    Scope { components, resources, gone_components, gone_resources, doomed_claims, ..Scope::default() }
}

/// The outcomes of a record, once Jobs count that ran already as they are desired.
fn with_finished(record: &Record, jobs: &BTreeSet<ComponentKey>) -> Vec<ComponentOutcome> {
    let is_done = |one: &ComponentOutcome| {
        record.written.0.components.get(&one.key).is_some_and(|component| jobs.contains(&component.own_key))
    };
    let outcomes = record.outcomes.0.iter().cloned();
    outcomes
        .map(
            |one| {
                if is_done(&one) {
                    ComponentOutcome { state: UpgradeState::Succeeded, error: None, ..one }
                } else {
                    one
                }
            },
        )
        .collect()
}

#[expect(clippy::too_many_arguments, reason = "each is a part of what is tried again")]
async fn again(
    app: &App,
    actor: &Actor,
    action: &str,
    observed: &Observed,
    installation: Installation,
    record: Option<&Record>,
    failed: Option<OperationId>,
    steps: &[Step],
) -> Result<Operation> {
    let state = &observed.state;
    let application = &state.application;
    if let Some(operation) = application.locked_by {
        return Err(execute::busy(operation));
    }
    let mut scope = unfinished(state, &installation, record, steps);
    let desired = state.whole(Side::Desired);
    let finished_jobs = scope.leave_finished_jobs(state, &desired);
    let revision = execute::revision(installation.generation + 1, Some(installation.id));
    let mut accepted = record.map(|record| record.request.0.accepted.clone()).unwrap_or_default();
    accepted.extend(retry::agreed(steps));
    let accepted = Accepted { ids: &accepted, earlier: true };
    let (rollout, findings) = observed.roll_out(&desired, &scope, &revision, Taking::Changes, accepted).await?;
    let mut blockers = observed.cluster_blockers();
    blockers.extend(rollout.blockers.iter().cloned());
    blockers.extend(findings.blockers);
    blockers.sort();
    blockers.dedup();
    let deadline = record
        .map_or(app.config.operations.progress_deadline_seconds, |record| record.request.0.progress_deadline_seconds);
    let steps = observed.steps(&desired, &rollout, &scope, deadline);
    let steps = steps.map_err(|error| Error::Invalid(vec![UserError::new("CYCLE", error.to_string())]))?;
    refuse_blocked(&blockers)?;

    let now = app.clock.now();
    let (kind, next) = match record.map(|record| record.kind.0) {
        None => (OperationKind::Install, installation.state.0.retry_install()?),
        Some(record::RecordKind::Upgrade) => (OperationKind::Upgrade, installation.state.0.upgrade()?),
        Some(record::RecordKind::Rollback) => (OperationKind::Rollback, installation.state.0.roll_back()?),
    };
    let mut conn = app.database.write().await?;
    let operation = conn
        .transaction(async |conn| {
            let current = installation::find(conn, installation.id).await?;
            if current.is_none_or(|current| current.generation != installation.generation)
                || !application::advance(conn, application.id, application.generation).await?
            {
                return Err(execute::changed_meanwhile());
            }
            observed.check_surroundings(conn).await?;
            installation::update(conn, &Installation { state: Word(next), ..installation.clone() }).await?;
            for job in &finished_jobs {
                component::set_deployed(conn, application.id, &desired.components[job].spec).await?;
            }
            if let Some(record) = record {
                let outcomes = with_finished(record, &finished_jobs);
                record::update(conn, record.id, record.state.0.retry()?, &outcomes).await?;
            }
            let new = NewOperation {
                installation_id: Some(installation.id),
                record_id: record.map(|record| record.id),
                retry_of: failed,
                plan_digest: record.map(|record| record.plan_digest.clone()),
                ..NewOperation::in_application(kind, application, &actor.display_name, steps)
            };
            let operation = journal::begin(conn, new, now).await.map_err(execute::begin_error)?;
            if let Some(record) = record {
                record::set_operation(conn, record.id, operation.id).await?;
            }
            let (enterprise, object) = (Some(application.enterprise_id), Some(encode_text(installation.id)));
            audit::done(conn, actor, now, action, enterprise, object, None).await?;
            Ok::<_, Error>(operation)
        })
        .await?;
    drop(conn);
    execute::wake(app, &operation);
    Ok(operation)
}
