//! Applications.

use crate::{
    Conn, Instant,
    first::{Lists, first_ids},
    id::{ApplicationId, ClusterId, EnterpriseId, Id, OperationId, TeamId},
    on,
    schema::applications,
};
use diesel::{QueryResult, pg::Pg, prelude::*, sqlite::Sqlite};
use diesel_async::RunQueryDsl;

/// What a team runs in one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = applications, check_for_backend(Pg, Sqlite), treat_none_as_default_value = false)]
pub struct Application {
    /// Its id.
    pub id: ApplicationId,
    /// Whose.
    pub enterprise_id: EnterpriseId,
    /// Whose.
    pub team_id: TeamId,
    /// Where.
    pub cluster_id: ClusterId,
    /// The team's namespace there.
    pub namespace: String,
    /// What people call it.
    pub name: String,
    /// What the names of its objects begin with; unique in the namespace.
    pub slug: String,
    /// Counts changes of what it shall be.
    pub generation: i64,
    /// The unfinished operation that changes it.
    pub locked_by: Option<OperationId>,
    /// When it was made.
    pub created_at: Instant,
}

/// Stores a new application.
pub async fn insert(conn: &mut Conn, application: &Application) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(applications::table).values(application).execute(c).await)
}

/// One application.
pub async fn find(conn: &mut Conn, id: ApplicationId) -> QueryResult<Option<Application>> {
    on!(conn, |c| applications::table.find(id).select(Application::as_select()).first(c).await.optional())
}

/// Those with these ids.
pub async fn by_ids(conn: &mut Conn, ids: &[ApplicationId]) -> QueryResult<Vec<Application>> {
    on!(conn, |c| applications::table
        .filter(applications::id.eq_any(ids))
        .select(Application::as_select())
        .load(c)
        .await)
}

/// The one with this slug in a namespace.
pub async fn by_slug(
    conn: &mut Conn,
    cluster: ClusterId,
    namespace: &str,
    slug: &str,
) -> QueryResult<Option<Application>> {
    on!(conn, |c| applications::table
        .filter(
            applications::cluster_id
                .eq(cluster)
                .and(applications::namespace.eq(namespace))
                .and(applications::slug.eq(slug)),
        )
        .select(Application::as_select())
        .first(c)
        .await
        .optional())
}

/// A page of a team's applications, by name.
pub async fn page(
    conn: &mut Conn,
    team: TeamId,
    cluster: Option<ClusterId>,
    after: Option<(String, ApplicationId)>,
    limit: i64,
) -> QueryResult<Vec<Application>> {
    on!(conn, |c| {
        let mut query =
            applications::table.filter(applications::team_id.eq(team)).select(Application::as_select()).into_boxed();
        if let Some(cluster) = cluster {
            query = query.filter(applications::cluster_id.eq(cluster));
        }
        if let Some((name, id)) = after {
            query = query.filter(
                applications::name.gt(name.clone()).or(applications::name.eq(name).and(applications::id.gt(id))),
            );
        }
        query.order((applications::name.asc(), applications::id.asc())).limit(limit).load(c).await
    })
}

/// The first rows of [`page`] of each of these teams, `limit` of each at most. Two statements, however many teams.
pub async fn first_pages(
    conn: &mut Conn,
    teams: &[TeamId],
    cluster: Option<ClusterId>,
    limit: i64,
) -> QueryResult<Vec<Application>> {
    let filter = if cluster.is_some() { "cluster_id = {bound}" } else { "1 = 1" };
    let lists = Lists { table: "applications", parent: "team_id", filter, order: "name, id" };
    let bound = cluster.map(|cluster| Id::new(cluster.0));
    let ids: Vec<ApplicationId> = first_ids(conn, &lists, teams, bound, limit).await?;
    on!(conn, |c| applications::table
        .filter(applications::id.eq_any(&ids))
        .order((applications::name.asc(), applications::id.asc()))
        .select(Application::as_select())
        .load(c)
        .await)
}

/// How many [`page`] would list altogether of each of these teams; one without any is left out.
pub async fn counts(conn: &mut Conn, teams: &[TeamId], cluster: Option<ClusterId>) -> QueryResult<Vec<(TeamId, i64)>> {
    on!(conn, |c| {
        let mut query = applications::table
            .filter(applications::team_id.eq_any(teams))
            .group_by(applications::team_id)
            .select((applications::team_id, diesel::dsl::count_star()))
            .into_boxed();
        if let Some(cluster) = cluster {
            query = query.filter(applications::cluster_id.eq(cluster));
        }
        query.load(c).await
    })
}

/// Counts the generation up if it still is what was observed; says whether it was.
pub async fn advance(conn: &mut Conn, id: ApplicationId, observed: i64) -> QueryResult<bool> {
    on!(conn, |c| diesel::update(
        applications::table.filter(applications::id.eq(id).and(applications::generation.eq(observed))),
    )
    .set(applications::generation.eq(observed + 1))
    .execute(c)
    .await)
    .map(|rows| rows == 1)
}

/// Forgets an application with everything that is only its own.
pub async fn delete(conn: &mut Conn, id: ApplicationId) -> QueryResult<usize> {
    on!(conn, |c| diesel::delete(applications::table.find(id)).execute(c).await)
}
