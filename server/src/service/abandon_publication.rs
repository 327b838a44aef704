//! Giving a publication up.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result},
    graphql::id::encode_text,
    id::PublicationId,
    operation::{feed::Topic, journal},
    service::{
        audit::{self, Act, Subject, audited},
        publication::own,
        retry_publication::changed_meanwhile,
    },
    store::{
        Word, operation,
        publication::{self, Publication},
    },
};

/// Gives up a publication that is not published, and asks for the end of its sync. Nobody else's is touched, and what
/// the library has by now stays there. Only its author may.
pub async fn abandon_publication(app: &App, actor: &Actor, id: PublicationId) -> Result<Publication> {
    let mut conn = app.database.read().await?;
    let of = publication::find(&mut conn, id).await?.map(|row| row.application_id);
    drop(conn);
    let subject = of.map_or(Subject::Nothing, Subject::Application);
    audited(app, actor, Act::new("abandonPublication", subject, encode_text(id)), async || {
        let now = app.clock.now();
        let mut conn = app.database.write().await?;
        let (row, sync) = conn
            .transaction(async |conn| {
                let (row, application) = own(conn, actor, id).await?;
                row.state.0.abandon().map_err(|refused| Error::Conflict(refused.to_string()))?;
                // The operation first, as its worker locks them. One that waits ends here, and its publication with it.
                let sync = match row.operation_id {
                    Some(sync) => operation::lock(conn, sync).await?.filter(|sync| !sync.state.0.is_finished()),
                    None => None,
                };
                let sync = match sync {
                    Some(sync) => Some(journal::request_cancel(conn, sync.id, &actor.display_name, now).await?),
                    None => None,
                };
                let mut row = publication::find(conn, id).await?.ok_or_else(changed_meanwhile)?;
                let from = row.state.0;
                let to = from.abandon().map_err(|refused| Error::Conflict(refused.to_string()))?;
                if !publication::transition(conn, id, from, to).await? {
                    return Err(changed_meanwhile());
                }
                let (enterprise, object) = (Some(application.enterprise_id), Some(encode_text(id)));
                audit::done(conn, actor, now, "abandonPublication", enterprise, object, None).await?;
                row.state = Word(to);
                Ok::<_, Error>((row, sync))
            })
            .await?;
        drop(conn);
        match &sync {
            Some(sync) => app.feed.changed(sync),
            None => app.feed.publish(Topic::Application(row.application_id)),
        }
        Ok(row)
    })
    .await
}
