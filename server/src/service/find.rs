//! Finding one thing of the platform by its id. What somebody may not see does not exist for them.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result},
    id::{AuditId, ClusterId, DriverId, EnterpriseId, TeamId, UserId},
    service::authorize,
    store::{
        Conn,
        audit::{self, AuditEntry},
        cluster::Cluster,
        driver::{self, Driver},
        enterprise::{self, Enterprise},
        member,
        team::{self, Team},
        user::{self, User},
    },
};
use ropeway_domain::access::{EnterpriseAction, EnterpriseRole, Standing, TeamAction, check_enterprise, check_team};
use std::collections::HashMap;

/// An enterprise of which somebody is a member.
pub async fn find_enterprise(app: &App, actor: &Actor, id: EnterpriseId) -> Result<Enterprise> {
    let mut conn = app.database.read().await?;
    enterprise::by_ids(&mut conn, &[id], actor.user_id).await?.pop().ok_or(Error::NotFound("the enterprise"))
}

/// A team that somebody may see.
pub async fn find_team(app: &App, actor: &Actor, id: TeamId) -> Result<Team> {
    let mut conn = app.database.read().await?;
    authorize::team(&mut conn, actor, id, TeamAction::View).await
}

/// Those of these teams that somebody may see. Three queries, however many there are.
pub async fn find_teams(app: &App, actor: &Actor, ids: &[TeamId]) -> Result<Vec<Team>> {
    let mut conn = app.database.read().await?;
    let mut found = team::by_ids(&mut conn, ids).await?;
    let in_teams: HashMap<_, _> = team::roles(&mut conn, ids, actor.user_id).await?.into_iter().collect();
    let in_enterprises: HashMap<_, _> = member::roles_of(&mut conn, actor.user_id).await?.into_iter().collect();
    found.retain(|team| {
        let enterprise = in_enterprises.get(&team.enterprise_id).map(|role| role.0);
        let standing = Standing { enterprise, team: in_teams.get(&team.id).map(|role| role.0) };
        check_team(standing, TeamAction::View).is_ok()
    });
    Ok(found)
}

/// A cluster that somebody may see, and whether they may see all of it.
pub async fn find_cluster(app: &App, actor: &Actor, id: ClusterId) -> Result<(Cluster, bool)> {
    let mut conn = app.database.read().await?;
    let cluster = authorize::cluster(&mut conn, actor, id, EnterpriseAction::View).await?;
    let role = member::role(&mut conn, cluster.enterprise_id, actor.user_id).await?;
    let is_shown_whole = check_enterprise(role, EnterpriseAction::ViewPlatform).is_ok();
    Ok((cluster, is_shown_whole))
}

/// A user with whom somebody shares an enterprise.
pub async fn find_user(app: &App, actor: &Actor, id: UserId) -> Result<User> {
    let mut conn = app.database.read().await?;
    user::by_ids(&mut conn, &[id], actor.user_id).await?.pop().ok_or(Error::NotFound("the user"))
}

/// A driver, for those who administer an enterprise.
pub async fn find_driver(app: &App, actor: &Actor, id: DriverId) -> Result<Driver> {
    let mut conn = app.database.read().await?;
    if !administers_some(&mut conn, actor).await? {
        return Err(Error::NotFound("the driver"));
    }
    driver::by_ids(&mut conn, &[id]).await?.pop().ok_or(Error::NotFound("the driver"))
}

/// An entry of the audit log, for those who administer its enterprise.
pub async fn find_audit_entry(app: &App, actor: &Actor, id: AuditId) -> Result<AuditEntry> {
    let missing = || Error::NotFound("the audit entry");
    let mut conn = app.database.read().await?;
    let entry = audit::by_ids(&mut conn, &[id]).await?.pop().ok_or_else(missing)?;
    let enterprise = entry.enterprise_id.ok_or_else(missing)?;
    let role = member::role(&mut conn, enterprise, actor.user_id).await?;
    check_enterprise(role, EnterpriseAction::ViewAudit).map_err(|_| missing())?;
    Ok(entry)
}

/// Whether somebody administers an enterprise; not so of one that does not exist for them.
pub async fn is_administrator(app: &App, actor: &Actor, id: EnterpriseId) -> Result<bool> {
    let mut conn = app.database.read().await?;
    Ok(member::role(&mut conn, id, actor.user_id).await? == Some(EnterpriseRole::Administrator))
}

/// Whether somebody administers any enterprise.
pub(super) async fn administers_some(conn: &mut Conn, actor: &Actor) -> Result<bool> {
    let roles = member::roles_of(conn, actor.user_id).await?;
    Ok(roles.iter().any(|(_, role)| role.0 == EnterpriseRole::Administrator))
}
