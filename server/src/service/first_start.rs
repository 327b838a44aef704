//! The first start: an enterprise, and somebody who administers it.

use crate::{
    app::App,
    clock,
    error::{Error, Result},
    seal::Secret,
    service::{configure_library, password, problems::Problems},
    store::{
        Word,
        enterprise::{self, Enterprise},
        member::{self, Member},
        user::{self, User},
    },
};
use ropeway_domain::access::EnterpriseRole;

/// The name of the first administrator.
pub const ADMINISTRATOR: &str = "admin";

/// Somebody who can sign in for the first time.
#[derive(Debug)]
pub struct FirstAdministrator {
    /// What they sign in with.
    pub name: String,
    /// It must be changed before anything else can be done. It is stored nowhere: print it once.
    pub one_time_password: Secret,
    /// Whether this is not the first start: the password takes the place of one that nobody has used.
    pub is_renewed: bool,
}

/// Makes an enterprise and its administrator where there is no enterprise yet. Of replicas that start at the same time
/// one does.
pub async fn first_start(app: &App, enterprise_name: &str) -> Result<Option<FirstAdministrator>> {
    let mut conn = app.database.read().await?;
    if enterprise::count(&mut conn).await? > 0 {
        return Ok(None);
    }
    drop(conn);
    let mut problems = Problems::new();
    problems.check_display_name("enterprise", enterprise_name);
    problems.finish()?;

    let one_time_password = password::one_time();
    let password_hash = password::hash(app, one_time_password.clone()).await?;
    let now = app.clock.now();
    let mut conn = app.database.write().await?;
    let made = conn
        .transaction(async |conn| {
            if enterprise::count(conn).await? > 0 {
                return Ok(false);
            }
            let first = Enterprise { id: clock::new_id(), name: enterprise_name.to_owned(), created_at: now };
            enterprise::insert(conn, &first).await?;
            let user = User {
                id: clock::new_id(),
                name: ADMINISTRATOR.into(),
                display_name: "Administrator".into(),
                password_hash,
                must_change_password: true,
                created_at: now,
            };
            user::insert(conn, &user).await?;
            let role = Word(EnterpriseRole::Administrator);
            member::set(conn, &Member { enterprise_id: first.id, user_id: user.id, role, created_at: now }).await?;
            configure_library::begin_with_embedded(app, conn, first.id, now).await?;
            Ok(true)
        })
        .await;
    match made {
        Ok(true) => Ok(Some(FirstAdministrator { name: ADMINISTRATOR.into(), one_time_password, is_renewed: false })),
        // Another replica was faster: the names are unique.
        Ok(false) | Err(Error::Conflict(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives the only user a new one-time password where the one before was never used: a process may have died before it
/// could print it. Somebody who is signed in, or has changed the password, keeps theirs.
pub async fn renew_unused_password(app: &App) -> Result<Option<FirstAdministrator>> {
    let mut conn = app.database.read().await?;
    let Some(user) = user::only_one(&mut conn).await? else { return Ok(None) };
    if !user.must_change_password || user::has_session(&mut conn, user.id).await? {
        return Ok(None);
    }
    drop(conn);
    let one_time_password = password::one_time();
    let password_hash = password::hash(app, one_time_password.clone()).await?;
    let mut conn = app.database.write().await?;
    let renewed = conn
        .transaction(async |conn| {
            let current = user::only_one(conn).await?;
            // Another replica may have been faster, or somebody may have signed in by now.
            let unused = current.as_ref() == Some(&user) && !user::has_session(conn, user.id).await?;
            if unused {
                user::set_password(conn, user.id, &password_hash, true).await?;
            }
            Ok::<_, Error>(unused)
        })
        .await?;
    Ok(renewed.then(|| FirstAdministrator { name: user.name, one_time_password, is_renewed: true }))
}
