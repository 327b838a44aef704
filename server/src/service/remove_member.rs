//! Taking somebody out of an enterprise.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result, UserError},
    graphql::id::encode_text,
    id::{EnterpriseId, UserId},
    service::{
        audit::{self, Act, Subject, audited},
        set_member::{refused, roles, unknown_user},
    },
    store::{
        enterprise, member, team,
        user::{self, User},
    },
};
use ropeway_domain::access::{self, TeamRole};

/// Takes somebody out of an enterprise and all of its teams. Everybody may leave; the last owner of a team gives it to
/// somebody else first.
pub async fn remove_member(app: &App, actor: &Actor, enterprise_id: EnterpriseId, user_id: UserId) -> Result<User> {
    let act = Act::new("removeMember", Subject::Enterprise(enterprise_id), encode_text(user_id));
    audited(app, actor, act, async || {
        let now = app.clock.now();
        let mut conn = app.database.write().await?;
        conn.transaction(async |conn| {
            enterprise::lock(conn, enterprise_id).await?;
            let roles = roles(conn, enterprise_id, &[actor.user_id, user_id]).await?;
            access::remove_member(&roles, &actor.user_id, &user_id)
                .map_err(|error| refused(error, "the enterprise", "userId"))?;
            let user = user::find(conn, user_id).await?.ok_or_else(|| unknown_user("userId"))?;
            let mut last_of = Vec::new();
            for (team, name, role) in team::memberships(conn, enterprise_id, user_id).await? {
                team::lock(conn, team).await?;
                if role.0 == TeamRole::Owner && team::owners(conn, team).await? == 1 {
                    let message =
                        format!("this is the last owner of the team {name:?}: give the role to somebody else first");
                    last_of.push(UserError::new("LAST_OWNER", message).at(["userId"]).naming(encode_text(team)));
                } else {
                    team::delete_member(conn, team, user_id).await?;
                }
            }
            if !last_of.is_empty() {
                return Err(Error::Invalid(last_of));
            }
            member::delete(conn, enterprise_id, user_id).await?;
            let object = Some(encode_text(user_id));
            audit::done(conn, actor, now, "removeMember", Some(enterprise_id), object, None).await?;
            Ok(user)
        })
        .await
    })
    .await
}
