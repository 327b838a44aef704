//! Who may do what: the checks that every service function begins with.
//!
//! What somebody may not see does not exist for them: they get NOT_FOUND, never FORBIDDEN.

use crate::{
    actor::Actor,
    error::{Error, Result},
    id::{ApplicationId, ClusterId, EnterpriseId, InstallationId, RecordId, TeamId, TemplateId, VersionId},
    store::{
        Conn,
        application::{self, Application},
        cluster::{self, Cluster},
        installation::{self, Installation},
        member,
        record::{self, Record},
        team::{self, Team},
        template::{self, Scope, Template},
        version::{self, Version},
    },
};
use ropeway_domain::access::{
    Denial, EnterpriseAction, Standing, TeamAction, check_enterprise, check_team, check_template,
};

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

/// The template, if the actor may see it.
pub async fn template(conn: &mut Conn, actor: &Actor, id: TemplateId) -> Result<Template> {
    let template = template::find(conn, id).await?.ok_or(Error::NotFound("the template"))?;
    let standing = standing(conn, actor, template.enterprise_id, template.team_id).await?;
    check_template(standing, template.scope.0 == Scope::Team).map_err(|denial| refuse(denial, "the template"))?;
    Ok(template)
}

/// The revision of a version and its template, if the actor may see them.
pub async fn version(conn: &mut Conn, actor: &Actor, id: VersionId) -> Result<(Version, Template)> {
    let version = version::find(conn, id).await?.ok_or(Error::NotFound("the version"))?;
    let template = match template(conn, actor, version.template_id).await {
        Err(Error::NotFound(_)) => return Err(Error::NotFound("the version")),
        other => other?,
    };
    Ok((version, template))
}

/// The installation and its application, if the actor may do this in its team.
pub async fn installation(
    conn: &mut Conn,
    actor: &Actor,
    id: InstallationId,
    action: TeamAction,
) -> Result<(Installation, Application)> {
    let installation = installation::find(conn, id).await?.ok_or(Error::NotFound("the installation"))?;
    match application(conn, actor, installation.application_id, action).await {
        Err(Error::NotFound(_)) => Err(Error::NotFound("the installation")),
        other => Ok((installation, other?)),
    }
}

/// The upgrade record with its installation and application, if the actor may do this in its team.
pub async fn record(
    conn: &mut Conn,
    actor: &Actor,
    id: RecordId,
    action: TeamAction,
) -> Result<(Record, Installation, Application)> {
    let record = record::find(conn, id).await?.ok_or(Error::NotFound("the upgrade record"))?;
    match installation(conn, actor, record.installation_id, action).await {
        Err(Error::NotFound(_)) => Err(Error::NotFound("the upgrade record")),
        other => other.map(|(installation, application)| (record, installation, application)),
    }
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
