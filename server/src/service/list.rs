//! Lists of the platform, filtered before they are paged.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result},
    graphql::page::{Page, PageRequest},
    id::{AuditId, ClusterId, EnterpriseId, TeamId},
    service::find::administers_some,
    store::{
        Instant,
        audit::{self, AuditEntry},
        cluster::{self, Cluster, Reachability},
        driver::{self, Driver},
        enterprise::{self, Enterprise},
        library::{self, Library},
        member::{self, Member},
        team::{self, Team, TeamMember},
        user::User,
    },
};
use ropeway_domain::access::EnterpriseRole;
use std::collections::HashMap;

/// The longest text that lists are searched for.
const MAX_SEARCH: usize = 100;

/// The most clusters of which is told whether they reach the library.
const MAX_CLUSTERS: i64 = 1000;

/// The enterprises of which somebody is a member, by name.
pub async fn list_enterprises(
    app: &App,
    actor: &Actor,
    page: PageRequest<(String, EnterpriseId)>,
) -> Result<Page<Enterprise>> {
    let mut conn = app.database.read().await?;
    let rows = enterprise::page(&mut conn, actor.user_id, page.after.clone(), page.limit()).await?;
    let total = if page.count { enterprise::total(&mut conn, actor.user_id).await? } else { 0 };
    Ok(Page::of(&page, rows, total, |row| (row.name.clone(), row.id)))
}

/// What is searched for is no longer than names are, and PostgreSQL has texts without U+0000 alone.
pub fn check_search(search: Option<&str>) -> Result<()> {
    if search.is_none_or(|text| text.chars().count() <= MAX_SEARCH && !text.contains('\0')) {
        return Ok(());
    }
    let message = format!("at most {MAX_SEARCH} characters, none of them U+0000");
    Err(Error::invalid("INVALID_SEARCH", ["search"], message))
}

/// The clusters of an enterprise, by name: all for its administrators, those that accept teams for its members.
pub async fn list_clusters(
    app: &App,
    id: EnterpriseId,
    role: EnterpriseRole,
    page: PageRequest<String>,
) -> Result<Page<Cluster>> {
    let all = role == EnterpriseRole::Administrator;
    let mut conn = app.database.read().await?;
    let rows = cluster::page(&mut conn, id, all, page.after.clone(), page.limit()).await?;
    let total = if page.count { cluster::total(&mut conn, id, all).await? } else { 0 };
    Ok(Page::of(&page, rows, total, |row| row.name.clone()))
}

/// The teams of an enterprise, by slug: all for its administrators, their own for its members.
pub async fn list_teams(
    app: &App,
    actor: &Actor,
    id: EnterpriseId,
    role: EnterpriseRole,
    search: Option<&str>,
    page: PageRequest<String>,
) -> Result<Page<Team>> {
    let of = (role != EnterpriseRole::Administrator).then_some(actor.user_id);
    let search = search.filter(|text| !text.is_empty());
    check_search(search)?;
    let mut conn = app.database.read().await?;
    let rows = team::page(&mut conn, id, of, search, page.after.clone(), page.limit()).await?;
    let total = if page.count { team::total(&mut conn, id, of, search).await? } else { 0 };
    Ok(Page::of(&page, rows, total, |row| row.slug.clone()))
}

/// The members of an enterprise, by name; none of its members but the administrators may see them.
pub async fn list_members(
    app: &App,
    id: EnterpriseId,
    role: EnterpriseRole,
    page: PageRequest<String>,
) -> Result<Option<Page<(Member, User)>>> {
    if role != EnterpriseRole::Administrator {
        return Ok(None);
    }
    let mut conn = app.database.read().await?;
    let rows = member::page(&mut conn, id, page.after.clone(), page.limit()).await?;
    let total = if page.count { member::total(&mut conn, id).await? } else { 0 };
    Ok(Some(Page::of(&page, rows, total, |(_, user)| user.name.clone())))
}

/// The audit log of an enterprise, newest first, for its administrators.
pub async fn list_audit(
    app: &App,
    id: EnterpriseId,
    role: EnterpriseRole,
    page: PageRequest<(Instant, AuditId)>,
) -> Result<Option<Page<AuditEntry>>> {
    if role != EnterpriseRole::Administrator {
        return Ok(None);
    }
    let mut conn = app.database.read().await?;
    let rows = audit::page(&mut conn, id, page.after, page.limit()).await?;
    let total = if page.count { audit::total(&mut conn, id).await? } else { 0 };
    Ok(Some(Page::of(&page, rows, total, |row| (row.at, row.id))))
}

/// All drivers, by name, for those who administer an enterprise.
pub async fn list_drivers(app: &App, actor: &Actor, page: PageRequest<String>) -> Result<Page<Driver>> {
    let mut conn = app.database.read().await?;
    if !administers_some(&mut conn, actor).await? {
        return Err(Error::Forbidden("this needs the role ADMINISTRATOR in some enterprise".into()));
    }
    let rows = driver::page(&mut conn, page.after.clone(), page.limit()).await?;
    let total = if page.count { driver::total(&mut conn).await? } else { 0 };
    Ok(Page::of(&page, rows, total, |row| row.name.clone()))
}

/// The members of a team, by name, after somebody. Pages from the beginning are gathered, see `graphql::team`.
pub async fn list_team_members(app: &App, id: TeamId, page: &PageRequest<String>) -> Result<Vec<(TeamMember, User)>> {
    let mut conn = app.database.read().await?;
    Ok(team::members_page(&mut conn, id, page.after.clone(), page.limit()).await?)
}

/// The library of an enterprise, for its administrators.
pub async fn find_library(app: &App, id: EnterpriseId, role: EnterpriseRole) -> Result<Option<Library>> {
    if role != EnterpriseRole::Administrator {
        return Ok(None);
    }
    let mut conn = app.database.read().await?;
    Ok(library::find(&mut conn, id).await?)
}

/// Each cluster of an enterprise, and whether it reaches the library as it is configured now.
pub async fn list_reachability(app: &App, library: &Library) -> Result<Vec<(Cluster, Option<Reachability>)>> {
    let mut conn = app.database.read().await?;
    let clusters = cluster::page(&mut conn, library.enterprise_id, true, None, MAX_CLUSTERS).await?;
    let records = cluster::reachability(&mut conn, library.enterprise_id).await?;
    let of_now = records.into_iter().filter(|record| record.library_generation == library.generation);
    let mut records: HashMap<ClusterId, Reachability> = of_now.map(|record| (record.cluster_id, record)).collect();
    Ok(clusters.into_iter().map(|row| (row.id, row)).map(|(id, row)| (row, records.remove(&id))).collect())
}
