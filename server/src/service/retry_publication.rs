//! Copying again what failed of a publication's sync.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result},
    graphql::id::encode_text,
    id::{ImageId, PublicationId},
    operation::{
        Action,
        journal::{self, JournalError, Lock, NewOperation},
        retry,
    },
    service::{
        audit::{self, Act, Subject, audited},
        execute,
        publication::own,
    },
    store::{
        Word,
        operation::Operation,
        publication::{self, Publication},
        step,
    },
};
use ropeway_domain::operation::{OperationKind, StepState};

/// Begins a new operation of exactly the steps that failed or never ran. Only its author may.
pub async fn retry_publication(app: &App, actor: &Actor, id: PublicationId) -> Result<(Publication, Operation)> {
    let mut conn = app.database.read().await?;
    let of = publication::find(&mut conn, id).await?.map(|row| row.application_id);
    drop(conn);
    let subject = of.map_or(Subject::Nothing, Subject::Application);
    audited(app, actor, Act::new("retryPublication", subject, encode_text(id)), async || {
        let now = app.clock.now();
        let mut conn = app.database.write().await?;
        let (row, operation) = conn
            .transaction(async |conn| {
                let (mut row, application) = own(conn, actor, id).await?;
                let from = row.state.0;
                let to = from.retry().map_err(|refused| Error::Conflict(refused.to_string()))?;
                let before = row.operation_id.ok_or_else(|| Error::internal("a publication failed without a sync"))?;
                let all = step::of_operation(conn, before).await?;
                let steps = retry::steps(&all)?;
                if !publication::transition(conn, id, from, to).await? {
                    return Err(changed_meanwhile());
                }
                let images: Vec<ImageId> = steps
                    .iter()
                    .filter_map(|step| match &step.action {
                        Action::CopyImage(copy) => Some(copy.images.clone()),
                        _ => None,
                    })
                    .flatten()
                    .collect();
                publication::set_image_state(conn, &images, StepState::Pending, None).await?;
                let new = NewOperation {
                    kind: OperationKind::SyncImages,
                    enterprise_id: application.enterprise_id,
                    team_id: Some(application.team_id),
                    application_id: Some(application.id),
                    cluster_id: None,
                    publication_id: Some(id),
                    installation_id: None,
                    record_id: None,
                    retry_of: Some(before),
                    created_by: actor.display_name.clone(),
                    plan_digest: None,
                    lock: Lock::Free,
                    steps,
                };
                let operation =
                    journal::begin(conn, new, now).await.map_err(|error: JournalError| Error::from(error))?;
                publication::set_operation(conn, id, operation.id).await?;
                let (enterprise, object) = (Some(application.enterprise_id), Some(encode_text(id)));
                audit::done(conn, actor, now, "retryPublication", enterprise, object, None).await?;
                row.state = Word(to);
                row.operation_id = Some(operation.id);
                Ok((row, operation))
            })
            .await?;
        drop(conn);
        execute::wake(app, &operation);
        Ok((row, operation))
    })
    .await
}

/// Somebody else changed the publication since it was looked at.
pub(super) fn changed_meanwhile() -> Error {
    Error::Conflict("the publication was changed at the same time; look at it again".into())
}
