//! Teams, their members, and the clusters on which they are opened.

use crate::{
    Conn, Instant, Word,
    id::{ClusterId, EnterpriseId, OpeningId, TeamId, UserId},
    on,
    schema::{applications, installations, team_members, team_openings, teams, templates, users},
    types::{IdSql, InstantSql},
    user::User,
};
use diesel::{
    QueryResult,
    pg::Pg,
    prelude::*,
    sql_types::{BigInt, Bool, Text},
    sqlite::Sqlite,
};
use diesel_async::RunQueryDsl;
use ropeway_domain::access::TeamRole;

/// People and a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = teams, check_for_backend(Pg, Sqlite))]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// Whose.
    pub enterprise_id: EnterpriseId,
    /// What people call it.
    pub name: String,
    /// Its English name; unique in the enterprise.
    pub slug: String,
    /// When it was made.
    pub created_at: Instant,
}

/// One membership of a team.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = team_members, check_for_backend(Pg, Sqlite))]
pub struct TeamMember {
    /// Of what.
    pub team_id: TeamId,
    /// Who.
    pub user_id: UserId,
    /// As what.
    pub role: Word<TeamRole>,
    /// Since when.
    pub created_at: Instant,
}

/// A team opened on a cluster, in its namespace there.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = team_openings, check_for_backend(Pg, Sqlite))]
pub struct Opening {
    /// Its id.
    pub id: OpeningId,
    /// Which team.
    pub team_id: TeamId,
    /// On which cluster; once.
    pub cluster_id: ClusterId,
    /// Unique in the cluster.
    pub namespace: String,
    /// Since when.
    pub created_at: Instant,
}

/// Stores a new team.
pub async fn insert(conn: &mut Conn, team: &Team) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(teams::table).values(team).execute(c).await)
}

/// One team.
pub async fn find(conn: &mut Conn, id: TeamId) -> QueryResult<Option<Team>> {
    on!(conn, |c| teams::table.find(id).select(Team::as_select()).first(c).await.optional())
}

/// Keeps others from changing its members for the rest of the transaction; none if there is no such team.
pub async fn lock(conn: &mut Conn, id: TeamId) -> QueryResult<Option<Team>> {
    on!(conn, |c| diesel::update(teams::table.find(id))
        .set(teams::name.eq(teams::name))
        .returning(Team::as_returning())
        .get_result(c)
        .await
        .optional())
}

/// The team with this slug.
pub async fn by_slug(conn: &mut Conn, enterprise: EnterpriseId, slug: &str) -> QueryResult<Option<Team>> {
    on!(conn, |c| teams::table
        .filter(teams::enterprise_id.eq(enterprise).and(teams::slug.eq(slug)))
        .select(Team::as_select())
        .first(c)
        .await
        .optional())
}

/// Those with these ids.
pub async fn by_ids(conn: &mut Conn, ids: &[TeamId]) -> QueryResult<Vec<Team>> {
    on!(conn, |c| teams::table.filter(teams::id.eq_any(ids)).select(Team::as_select()).load(c).await)
}

/// A page of an enterprise's teams by slug: all, or those of one person.
pub async fn page(
    conn: &mut Conn,
    enterprise: EnterpriseId,
    of: Option<UserId>,
    search: Option<&str>,
    after: Option<String>,
    limit: i64,
) -> QueryResult<Vec<Team>> {
    on!(conn, |c| {
        let mut query = teams::table.filter(teams::enterprise_id.eq(enterprise)).select(Team::as_select()).into_boxed();
        if let Some(user) = of {
            let mine = team_members::table.filter(team_members::user_id.eq(user)).select(team_members::team_id);
            query = query.filter(teams::id.eq_any(mine));
        }
        if let Some(text) = search {
            let pattern = contains(text);
            let of_name = lower(teams::name).like(lower(pattern.clone())).escape('\\');
            query = query.filter(of_name.or(lower(teams::slug).like(lower(pattern)).escape('\\')));
        }
        if let Some(slug) = after {
            query = query.filter(teams::slug.gt(slug));
        }
        query.order(teams::slug.asc()).limit(limit).load(c).await
    })
}

/// How many [`page`] would list altogether.
pub async fn total(
    conn: &mut Conn,
    enterprise: EnterpriseId,
    of: Option<UserId>,
    search: Option<&str>,
) -> QueryResult<i64> {
    on!(conn, |c| {
        let mut query =
            teams::table.filter(teams::enterprise_id.eq(enterprise)).select(diesel::dsl::count_star()).into_boxed();
        if let Some(user) = of {
            let mine = team_members::table.filter(team_members::user_id.eq(user)).select(team_members::team_id);
            query = query.filter(teams::id.eq_any(mine));
        }
        if let Some(text) = search {
            let pattern = contains(text);
            let of_name = lower(teams::name).like(lower(pattern.clone())).escape('\\');
            query = query.filter(of_name.or(lower(teams::slug).like(lower(pattern)).escape('\\')));
        }
        query.get_result(c).await
    })
}

/// Forgets a team, its members and openings.
pub async fn delete(conn: &mut Conn, id: TeamId) -> QueryResult<usize> {
    on!(conn, |c| diesel::delete(teams::table.find(id)).execute(c).await)
}

/// What keeps a team from being deleted: the names of its applications and templates, a few of each.
pub async fn users_of(conn: &mut Conn, id: TeamId) -> QueryResult<(Vec<String>, Vec<String>)> {
    let applications = on!(conn, |c| applications::table
        .filter(applications::team_id.eq(id))
        .select(applications::name)
        .order(applications::name)
        .limit(10)
        .load(c)
        .await)?;
    let templates = on!(conn, |c| templates::table
        .filter(templates::team_id.eq(id))
        .select(templates::name)
        .order(templates::name)
        .limit(10)
        .load(c)
        .await)?;
    Ok((applications, templates))
}

/// What somebody is in a team.
pub async fn role(conn: &mut Conn, team: TeamId, user: UserId) -> QueryResult<Option<TeamRole>> {
    let role: Option<Word<TeamRole>> =
        on!(conn, |c| team_members::table.find((team, user)).select(team_members::role).first(c).await.optional())?;
    Ok(role.map(|role| role.0))
}

/// What somebody is in each of these teams.
pub async fn roles(conn: &mut Conn, teams: &[TeamId], user: UserId) -> QueryResult<Vec<(TeamId, Word<TeamRole>)>> {
    on!(conn, |c| team_members::table
        .filter(team_members::team_id.eq_any(teams).and(team_members::user_id.eq(user)))
        .select((team_members::team_id, team_members::role))
        .load(c)
        .await)
}

/// Adds somebody, or changes what they are.
pub async fn set_member(conn: &mut Conn, member: &TeamMember) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(team_members::table)
        .values(member)
        .on_conflict((team_members::team_id, team_members::user_id))
        .do_update()
        .set(team_members::role.eq(member.role))
        .execute(c)
        .await)
}

/// Removes somebody.
pub async fn delete_member(conn: &mut Conn, team: TeamId, user: UserId) -> QueryResult<usize> {
    on!(conn, |c| diesel::delete(team_members::table.find((team, user))).execute(c).await)
}

/// What the owners of a team and these people are in it.
pub async fn roles_among(
    conn: &mut Conn,
    team: TeamId,
    people: &[UserId],
) -> QueryResult<Vec<(UserId, Word<TeamRole>)>> {
    on!(conn, |c| team_members::table
        .filter(team_members::team_id.eq(team))
        .filter(team_members::user_id.eq_any(people).or(team_members::role.eq(Word(TeamRole::Owner))))
        .select((team_members::user_id, team_members::role))
        .load(c)
        .await)
}

/// How many owners a team has.
pub async fn owners(conn: &mut Conn, team: TeamId) -> QueryResult<i64> {
    on!(conn, |c| team_members::table
        .filter(team_members::team_id.eq(team).and(team_members::role.eq(Word(TeamRole::Owner))))
        .count()
        .get_result(c)
        .await)
}

/// The teams of an enterprise in which somebody is, as what.
pub async fn memberships(
    conn: &mut Conn,
    enterprise: EnterpriseId,
    user: UserId,
) -> QueryResult<Vec<(TeamId, String, Word<TeamRole>)>> {
    on!(conn, |c| team_members::table
        .inner_join(teams::table)
        .filter(teams::enterprise_id.eq(enterprise).and(team_members::user_id.eq(user)))
        .select((teams::id, teams::name, team_members::role))
        .load(c)
        .await)
}

/// A page of members, by name.
pub async fn members_page(
    conn: &mut Conn,
    team: TeamId,
    after: Option<String>,
    limit: i64,
) -> QueryResult<Vec<(TeamMember, User)>> {
    on!(conn, |c| {
        let mut query = team_members::table
            .inner_join(users::table)
            .filter(team_members::team_id.eq(team))
            .select((TeamMember::as_select(), User::as_select()))
            .into_boxed();
        if let Some(name) = after {
            query = query.filter(users::name.gt(name));
        }
        query.order(users::name.asc()).limit(limit).load(c).await
    })
}

/// The first members of each of these teams, by name: `limit` of each at most. One statement, however many teams.
pub async fn first_members(conn: &mut Conn, teams: &[TeamId], limit: i64) -> QueryResult<Vec<(TeamMember, User)>> {
    if teams.is_empty() {
        return Ok(Vec::new());
    }
    // Both databases take `$n`, in the order of its first appearance.
    let places: Vec<String> = (1..=teams.len()).map(|place| format!("${place}")).collect();
    let text = format!(
        "SELECT team_id, user_id, role, joined_at, name, display_name, password_hash, must_change_password, created_at \
         FROM (SELECT m.team_id, m.user_id, m.role, m.created_at AS joined_at, u.name, u.display_name, \
         u.password_hash, u.must_change_password, u.created_at, \
         row_number() OVER (PARTITION BY m.team_id ORDER BY u.name) AS place \
         FROM team_members m JOIN users u ON u.id = m.user_id WHERE m.team_id IN ({})) AS numbered \
         WHERE place <= ${} ORDER BY team_id, place",
        places.join(", "),
        teams.len() + 1,
    );
    let rows: Vec<FirstMember> = on!(conn, |c| {
        let mut query = diesel::sql_query(text).into_boxed();
        for team in teams {
            query = query.bind::<IdSql, _>(*team);
        }
        query.bind::<BigInt, _>(limit).load(c).await
    })?;
    Ok(rows.into_iter().map(FirstMember::parts).collect())
}

/// How many members each of these teams has; one without any is left out.
pub async fn member_counts(conn: &mut Conn, teams: &[TeamId]) -> QueryResult<Vec<(TeamId, i64)>> {
    on!(conn, |c| team_members::table
        .filter(team_members::team_id.eq_any(teams))
        .group_by(team_members::team_id)
        .select((team_members::team_id, diesel::dsl::count_star()))
        .load(c)
        .await)
}

#[derive(QueryableByName)]
#[diesel(check_for_backend(Pg, Sqlite))]
struct FirstMember {
    #[diesel(sql_type = IdSql)]
    team_id: TeamId,
    #[diesel(sql_type = IdSql)]
    user_id: UserId,
    #[diesel(sql_type = Text)]
    role: Word<TeamRole>,
    #[diesel(sql_type = InstantSql)]
    joined_at: Instant,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    display_name: String,
    #[diesel(sql_type = Text)]
    password_hash: String,
    #[diesel(sql_type = Bool)]
    must_change_password: bool,
    #[diesel(sql_type = InstantSql)]
    created_at: Instant,
}

impl FirstMember {
    fn parts(self) -> (TeamMember, User) {
        let member =
            TeamMember { team_id: self.team_id, user_id: self.user_id, role: self.role, created_at: self.joined_at };
        let user = User {
            id: self.user_id,
            name: self.name,
            display_name: self.display_name,
            password_hash: self.password_hash,
            must_change_password: self.must_change_password,
            created_at: self.created_at,
        };
        (member, user)
    }
}

/// Opens a team on a cluster.
pub async fn insert_opening(conn: &mut Conn, opening: &Opening) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(team_openings::table).values(opening).execute(c).await)
}

/// Where a team is on one cluster.
pub async fn opening(conn: &mut Conn, team: TeamId, cluster: ClusterId) -> QueryResult<Option<Opening>> {
    on!(conn, |c| team_openings::table
        .filter(team_openings::team_id.eq(team).and(team_openings::cluster_id.eq(cluster)))
        .select(Opening::as_select())
        .first(c)
        .await
        .optional())
}

/// Whose a namespace of a cluster is.
pub async fn opening_of(conn: &mut Conn, cluster: ClusterId, namespace: &str) -> QueryResult<Option<Opening>> {
    on!(conn, |c| team_openings::table
        .filter(team_openings::cluster_id.eq(cluster).and(team_openings::namespace.eq(namespace)))
        .select(Opening::as_select())
        .first(c)
        .await
        .optional())
}

/// Where these teams are opened.
pub async fn openings(conn: &mut Conn, teams: &[TeamId]) -> QueryResult<Vec<Opening>> {
    on!(conn, |c| team_openings::table
        .filter(team_openings::team_id.eq_any(teams))
        .order((team_openings::created_at.asc(), team_openings::id.asc()))
        .select(Opening::as_select())
        .load(c)
        .await)
}

/// The names of the teams that are opened on a cluster, a few of them.
pub async fn opened_on(conn: &mut Conn, cluster: ClusterId) -> QueryResult<Vec<String>> {
    on!(conn, |c| team_openings::table
        .inner_join(teams::table)
        .filter(team_openings::cluster_id.eq(cluster))
        .select(teams::name)
        .order(teams::name)
        .limit(10)
        .load(c)
        .await)
}

/// Whether a team ever installed something: records of it are kept.
pub async fn has_history(conn: &mut Conn, team: TeamId) -> QueryResult<bool> {
    on!(conn, |c| installations::table.filter(installations::team_id.eq(team)).count().get_result::<i64>(c).await)
        .map(|count| count > 0)
}

define_sql_function! {
    /// The text in lower case: LIKE tells cases apart in PostgreSQL, and not in SQLite.
    fn lower(text: Text) -> Text;
}

/// A pattern for LIKE that finds a text as it is.
pub fn contains(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}
