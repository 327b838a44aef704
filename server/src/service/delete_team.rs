//! Deleting teams.

use crate::{
    actor::Actor,
    app::App,
    error::{Result, UserError},
    graphql::id::encode_text,
    id::TeamId,
    service::{
        audit::{self, Act, Subject, audited},
        authorize,
        problems::Problems,
    },
    store::team::{self, Team},
};
use ropeway_domain::access::TeamAction;

/// Forgets a team that nothing uses. Its namespaces stay.
pub async fn delete_team(app: &App, actor: &Actor, team_id: TeamId) -> Result<Team> {
    let act = Act::new("deleteTeam", Subject::Team(team_id), encode_text(team_id));
    audited(app, actor, act, async || {
        let now = app.clock.now();
        let mut conn = app.database.write().await?;
        conn.transaction(async |conn| {
            team::lock(conn, team_id).await?;
            let team = authorize::team(conn, actor, team_id, TeamAction::Delete).await?;
            let (applications, templates) = team::users_of(conn, team_id).await?;
            let mut problems = Problems::new();
            for (what, names) in [("applications", applications), ("templates", templates)] {
                if !names.is_empty() {
                    let message = format!("the team is in use by the {what} {}", names.join(", "));
                    problems.add(UserError::new("TEAM_IN_USE", message).at(["teamId"]));
                }
            }
            if problems.is_empty() && team::has_history(conn, team_id).await? {
                let message = "the team is named by records of what it installed, which are kept";
                problems.add(UserError::new("TEAM_IN_USE", message).at(["teamId"]));
            }
            problems.finish()?;
            team::delete(conn, team_id).await?;
            let object = Some(encode_text(team_id));
            audit::done(conn, actor, now, "deleteTeam", Some(team.enterprise_id), object, None).await?;
            Ok(team)
        })
        .await
    })
    .await
}
