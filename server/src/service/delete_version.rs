//! Deleting versions.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result},
    graphql::id::encode_text,
    id::VersionId,
    service::{
        audit::{self, Act, Subject, audited},
        template::changeable,
    },
    store::{publication, template::Template, version},
};

/// Deletes the number of a version, with all of its revisions: it is listed and can be installed no more. Revisions to
/// which an installation or a record refers are only hidden, so that what runs them goes on and can be rolled back.
/// Images stay in the library's registry.
pub async fn delete_version(app: &App, actor: &Actor, id: VersionId) -> Result<Template> {
    let mut conn = app.database.read().await?;
    let of = version::find(&mut conn, id).await?.map(|row| row.template_id);
    drop(conn);
    let subject = of.map_or(Subject::Nothing, Subject::Template);
    audited(app, actor, Act::new("deleteVersion", subject, encode_text(id)), async || {
        let missing = || Error::NotFound("the version");
        let now = app.clock.now();
        let mut conn = app.database.write().await?;
        conn.transaction(async |conn| {
            let row = version::find(conn, id).await?.ok_or_else(missing)?;
            let template = changeable(conn, actor, row.template_id).await.map_err(|error| match error {
                Error::NotFound(_) => missing(),
                error => error,
            })?;
            let revisions = version::revisions(conn, row.template_id, &row.sort_key).await?;
            let kept = version::referred(conn, &revisions).await?;
            version::hide(conn, row.template_id, &row.sort_key).await?;
            for revision in revisions.into_iter().filter(|revision| !kept.contains(revision)) {
                publication::forget_version(conn, revision).await?;
                version::delete(conn, revision).await?;
            }
            let object = Some(encode_text(id));
            audit::done(conn, actor, now, "deleteVersion", Some(template.enterprise_id), object, None).await?;
            Ok(template)
        })
        .await
    })
    .await
}
