//! The beginning of an operation, inside the transaction of the change that causes it, and the request to end it.

use super::{EventKind, JournalError, event::Log, finish};
use crate::{
    clock,
    id::{ApplicationId, ClusterId, EnterpriseId, InstallationId, OperationId, PublicationId, RecordId, TeamId},
    operation::Action,
    store::{
        Conn, Instant, Key, Stored, Word,
        application::Application,
        application_lock,
        operation::{self, Operation},
        step::{self as steps, Step},
    },
};
use ropeway_domain::{
    ComponentKey,
    operation::{OperationKind, OperationState, StepState},
};
use std::collections::BTreeSet;

/// An operation to be begun.
#[derive(Debug, Clone, PartialEq)]
pub struct NewOperation {
    /// What it does.
    pub kind: OperationKind,
    /// Whose.
    pub enterprise_id: EnterpriseId,
    /// Which team's, if one's.
    pub team_id: Option<TeamId>,
    /// Which application it is about.
    pub application_id: Option<ApplicationId>,
    /// Which cluster it works on.
    pub cluster_id: Option<ClusterId>,
    /// Which publication it synchronizes.
    pub publication_id: Option<PublicationId>,
    /// Which installation it changes.
    pub installation_id: Option<InstallationId>,
    /// Which upgrade or rollback it carries out.
    pub record_id: Option<RecordId>,
    /// The operation whose unfinished work it takes up.
    pub retry_of: Option<OperationId>,
    /// Who began it: a name for people.
    pub created_by: String,
    /// The digest of the plan that it carries out.
    pub plan_digest: Option<String>,
    /// How it comes to hold its application. It matters only to kinds that change one.
    pub lock: Lock,
    /// What it does, in any order. Numbers are given by position, from 1.
    pub steps: Vec<NewStep>,
}

/// How an operation comes to hold its application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// The application must be free.
    Free,
    /// This operation, which is finished, kept the application for it.
    HandedOverBy(OperationId),
}

/// A step of an operation to be begun.
#[derive(Debug, Clone, PartialEq)]
pub struct NewStep {
    /// What it does, for people.
    pub name: String,
    /// The component that it is about, by its own key.
    pub component_key: Option<ComponentKey>,
    /// What people call that component.
    pub component_name: Option<String>,
    /// The numbers of the steps that must succeed before it.
    pub needs: BTreeSet<u32>,
    /// What is done.
    pub action: Action,
}

impl NewOperation {
    /// One that changes an application, which must be free.
    pub fn in_application(kind: OperationKind, application: &Application, by: &str, steps: Vec<NewStep>) -> Self {
        Self {
            kind,
            enterprise_id: application.enterprise_id,
            team_id: Some(application.team_id),
            application_id: Some(application.id),
            cluster_id: Some(application.cluster_id),
            publication_id: None,
            installation_id: None,
            record_id: None,
            retry_of: None,
            created_by: by.to_owned(),
            plan_digest: None,
            lock: Lock::Free,
            steps,
        }
    }
}

/// Begins an operation: stores it with its steps and its first event, and takes its application for it, so that no
/// other one changes it. It is called inside the transaction of the service, which wakes the workers with
/// [`crate::operation::feed::Feed::changed`] once that is committed.
pub async fn begin(conn: &mut Conn, new: NewOperation, now: Instant) -> Result<Operation, JournalError> {
    let operation = Operation {
        id: clock::new_id(),
        enterprise_id: new.enterprise_id,
        team_id: new.team_id,
        application_id: new.application_id,
        cluster_id: new.cluster_id,
        publication_id: new.publication_id,
        installation_id: new.installation_id,
        record_id: new.record_id,
        retry_of: new.retry_of,
        kind: Word(new.kind),
        state: Word(OperationState::Queued),
        progress: 0.0,
        created_by: new.created_by,
        created_at: now,
        started_at: None,
        finished_at: None,
        error_code: None,
        error_message: None,
        plan_digest: new.plan_digest,
        cancel_requested: false,
        lease_owner: None,
        lease_until: None,
        generation: 0,
        next_sequence: 1,
    };
    operation::insert(conn, &operation).await?;
    if let Some(application) = new.application_id.filter(|_| changes_application(new.kind)) {
        take(conn, application, operation.id, new.lock).await?;
    }
    for (number, step) in (1..).zip(new.steps) {
        let step = Step {
            operation_id: operation.id,
            number,
            name: step.name,
            component_key: step.component_key.map(Key),
            component_name: step.component_name,
            needs: Stored(step.needs),
            action: serde_json::to_vec(&step.action).map_err(JournalError::Action)?,
            state: Word(StepState::Pending),
            attempts: 0,
            error: None,
            deadline_at: None,
            started_at: None,
            finished_at: None,
        };
        steps::insert(conn, &step).await?;
    }
    let mut log = Log::new(operation, now);
    log.add(EventKind::Queued, "Waiting for a worker");
    Ok(log.write(conn).await?)
}

/// Whether operations of a kind change an application, of which each has one at a time.
pub fn changes_application(kind: OperationKind) -> bool {
    match kind {
        OperationKind::Install
        | OperationKind::Upgrade
        | OperationKind::Rollback
        | OperationKind::Deploy
        | OperationKind::Uninstall => true,
        OperationKind::SyncImages | OperationKind::Probe | OperationKind::OpenTeam => false,
    }
}

/// Asks for the end of an operation, inside the transaction of the service. One that waits in the queue ends at once;
/// one that runs ends after its running steps. Asking again changes nothing; a finished one refuses.
pub async fn request_cancel(
    conn: &mut Conn,
    id: OperationId,
    by: &str,
    now: Instant,
) -> Result<Operation, JournalError> {
    let operation = operation::lock(conn, id).await?.ok_or(diesel::result::Error::NotFound)?;
    operation.state.0.cancel()?;
    if operation.cancel_requested {
        return Ok(operation);
    }
    let waits = operation.state.0 == OperationState::Queued;
    let mut log = Log::new(operation, now);
    log.operation.cancel_requested = true;
    log.add(EventKind::CancelRequested, &format!("{by} asked for its end"));
    if waits {
        finish::finish(conn, &mut log).await?;
    }
    Ok(log.write(conn).await?)
}

async fn take(
    conn: &mut Conn,
    application: ApplicationId,
    operation: OperationId,
    lock: Lock,
) -> Result<(), JournalError> {
    let from = match lock {
        Lock::Free => None,
        Lock::HandedOverBy(from) => Some(from),
    };
    if application_lock::take(conn, application, operation, from).await? {
        return Ok(());
    }
    match application_lock::holder(conn, application).await? {
        Some(operation_id) => Err(JournalError::Busy { operation_id }),
        None => Err(JournalError::NoApplication),
    }
}
