//! Who may do what: the checks that every service function begins with.
//!
//! What somebody may not see does not exist for them: they get NOT_FOUND, never FORBIDDEN.

use crate::{
    actor::Actor,
    error::{Error, Result},
    id::{ApplicationId, ClusterId, EnterpriseId, TeamId},
    store::{
        Conn,
        application::{self, Application},
        cluster::{self, Cluster},
        member,
        team::{self, Team},
    },
};
use ropeway_domain::access::{Denial, EnterpriseAction, Standing, TeamAction, check_enterprise, check_team};

/// The actor may do this in the enterprise.
pub async fn enterprise(conn: &mut Conn, actor: &Actor, id: EnterpriseId, action: EnterpriseAction) -> Result<()> {
    let role = member::role(conn, id, actor.user_id).await?;
    check_enterprise(role, action).map_err(|denial| refuse(denial, "the enterprise"))
}

/// The team, if the actor may do this in it.
pub async fn team(conn: &mut Conn, actor: &Actor, id: TeamId, action: TeamAction) -> Result<Team> {
    let team = team::find(conn, id).await?.ok_or(Error::NotFound("the team"))?;
    let standing = standing(conn, actor, team.enterprise_id, Some(id)).await?;
    check_team(standing, action).map_err(|denial| refuse(denial, "the team"))?;
    Ok(team)
}

/// The application, if the actor may do this in its team.
pub async fn application(conn: &mut Conn, actor: &Actor, id: ApplicationId, action: TeamAction) -> Result<Application> {
    let application = application::find(conn, id).await?.ok_or(Error::NotFound("the application"))?;
    let standing = standing(conn, actor, application.enterprise_id, Some(application.team_id)).await?;
    check_team(standing, action).map_err(|denial| refuse(denial, "the application"))?;
    Ok(application)
}

/// The cluster, if the actor may do this in its enterprise. A member sees only clusters that accept teams.
pub async fn cluster(conn: &mut Conn, actor: &Actor, id: ClusterId, action: EnterpriseAction) -> Result<Cluster> {
    let cluster = cluster::find(conn, id).await?.ok_or(Error::NotFound("the cluster"))?;
    let role = member::role(conn, cluster.enterprise_id, actor.user_id).await?;
    check_enterprise(role, action).map_err(|denial| {
        // A member who may not see this cluster must not learn from FORBIDDEN that it exists.
        let denial = if cluster.accepts_teams { denial } else { Denial::NotFound };
        refuse(denial, "the cluster")
    })?;
    if !cluster.accepts_teams && check_enterprise(role, EnterpriseAction::ViewPlatform).is_err() {
        return Err(Error::NotFound("the cluster"));
    }
    Ok(cluster)
}

/// What the actor is, in an enterprise and in one of its teams.
pub async fn standing(
    conn: &mut Conn,
    actor: &Actor,
    enterprise: EnterpriseId,
    team: Option<TeamId>,
) -> Result<Standing> {
    let enterprise = member::role(conn, enterprise, actor.user_id).await?;
    let team = match team {
        Some(team) => team::role(conn, team, actor.user_id).await?,
        None => None,
    };
    Ok(Standing { enterprise, team })
}

/// The error of a refusal.
pub fn refuse(denial: Denial, noun: &'static str) -> Error {
    match denial {
        Denial::NotFound => Error::NotFound(noun),
        Denial::Forbidden { .. } => Error::Forbidden(denial.to_string()),
    }
}
