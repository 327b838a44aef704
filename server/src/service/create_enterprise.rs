//! Creating enterprises.

use crate::{
    actor::Actor,
    app::App,
    clock,
    error::{Error, Result, UserError},
    graphql::id::encode_text,
    service::{
        audit::{self, Act, Subject, audited},
        configure_library,
        problems::Problems,
    },
    store::{
        Word,
        enterprise::{self, Enterprise},
        member::{self, Member},
    },
};
use ropeway_domain::access::EnterpriseRole;

/// Creates an enterprise with its library in the embedded registry. Whoever administers one can create another, and
/// administers it.
pub async fn create_enterprise(app: &App, actor: &Actor, name: &str) -> Result<Enterprise> {
    let subject = Subject::Person(actor.user_id);
    let act = Act { action: "createEnterprise", subject, object: None, plan_digest: None };
    audited(app, actor, act, async || create(app, actor, name).await).await
}

async fn create(app: &App, actor: &Actor, name: &str) -> Result<Enterprise> {
    let mut conn = app.database.read().await?;
    let roles = member::roles_of(&mut conn, actor.user_id).await?;
    drop(conn);
    if !roles.iter().any(|(_, role)| role.0 == EnterpriseRole::Administrator) {
        return Err(Error::Forbidden("this needs the role ADMINISTRATOR in some enterprise".into()));
    }
    let mut problems = Problems::new();
    problems.check_display_name("name", name);
    problems.finish()?;

    let now = app.clock.now();
    let created = Enterprise { id: clock::new_id(), name: name.to_owned(), created_at: now };
    let mut conn = app.database.write().await?;
    conn.transaction(async |conn| {
        if enterprise::by_name(conn, name).await?.is_some() {
            let message = format!("there is an enterprise {name:?} already");
            return Err(UserError::new("NAME_IN_USE", message).at(["name"]).into());
        }
        enterprise::insert(conn, &created).await?;
        let role = Word(EnterpriseRole::Administrator);
        let member = Member { enterprise_id: created.id, user_id: actor.user_id, role, created_at: now };
        member::set(conn, &member).await?;
        configure_library::begin_with_embedded(app, conn, created.id, now).await?;
        audit::done(conn, actor, now, "createEnterprise", Some(created.id), Some(encode_text(created.id)), None).await
    })
    .await?;
    Ok(created)
}
