//! Deleting templates.

use crate::{
    actor::Actor,
    app::App,
    error::{Result, UserError},
    graphql::id::encode_text,
    id::TemplateId,
    service::{
        audit::{self, Act, Subject, audited},
        template::{changeable, seen_by},
    },
    store::{
        Conn, publication,
        template::{self, Template},
        version,
    },
};

/// The most users that a refusal looks at.
const MAX_NAMED: i64 = 10;

/// Deletes a template with its versions, unless something uses it: an installation, also one that was uninstalled (its
/// volumes may have been kept), or a publication that has not come to its end. Images stay in the library's registry.
pub async fn delete_template(app: &App, actor: &Actor, id: TemplateId) -> Result<Template> {
    let act = Act::new("deleteTemplate", Subject::Template(id), encode_text(id));
    audited(app, actor, act, async || {
        let now = app.clock.now();
        let mut conn = app.database.read().await?;
        changeable(&mut conn, actor, id).await?;
        drop(conn);
        let mut conn = app.database.write().await?;
        conn.transaction(async |conn| {
            let row = changeable(conn, actor, id).await?;
            refuse_used(conn, actor, &row).await?;
            publication::delete_of_template(conn, id).await?;
            version::delete_of_template(conn, id).await?;
            template::delete(conn, id).await?;
            let object = Some(encode_text(id));
            audit::done(conn, actor, now, "deleteTemplate", Some(row.enterprise_id), object, None).await?;
            Ok(row)
        })
        .await
    })
    .await
}

/// Names the users that the person who asks may see, and counts the others.
async fn refuse_used(conn: &mut Conn, actor: &Actor, row: &Template) -> Result<()> {
    let (installations, unfinished) = template::uses(conn, row.id).await?;
    if installations + unfinished == 0 {
        return Ok(());
    }
    let seen = seen_by(conn, actor, row.enterprise_id).await?.teams;
    let mut names = Vec::new();
    let mut objects = Vec::new();
    let mut unseen = 0;
    for (application, team, name) in template::installed_in(conn, row.id, MAX_NAMED).await? {
        if seen.as_ref().is_none_or(|teams| teams.contains(&team)) {
            names.push(format!("the application {name:?}"));
            objects.push(encode_text(application));
        } else {
            unseen += 1;
        }
    }
    for (publication, author, name) in publication::unfinished(conn, row.id, MAX_NAMED).await? {
        if author == actor.user_id {
            names.push(format!("your unfinished publication of {name:?}"));
            objects.push(encode_text(publication));
        } else {
            unseen += 1;
        }
    }
    if unseen > 0 {
        names.push(format!("{unseen} that you cannot see"));
    }
    let message = format!("the template is used by {}", names.join(", "));
    let mut error = UserError::new("TEMPLATE_IN_USE", message);
    error.objects = objects;
    Err(error.into())
}
