//! Running again what failed of an operation, as a new one. What applies manifests is planned again from what is there:
//! a stale manifest is never applied again.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result, UserError},
    graphql::id::encode_text,
    id::{ComponentId, OperationId},
    operation::retry as failed_steps,
    service::{
        audit::{Act, Subject, audited},
        delete_application,
        deploy_application::{self, Deploy},
        execute::Executed,
        find_application::authorize_operation,
        renew_pull_secrets, retry_publication, retry_rollout,
        uninstall::{self, Uninstall},
    },
    store::{
        component,
        operation::Operation,
        step::{self, Step},
    },
};
use ropeway_domain::{
    access::{EnterpriseAction, TeamAction},
    operation::OperationKind,
};

/// Begins an operation that does what another one did not; none where a deletion had nothing left to delete, and is done.
pub async fn retry_operation(app: &App, actor: &Actor, id: OperationId) -> Result<Option<Operation>> {
    let act = Act::new("retryOperation", Subject::Operation(id), encode_text(id));
    audited(app, actor, act, async || retry(app, actor, id).await).await
}

async fn retry(app: &App, actor: &Actor, id: OperationId) -> Result<Option<Operation>> {
    let (in_team, in_enterprise) = (TeamAction::ControlOperations, EnterpriseAction::ManageClusters);
    let mut conn = app.database.read().await?;
    let failed = authorize_operation(&mut conn, actor, id, in_team, in_enterprise).await?;
    let steps = step::of_operation(&mut conn, id).await?;
    drop(conn);
    if !failed.state.0.can_retry() {
        let message =
            format!("only what failed, was done in part or was cancelled can be retried: this is {}", failed.state.0);
        return Err(UserError::new("CANNOT_RETRY", message).at(["operationId"]).into());
    }
    match failed.kind.0 {
        OperationKind::Deploy => deploy(app, actor, &failed, &steps).await.map(Some),
        OperationKind::SyncImages => {
            let publication = failed.publication_id.ok_or_else(gone)?;
            Ok(Some(retry_publication::retry_publication(app, actor, publication).await?.1))
        }
        OperationKind::Install => retry_rollout::retry_installation(app, actor, &failed).await.map(Some),
        OperationKind::Upgrade | OperationKind::Rollback => {
            let record = failed.record_id.ok_or_else(gone)?;
            Ok(Some(retry_rollout::retry_upgrade(app, actor, record).await?.1))
        }
        OperationKind::Uninstall => end(app, actor, &failed, &steps).await,
        OperationKind::OpenTeam => renew_pull_secrets::again(app, actor, &failed).await.map(Some),
        OperationKind::Probe => {
            Err(UserError::new("CANNOT_RETRY", "ask again with checkLibrary").at(["operationId"]).into())
        }
    }
}

/// What was not deployed, and nothing else that is desired by now.
async fn deploy(app: &App, actor: &Actor, failed: &Operation, steps: &[Step]) -> Result<Operation> {
    let application_id = failed.application_id.ok_or_else(gone)?;
    let left = failed_steps::left(steps);
    let mut conn = app.database.read().await?;
    let rows = component::of_applications(&mut conn, &[application_id]).await?;
    drop(conn);
    let ids: Vec<ComponentId> =
        rows.iter().filter(|row| left.components.contains(&row.key.0)).map(|row| row.id).collect();
    let wanted = Deploy {
        application_id,
        component_ids: Some(ids),
        resources: left.resources,
        accept: failed_steps::agreed(steps),
        plan_digest: None,
        progress_deadline_seconds: None,
        retry_of: Some(failed.id),
    };
    match deploy_application::deploy_application(app, actor, &wanted).await? {
        Executed::Begun { operation, .. } => Ok(operation),
        Executed::Stale(_) => Err(Error::Conflict("the application was changed at the same time; try again".into())),
    }
}

/// Deletes what is left, with volumes if they were to go.
async fn end(app: &App, actor: &Actor, failed: &Operation, steps: &[Step]) -> Result<Option<Operation>> {
    let delete_volumes = failed_steps::deletes_claims(steps);
    if let Some(installation_id) = failed.installation_id {
        let wanted = Uninstall { installation_id, delete_volumes, retry_of: Some(failed.id) };
        return Ok(Some(uninstall::uninstall(app, actor, &wanted).await?.1));
    }
    let application = failed.application_id.ok_or_else(gone)?;
    let deleted =
        delete_application::delete_application(app, actor, application, delete_volumes, Some(failed.id)).await?;
    Ok(deleted.operation)
}

pub(super) fn gone() -> Error {
    UserError::new("CANNOT_RETRY", "what this operation was about does not exist any more").at(["operationId"]).into()
}
