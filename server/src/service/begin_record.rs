//! The commit of an upgrade or a rollback: its record with the snapshot, the new desired state, the operation.

use crate::{
    actor::Actor,
    app::App,
    clock,
    error::{Error, Result},
    id::{RecordId, VersionId},
    operation::journal::{self, Lock, NewOperation, NewStep},
    service::{
        audit,
        execute::{self, Observed},
        supplied::Held,
    },
    store::{
        Stored, Word, application, component,
        installation::{self, Installation},
        operation::Operation,
        record::{self, ComponentOutcome, Record, RecordKind, RecordRequest, Snapshot},
    },
};
use ropeway_domain::{
    Change, ComponentKey,
    installed::Installed,
    operation::{OperationKind, UpgradeState},
    plan::{LeftForPeople, Plan},
    secrets::NewSecret,
};
use std::collections::BTreeSet;

/// What was decided of an upgrade or a rollback.
pub struct NewRecord<'a> {
    /// The plan that is executed.
    pub plan: &'a Plan,
    /// What carries it out.
    pub steps: Vec<NewStep>,
    /// The record that is taken back; none: it is an upgrade.
    pub rollback_of: Option<RecordId>,
    /// The version that is gone to.
    pub to_version: VersionId,
    /// Every difference, applied or kept.
    pub changes: Vec<Change>,
    /// What is for people to decide.
    pub left: Vec<LeftForPeople>,
    /// The desired state before, in template keys.
    pub before: Installed,
    /// The desired state afterwards, in template keys.
    pub after: Installed,
    /// What was asked for.
    pub request: RecordRequest,
    /// Jobs that are as desired without being run again, by own key.
    pub finished_jobs: BTreeSet<ComponentKey>,
    /// Values that were supplied, and secrets that are generated now.
    pub secrets: Option<(Held, Vec<NewSecret>)>,
    /// How the operation comes to hold the application.
    pub lock: Lock,
    /// The audited action and the global id of what it is about; none: nobody asked for it just now.
    pub audited: Option<(&'a Actor, &'static str, String)>,
    /// By whom, by display name.
    pub created_by: String,
}

/// Stores it all in one transaction, which checks that what was observed still holds.
pub async fn begin(
    app: &App,
    observed: &Observed,
    installation: &Installation,
    new: NewRecord<'_>,
) -> Result<(Record, Operation)> {
    let now = app.clock.now();
    let state = &observed.state;
    let application = &state.application;
    let (kind, operation_kind) = match new.rollback_of {
        None => (RecordKind::Upgrade, OperationKind::Upgrade),
        Some(_) => (RecordKind::Rollback, OperationKind::Rollback),
    };
    let digest = new.plan.digest.to_string();
    let mut record = Record {
        id: clock::new_id(),
        installation_id: installation.id,
        application_id: application.id,
        sequence: 0,
        kind: Word(kind),
        rollback_of: new.rollback_of,
        from_version_id: installation.version_id,
        to_version_id: new.to_version,
        state: Word(UpgradeState::Running),
        outcomes: Stored(outcomes(&new.after, &new.steps)),
        changes: Stored(new.changes),
        left_for_people: Stored(new.left),
        snapshot: Stored(Snapshot {
            installed: new.before,
            kept_changes: installation.kept_changes.0.clone(),
            version_id: installation.version_id,
            driver_digest: observed.reached.driver.digest().to_string(),
            driver_config: observed.reached.row.config.0.clone(),
        }),
        written: Stored(new.after),
        request: Stored(new.request),
        plan_digest: digest.clone(),
        operation_id: None,
        created_by: new.created_by,
        created_at: now,
    };
    let after = &record.written.0;
    let changing = Installation {
        state: Word(match kind {
            RecordKind::Upgrade => installation.state.0.upgrade()?,
            RecordKind::Rollback => installation.state.0.roll_back()?,
        }),
        secret_groups: Stored(after.secret_groups.clone()),
        ..installation.clone()
    };
    let own = after.to_own_keys();
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
            if new.rollback_of.is_none() {
                execute::check_published(conn, new.to_version).await?;
            }
            record.sequence = record::newest(conn, installation.id).await?.map_or(0, |newest| newest.sequence) + 1;
            record::insert(conn, &record).await?;
            if let Some((held, generated)) = &new.secrets {
                held.seal(app, conn, application.enterprise_id, generated).await?;
            }
            state.write_installation(conn, installation.id, &record.written.0, now).await?;
            for job in own.components.values().filter(|one| new.finished_jobs.contains(&one.own_key)) {
                component::set_deployed(conn, application.id, &job.spec).await?;
            }
            installation::update(conn, &changing).await?;
            let operation = NewOperation {
                installation_id: Some(installation.id),
                record_id: Some(record.id),
                plan_digest: Some(digest.clone()),
                lock: new.lock,
                ..NewOperation::in_application(operation_kind, application, &record.created_by, new.steps)
            };
            let operation = journal::begin(conn, operation, now).await.map_err(execute::begin_error)?;
            record::set_operation(conn, record.id, operation.id).await?;
            if let Some((actor, action, object)) = &new.audited {
                let enterprise = Some(application.enterprise_id);
                audit::done(conn, actor, now, action, enterprise, Some(object.clone()), Some(digest)).await?;
            }
            Ok::<_, Error>(operation)
        })
        .await?;
    drop(conn);
    record.operation_id = Some(operation.id);
    execute::wake(app, &operation);
    Ok((record, operation))
}

/// The components that the steps are about, by template key: none of them is done.
fn outcomes(after: &Installed, steps: &[NewStep]) -> Vec<ComponentOutcome> {
    let has_step = |own: ComponentKey| steps.iter().any(|step| step.component_key == Some(own));
    let components = after.components.values().filter(|component| has_step(component.own_key));
    components
        .map(|component| ComponentOutcome {
            key: component.spec.key,
            name: component.spec.name.clone(),
            state: UpgradeState::Pending,
            error: None,
        })
        .collect()
}
