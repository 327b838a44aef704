//! Running again what failed of an installation, an upgrade or a rollback: planned again from what is there, since a
//! stale manifest is never applied again.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result, UserError},
    graphql::id::encode_text,
    id::{OperationId, RecordId},
    operation::journal::{self, Lock, NewOperation},
    service::{
        audit::{self, Act, Subject, audited},
        authorize,
        execute::{self, Observed},
        rollout::{Scope, blocker, refuse_blocked},
        state::Side,
    },
    store::{
        Word, application,
        installation::{self, Installation},
        operation::{self as operations, Operation},
        record::{self, Record},
    },
};
use ropeway_domain::{access::TeamAction, operation::OperationKind};

/// Runs again what failed of the first installation of an operation.
pub async fn retry_installation(app: &App, actor: &Actor, failed: &Operation) -> Result<Operation> {
    let act = Act::new("retryOperation", Subject::Operation(failed.id), encode_text(failed.id));
    audited(app, actor, act, async || {
        let mut conn = app.database.read().await?;
        let id = failed.installation_id.ok_or(Error::NotFound("the installation"))?;
        let (installation, application) =
            authorize::installation(&mut conn, actor, id, TeamAction::ControlOperations).await?;
        if record::newest(&mut conn, id).await?.is_some() {
            let message = "the installation was upgraded since; retry its newest record";
            return Err(UserError::new("NEWER_RECORD", message).into());
        }
        let observed = Observed::load(app, conn, application).await?;
        again(app, actor, "retryOperation", &observed, installation, None, Some(failed.id)).await
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
        let newest = record::newest(&mut conn, installation.id).await?;
        if let Some(newest) = newest.filter(|newest| newest.sequence > record.sequence) {
            let message = "there is a newer record; retry that, or upgrade again";
            return Err(UserError::new("NEWER_RECORD", message).naming(encode_text(newest.id)).into());
        }
        let observed = Observed::load(app, conn, application).await?;
        let operation =
            again(app, actor, "retryUpgrade", &observed, installation, Some(&record), record.operation_id).await?;
        Ok((record, operation))
    })
    .await
}

async fn again(
    app: &App,
    actor: &Actor,
    action: &str,
    observed: &Observed,
    installation: Installation,
    record: Option<&Record>,
    failed: Option<OperationId>,
) -> Result<Operation> {
    let state = &observed.state;
    let application = &state.application;
    if let Some(operation) = application.locked_by {
        return Err(execute::busy(operation));
    }
    let belongs = |id: Option<crate::id::InstallationId>| id == Some(installation.id);
    let scope = Scope {
        components: state
            .components
            .iter()
            .filter(|(_, row)| belongs(row.installation_id) && row.desired.is_some() && row.desired != row.deployed)
            .map(|(key, _)| *key)
            .collect(),
        resources: state
            .resources
            .iter()
            .filter(|(_, row)| belongs(row.installation_id) && row.desired.is_some() && row.desired != row.deployed)
            .map(|(key, _)| *key)
            .collect(),
        gone_components: state
            .components
            .iter()
            .filter(|(_, row)| belongs(row.installation_id) && row.desired.is_none())
            .map(|(key, _)| *key)
            .collect(),
        gone_resources: state
            .resources
            .iter()
            .filter(|(_, row)| belongs(row.installation_id) && row.desired.is_none())
            .map(|(key, _)| *key)
            .collect(),
        delete_volumes: false,
    };
    let desired = state.whole(Side::Desired);
    let revision = execute::revision(installation.generation + 1, Some(installation.id));
    let (rollout, findings) = observed.roll_out(&desired, &scope, &revision).await?;
    let mut blockers = observed.cluster_blockers();
    blockers.extend(rollout.blockers.iter().cloned());
    blockers.extend(findings.blockers);
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
            installation::update(conn, &Installation { state: Word(next), ..installation.clone() }).await?;
            if let Some(record) = record {
                record::update(conn, record.id, record.state.0.retry()?, &record.outcomes.0).await?;
            }
            let new = NewOperation {
                kind,
                enterprise_id: application.enterprise_id,
                team_id: Some(application.team_id),
                application_id: Some(application.id),
                cluster_id: Some(application.cluster_id),
                publication_id: None,
                installation_id: Some(installation.id),
                record_id: record.map(|record| record.id),
                retry_of: failed,
                created_by: actor.display_name.clone(),
                plan_digest: record.map(|record| record.plan_digest.clone()),
                lock: Lock::Free,
                steps,
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

/// The failed operation that a caller names, if they may run it again.
pub async fn failed_operation(app: &App, actor: &Actor, id: OperationId) -> Result<Operation> {
    let mut conn = app.database.read().await?;
    let operation = operations::find(&mut conn, id).await?.ok_or(Error::NotFound("the operation"))?;
    let team = operation.team_id.ok_or(Error::NotFound("the operation"))?;
    match authorize::team(&mut conn, actor, team, TeamAction::ControlOperations).await {
        Err(Error::NotFound(_)) => return Err(Error::NotFound("the operation")),
        other => other?,
    };
    if operation.state.0.can_retry() {
        Ok(operation)
    } else {
        refuse_blocked(&[blocker(
            "CANNOT_RETRY",
            format!("an operation that is {} cannot be retried", operation.state.0),
        )])?;
        Ok(operation)
    }
}
