//! Cancelling operations: they stop after their running steps, and can be retried.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result, UserError},
    graphql::id::encode_text,
    id::OperationId,
    operation::journal::{self, EventKind},
    service::{
        audit::{self, Act, Subject, audited},
        execute,
        find_application::authorize_operation,
    },
    store::{
        Conn, Instant, application_lock,
        operation::{self, Operation},
    },
};
use ropeway_domain::access::{EnterpriseAction, TeamAction};

/// Asks for the end of an operation; of a failed one that waits for its rollback, for the end of that.
pub async fn cancel_operation(app: &App, actor: &Actor, id: OperationId) -> Result<Operation> {
    let subject = subject_of(app, id).await?;
    audited(app, actor, Act::new("cancelOperation", subject, encode_text(id)), async || {
        let now = app.clock.now();
        let mut conn = app.database.write().await?;
        let operation = conn
            .transaction(async |conn| {
                let (in_team, in_enterprise) = (TeamAction::ControlOperations, EnterpriseAction::ManageClusters);
                let found = authorize_operation(conn, actor, id, in_team, in_enterprise).await?;
                if let Some(given_up) = give_rollback_up(conn, actor, &found, now).await? {
                    let object = Some(encode_text(id));
                    audit::done(conn, actor, now, "cancelOperation", Some(found.enterprise_id), object, None).await?;
                    return Ok(given_up);
                }
                if found.state.0.is_finished() {
                    let message = format!("this operation has come to its end already: it is {}", found.state.0);
                    return Err(UserError::new("OPERATION_FINISHED", message).at(["operationId"]).into());
                }
                let operation = journal::request_cancel(conn, id, &actor.display_name, now).await?;
                let object = Some(encode_text(id));
                audit::done(conn, actor, now, "cancelOperation", Some(operation.enterprise_id), object, None).await?;
                Ok::<_, Error>(operation)
            })
            .await?;
        drop(conn);
        execute::wake(app, &operation);
        Ok(operation)
    })
    .await
}

/// A finished operation holds its application only where a rollback is to follow it: that is what ends then. None: it
/// holds nothing.
async fn give_rollback_up(
    conn: &mut Conn,
    actor: &Actor,
    operation: &Operation,
    now: Instant,
) -> Result<Option<Operation>> {
    let Some(application) = operation.application_id.filter(|_| operation.state.0.is_finished()) else {
        return Ok(None);
    };
    // The operation before the application, as workers lock them.
    let message = format!("{} asked for no rollback", actor.display_name);
    if application_lock::holder(conn, application).await? != Some(operation.id) {
        return Ok(None);
    }
    let told = journal::tell_after(conn, operation.id, EventKind::RollbackGivenUp, &message, now).await?;
    if application_lock::release(conn, application, operation.id).await? == 0 {
        return Err(Error::Conflict("the rollback has begun meanwhile; cancel that".into()));
    }
    Ok(Some(told.unwrap_or_else(|| operation.clone())))
}

/// What an operation is about, for the audit log.
pub(super) async fn subject_of(app: &App, id: OperationId) -> Result<Subject> {
    let mut conn = app.database.read().await?;
    let row = operation::find(&mut conn, id).await?;
    Ok(row.map_or(Subject::Nothing, |row| Subject::Enterprise(row.enterprise_id)))
}
