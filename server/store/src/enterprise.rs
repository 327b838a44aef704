//! Enterprises.

use crate::{
    Conn, Instant,
    id::{EnterpriseId, UserId},
    on,
    schema::{enterprises, members},
};
use diesel::{QueryResult, pg::Pg, prelude::*, sqlite::Sqlite};
use diesel_async::RunQueryDsl;

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = enterprises, check_for_backend(Pg, Sqlite))]
pub struct Enterprise {
    /// Its id.
    pub id: EnterpriseId,
    /// Unique.
    pub name: String,
    /// When it was made.
    pub created_at: Instant,
}

/// Stores a new one.
pub async fn insert(conn: &mut Conn, enterprise: &Enterprise) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(enterprises::table).values(enterprise).execute(c).await)
}

/// How many there are.
pub async fn count(conn: &mut Conn) -> QueryResult<i64> {
    on!(conn, |c| enterprises::table.count().get_result(c).await)
}

/// Keeps others from changing its members for the rest of the transaction; none if there is no such enterprise.
pub async fn lock(conn: &mut Conn, id: EnterpriseId) -> QueryResult<Option<Enterprise>> {
    on!(conn, |c| diesel::update(enterprises::table.find(id))
        .set(enterprises::name.eq(enterprises::name))
        .returning(Enterprise::as_returning())
        .get_result(c)
        .await
        .optional())
}

/// All ids.
pub async fn ids(conn: &mut Conn) -> QueryResult<Vec<EnterpriseId>> {
    on!(conn, |c| enterprises::table.select(enterprises::id).order(enterprises::id).load(c).await)
}

/// The one with this name.
pub async fn by_name(conn: &mut Conn, name: &str) -> QueryResult<Option<Enterprise>> {
    on!(conn, |c| enterprises::table
        .filter(enterprises::name.eq(name))
        .select(Enterprise::as_select())
        .first(c)
        .await
        .optional())
}

/// Those with these ids of which somebody is a member.
pub async fn by_ids(conn: &mut Conn, ids: &[EnterpriseId], member: UserId) -> QueryResult<Vec<Enterprise>> {
    on!(conn, |c| enterprises::table
        .inner_join(members::table)
        .filter(enterprises::id.eq_any(ids).and(members::user_id.eq(member)))
        .select(Enterprise::as_select())
        .load(c)
        .await)
}

/// A page of those of which somebody is a member, by name.
pub async fn page(
    conn: &mut Conn,
    member: UserId,
    after: Option<(String, EnterpriseId)>,
    limit: i64,
) -> QueryResult<Vec<Enterprise>> {
    on!(conn, |c| {
        let mut query = enterprises::table
            .inner_join(members::table)
            .filter(members::user_id.eq(member))
            .select(Enterprise::as_select())
            .into_boxed();
        if let Some((name, id)) = after {
            query = query
                .filter(enterprises::name.gt(name.clone()).or(enterprises::name.eq(name).and(enterprises::id.gt(id))));
        }
        query.order((enterprises::name.asc(), enterprises::id.asc())).limit(limit).load(c).await
    })
}

/// Of how many somebody is a member.
pub async fn total(conn: &mut Conn, member: UserId) -> QueryResult<i64> {
    on!(conn, |c| members::table.filter(members::user_id.eq(member)).count().get_result(c).await)
}
