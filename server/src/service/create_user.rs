//! Creating users.

use crate::{
    actor::Actor,
    app::App,
    clock,
    error::{Result, UserError},
    graphql::id::encode_text,
    id::EnterpriseId,
    seal::Secret,
    service::{
        audit::{self, Act, Subject, audited},
        authorize, password,
        problems::{Problems, is_user_name},
    },
    store::{
        Word,
        member::{self, Member},
        user::{self, User},
    },
};
use ropeway_domain::access::{EnterpriseAction, EnterpriseRole};

/// What is wanted.
#[derive(Debug, Clone)]
pub struct CreateUser {
    /// Where the person becomes a member.
    pub enterprise_id: EnterpriseId,
    /// What they sign in with.
    pub name: String,
    /// What people call them; the name where nothing is said.
    pub display_name: Option<String>,
}

/// Creates a user as a member of an enterprise, with a password that they must change.
pub async fn create_user(app: &App, actor: &Actor, input: CreateUser) -> Result<(User, Secret)> {
    let subject = Subject::Enterprise(input.enterprise_id);
    let act = Act::new("createUser", subject, encode_text(input.enterprise_id));
    audited(app, actor, act, async || create(app, actor, input).await).await
}

async fn create(app: &App, actor: &Actor, input: CreateUser) -> Result<(User, Secret)> {
    let mut conn = app.database.read().await?;
    authorize::enterprise(&mut conn, actor, input.enterprise_id, EnterpriseAction::ManageMembers).await?;
    drop(conn);
    let display_name = input.display_name.unwrap_or_else(|| input.name.clone());
    let mut problems = Problems::new();
    if is_user_name(&input.name) {
        problems.check_display_name("displayName", &display_name);
    } else {
        let rule = "a name to sign in with has 1 to 63 of a-z, 0-9, \".\", \"_\", \"@\" and \"-\", and begins with a letter or digit";
        problems.at("name", "INVALID_NAME", rule);
    }
    problems.finish()?;

    let password = password::one_time();
    let now = app.clock.now();
    let user = User {
        id: clock::new_id(),
        name: input.name,
        display_name,
        password_hash: password::hash(app, password.clone()).await?,
        must_change_password: true,
        created_at: now,
    };
    let mut conn = app.database.write().await?;
    conn.transaction(async |conn| {
        authorize::enterprise(conn, actor, input.enterprise_id, EnterpriseAction::ManageMembers).await?;
        if user::by_name(conn, &user.name).await?.is_some() {
            let message = format!("there is a user {:?} already; setMember adds them to an enterprise", user.name);
            return Err(UserError::new("NAME_IN_USE", message).at(["name"]).into());
        }
        user::insert(conn, &user).await?;
        let role = Word(EnterpriseRole::Member);
        let member = Member { enterprise_id: input.enterprise_id, user_id: user.id, role, created_at: now };
        member::set(conn, &member).await?;
        let object = Some(encode_text(user.id));
        audit::done(conn, actor, now, "createUser", Some(input.enterprise_id), object, None).await
    })
    .await?;
    Ok((user, password))
}
