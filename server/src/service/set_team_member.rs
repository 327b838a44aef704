//! Saying what somebody is in a team.

use crate::{
    actor::Actor,
    app::App,
    error::Result,
    graphql::id::encode_text,
    id::{TeamId, UserId},
    service::{
        audit::{self, Act, Subject, audited},
        authorize,
        set_member::{self, refused},
    },
    store::{
        Conn, Word,
        team::{self, Team, TeamMember},
        user::{self, User},
    },
};
use ropeway_domain::access::{self, MembershipError, TeamAction, TeamRole};
use std::collections::BTreeMap;

/// Gives somebody, a member of the enterprise, a role in a team.
pub async fn set_team_member(
    app: &App,
    actor: &Actor,
    team_id: TeamId,
    user_name: &str,
    role: TeamRole,
) -> Result<(Team, TeamMember, User)> {
    let act = Act::new("setTeamMember", Subject::Team(team_id), encode_text(team_id));
    audited(app, actor, act, async || {
        let now = app.clock.now();
        let mut conn = app.database.write().await?;
        conn.transaction(async |conn| {
            team::lock(conn, team_id).await?;
            let team = authorize::team(conn, actor, team_id, TeamAction::ManageMembers).await?;
            // Whether somebody exists elsewhere is not told: they are no member in either case.
            let no_member = || refused(MembershipError::NoMember { of: "enterprise" }, "the team", "userName");
            let user = user::by_name(conn, user_name).await?.ok_or_else(no_member)?;
            let people = [actor.user_id, user.id];
            let members = set_member::roles(conn, team.enterprise_id, &people).await?;
            let roles = roles(conn, team_id, &people).await?;
            access::set_team_member(&members, &roles, &actor.user_id, &user.id, role)
                .map_err(|error| refused(error, "the team", "userName"))?;
            let member = TeamMember { team_id, user_id: user.id, role: Word(role), created_at: now };
            team::set_member(conn, &member).await?;
            let object = Some(encode_text(team_id));
            audit::done(conn, actor, now, "setTeamMember", Some(team.enterprise_id), object, None).await?;
            Ok((team, member, user))
        })
        .await
    })
    .await
}

/// What the owners and these people are.
pub(super) async fn roles(conn: &mut Conn, team: TeamId, people: &[UserId]) -> Result<BTreeMap<UserId, TeamRole>> {
    let roles = team::roles_among(conn, team, people).await?;
    Ok(roles.into_iter().map(|(user, role)| (user, role.0)).collect())
}
