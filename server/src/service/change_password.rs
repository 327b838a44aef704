//! Changing one's own password.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result, UserError},
    seal::Secret,
    service::{
        audit::{Act, Subject, audited},
        password,
        problems::Problems,
        sign_in,
    },
    store::user,
};

/// Sets another password and ends all other sessions of the person.
pub async fn change_password(app: &App, actor: &Actor, current: Secret, new: Secret) -> Result<Actor> {
    let act =
        Act::new("changePassword", Subject::Person(actor.user_id), crate::graphql::id::encode_text(actor.user_id));
    audited(app, actor, act, async || change(app, actor, current, new).await).await
}

async fn change(app: &App, actor: &Actor, current: Secret, new: Secret) -> Result<Actor> {
    app.sign_in_attempts.begin(&actor.name, None, app.clock.now())?;
    let before = {
        let mut conn = app.database.read().await?;
        user::find(&mut conn, actor.user_id).await?.ok_or(Error::Unauthenticated)?.password_hash
    };
    if !password::verify(app, Some(before.clone()), current.clone()).await? {
        return Err(UserError::new("INVALID_CREDENTIALS", "this is not the current password").at(["current"]).into());
    }
    app.sign_in_attempts.forget(&actor.name, None);
    let mut problems = Problems::new();
    password::check(&mut problems, "new", &new, &actor.name);
    if new == current {
        problems.at("new", "INVALID_PASSWORD", "the new password is the current one");
    }
    problems.finish()?;

    let hash = password::hash(app, new).await?;
    let now = app.clock.now();
    let mut conn = app.database.write().await?;
    conn.transaction(async |conn| {
        let user = user::find(conn, actor.user_id).await?.ok_or(Error::Unauthenticated)?;
        if user.password_hash != before {
            return Err(Error::Conflict("the password was changed at the same time".into()));
        }
        user::set_password(conn, actor.user_id, &hash, false).await?;
        user::delete_other_sessions(conn, actor.user_id, actor.session_id).await?;
        sign_in::record(conn, actor, now, "changePassword").await
    })
    .await?;
    Ok(Actor { must_change_password: false, ..actor.clone() })
}
