//! Saying what somebody is in an enterprise.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result, UserError},
    graphql::id::encode_text,
    id::{EnterpriseId, UserId},
    service::{
        audit::{self, Act, Subject, audited},
        authorize,
    },
    store::{
        Conn, Word, enterprise,
        member::{self, Member},
        user::{self, User},
    },
};
use ropeway_domain::access::{self, EnterpriseAction, EnterpriseRole, MembershipError};
use std::collections::BTreeMap;

/// Gives somebody a role in an enterprise.
pub async fn set_member(
    app: &App,
    actor: &Actor,
    enterprise_id: EnterpriseId,
    user_name: &str,
    role: EnterpriseRole,
) -> Result<(Member, User)> {
    let act = Act::new("setMember", Subject::Enterprise(enterprise_id), encode_text(enterprise_id));
    audited(app, actor, act, async || {
        let now = app.clock.now();
        let mut conn = app.database.write().await?;
        conn.transaction(async |conn| {
            enterprise::lock(conn, enterprise_id).await?;
            authorize::enterprise(conn, actor, enterprise_id, EnterpriseAction::ManageMembers).await?;
            let user = user::by_name(conn, user_name).await?.ok_or_else(|| unknown_user("userName"))?;
            let roles = roles(conn, enterprise_id, &[actor.user_id, user.id]).await?;
            access::set_member(&roles, &actor.user_id, &user.id, role)
                .map_err(|error| refused(error, "the enterprise", "role"))?;
            let member = Member { enterprise_id, user_id: user.id, role: Word(role), created_at: now };
            member::set(conn, &member).await?;
            let object = Some(encode_text(user.id));
            audit::done(conn, actor, now, "setMember", Some(enterprise_id), object, None).await?;
            Ok((member, user))
        })
        .await
    })
    .await
}

/// What the administrators and these people are.
pub(super) async fn roles(
    conn: &mut Conn,
    enterprise: EnterpriseId,
    people: &[UserId],
) -> Result<BTreeMap<UserId, EnterpriseRole>> {
    let roles = member::roles_among(conn, enterprise, people).await?;
    Ok(roles.into_iter().map(|(user, role)| (user, role.0)).collect())
}

/// The error of a change of roles that cannot be.
pub(super) fn refused(error: MembershipError, noun: &'static str, field: &str) -> Error {
    let message = error.to_string();
    match error {
        MembershipError::Denied(denial) => authorize::refuse(denial, noun),
        MembershipError::OwnRole { .. } => Error::Forbidden(message),
        MembershipError::Last { role } => UserError::new(format!("LAST_{role}"), message).at([field]).into(),
        MembershipError::NoMember { .. } => UserError::new("UNKNOWN_USER", message).at([field]).into(),
    }
}

/// The error of a user who does not exist.
pub(super) fn unknown_user(field: &str) -> Error {
    UserError::new("UNKNOWN_USER", "there is no such user; an administrator creates them with createUser")
        .at([field])
        .into()
}
