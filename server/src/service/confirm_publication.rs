//! Confirming a publication: from here on its version can be installed.

use crate::{
    actor::Actor,
    app::App,
    clock,
    error::{Error, Result},
    graphql::id::encode_text,
    id::{PublicationId, VersionId},
    operation::feed::Topic,
    service::{
        audit::{self, Act, Subject, audited},
        plan_publication::target,
        publication::own,
        retry_publication::changed_meanwhile,
    },
    store::{
        Conn, Instant, Word,
        publication::{self, Publication},
        version::{self, NewVersion, VersionImage},
    },
};

/// Makes the version. The same content as that of the number's current revision makes no new one: what may change
/// without it is written anew. Only its author may.
pub async fn confirm_publication(app: &App, actor: &Actor, id: PublicationId) -> Result<Publication> {
    let mut conn = app.database.read().await?;
    let of = publication::find(&mut conn, id).await?.map(|row| row.application_id);
    drop(conn);
    let subject = of.map_or(Subject::Nothing, Subject::Application);
    audited(app, actor, Act::new("confirmPublication", subject, encode_text(id)), async || {
        let now = app.clock.now();
        let mut conn = app.database.write().await?;
        let row = conn
            .transaction(async |conn| {
                let (mut row, application) = own(conn, actor, id).await?;
                let template = target(conn, actor, &application, row.template_id).await?;
                let from = row.state.0;
                let to = from.publish().map_err(|refused| Error::Conflict(refused.to_string()))?;
                if !publication::transition(conn, id, from, to).await? {
                    return Err(changed_meanwhile());
                }
                let version = publish(conn, actor, &row, now).await?;
                publication::set_version(conn, id, version).await?;
                let (enterprise, object) = (Some(template.enterprise_id), Some(encode_text(id)));
                audit::done(conn, actor, now, "confirmPublication", enterprise, object, None).await?;
                row.state = Word(to);
                row.version_id = Some(version);
                Ok(row)
            })
            .await?;
        drop(conn);
        app.feed.publish(Topic::Application(row.application_id));
        Ok(row)
    })
    .await
}

async fn publish(conn: &mut Conn, actor: &Actor, row: &Publication, now: Instant) -> Result<VersionId> {
    let current = version::current(conn, row.template_id, &row.sort_key).await?;
    if let Some(current) = current.filter(|current| current.digest == row.digest) {
        version::redescribe(
            conn,
            current.id,
            &row.number,
            row.alias.as_deref(),
            &row.description,
            row.installable_as_add_ons,
        )
        .await?;
        return Ok(current.id);
    }
    let revision = version::last_revision(conn, row.template_id, &row.sort_key).await? + 1;
    version::retire(conn, row.template_id, &row.sort_key).await?;
    let new = NewVersion {
        id: clock::new_id(),
        template_id: row.template_id,
        number: row.number.clone(),
        sort_key: row.sort_key.clone(),
        revision,
        is_current: true,
        is_hidden: false,
        alias: row.alias.clone(),
        description: row.description.clone(),
        installable_as_add_ons: row.installable_as_add_ons,
        digest: row.digest.clone(),
        content: row.content.clone(),
        artifact_digest: row.artifact_digest.clone(),
        published_by: actor.display_name.clone(),
        published_at: now,
    };
    version::insert(conn, &new).await?;
    for image in publication::images(conn, &[row.id]).await? {
        let image = VersionImage {
            id: clock::new_id(),
            version_id: new.id,
            component_key: image.component_key,
            component_name: image.component_name,
            repository: image.repository,
            digest: image.digest,
            bytes: image.bytes_total,
            platforms: image.platforms,
        };
        version::insert_image(conn, &image).await?;
    }
    Ok(new.id)
}
