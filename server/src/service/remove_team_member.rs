//! Taking somebody out of a team.

use crate::{
    actor::Actor,
    app::App,
    error::Result,
    graphql::id::encode_text,
    id::{TeamId, UserId},
    service::{
        audit::{self, Act, Subject, audited},
        authorize,
        set_member::{self, refused, unknown_user},
        set_team_member::roles,
    },
    store::{
        team::{self, Team},
        user::{self, User},
    },
};
use ropeway_domain::access::{self, TeamAction};

/// Takes somebody out of a team. Everybody may leave; the last owner gives the role to somebody else first.
pub async fn remove_team_member(app: &App, actor: &Actor, team_id: TeamId, user_id: UserId) -> Result<(Team, User)> {
    let act = Act::new("removeTeamMember", Subject::Team(team_id), encode_text(team_id));
    audited(app, actor, act, async || {
        let now = app.clock.now();
        let mut conn = app.database.write().await?;
        conn.transaction(async |conn| {
            team::lock(conn, team_id).await?;
            let team = authorize::team(conn, actor, team_id, TeamAction::View).await?;
            let people = [actor.user_id, user_id];
            let members = set_member::roles(conn, team.enterprise_id, &people).await?;
            let roles = roles(conn, team_id, &people).await?;
            access::remove_team_member(&members, &roles, &actor.user_id, &user_id)
                .map_err(|error| refused(error, "the team", "userId"))?;
            let user = user::find(conn, user_id).await?.ok_or_else(|| unknown_user("userId"))?;
            team::delete_member(conn, team_id, user_id).await?;
            let object = Some(encode_text(team_id));
            audit::done(conn, actor, now, "removeTeamMember", Some(team.enterprise_id), object, None).await?;
            Ok((team, user))
        })
        .await
    })
    .await
}
