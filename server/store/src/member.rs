//! Who belongs to an enterprise, as what.

use crate::{
    Conn, Instant, Word,
    id::{EnterpriseId, UserId},
    on,
    schema::{members, users},
    user::User,
};
use diesel::{QueryResult, pg::Pg, prelude::*, sqlite::Sqlite};
use diesel_async::RunQueryDsl;
use ropeway_domain::access::EnterpriseRole;

/// One membership.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = members, check_for_backend(Pg, Sqlite))]
pub struct Member {
    /// Of what.
    pub enterprise_id: EnterpriseId,
    /// Who.
    pub user_id: UserId,
    /// As what.
    pub role: Word<EnterpriseRole>,
    /// Since when.
    pub created_at: Instant,
}

/// What somebody is in an enterprise.
pub async fn role(conn: &mut Conn, enterprise: EnterpriseId, user: UserId) -> QueryResult<Option<EnterpriseRole>> {
    let role: Option<Word<EnterpriseRole>> =
        on!(conn, |c| members::table.find((enterprise, user)).select(members::role).first(c).await.optional())?;
    Ok(role.map(|role| role.0))
}

/// What the administrators of an enterprise and these people are in it.
pub async fn roles_among(
    conn: &mut Conn,
    enterprise: EnterpriseId,
    people: &[UserId],
) -> QueryResult<Vec<(UserId, Word<EnterpriseRole>)>> {
    on!(conn, |c| members::table
        .filter(members::enterprise_id.eq(enterprise))
        .filter(members::user_id.eq_any(people).or(members::role.eq(Word(EnterpriseRole::Administrator))))
        .select((members::user_id, members::role))
        .load(c)
        .await)
}

/// All roles of somebody, by enterprise.
pub async fn roles_of(conn: &mut Conn, user: UserId) -> QueryResult<Vec<(EnterpriseId, Word<EnterpriseRole>)>> {
    on!(conn, |c| members::table
        .filter(members::user_id.eq(user))
        .select((members::enterprise_id, members::role))
        .load(c)
        .await)
}

/// Adds somebody, or changes what they are.
pub async fn set(conn: &mut Conn, member: &Member) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(members::table)
        .values(member)
        .on_conflict((members::enterprise_id, members::user_id))
        .do_update()
        .set(members::role.eq(member.role))
        .execute(c)
        .await)
}

/// Removes somebody.
pub async fn delete(conn: &mut Conn, enterprise: EnterpriseId, user: UserId) -> QueryResult<usize> {
    on!(conn, |c| diesel::delete(members::table.find((enterprise, user))).execute(c).await)
}

/// How many administrators there are.
pub async fn administrators(conn: &mut Conn, enterprise: EnterpriseId) -> QueryResult<i64> {
    on!(conn, |c| members::table
        .filter(members::enterprise_id.eq(enterprise).and(members::role.eq(Word(EnterpriseRole::Administrator))))
        .count()
        .get_result(c)
        .await)
}

/// A page of members, by name.
pub async fn page(
    conn: &mut Conn,
    enterprise: EnterpriseId,
    after: Option<String>,
    limit: i64,
) -> QueryResult<Vec<(Member, User)>> {
    on!(conn, |c| {
        let mut query = members::table
            .inner_join(users::table)
            .filter(members::enterprise_id.eq(enterprise))
            .select((Member::as_select(), User::as_select()))
            .into_boxed();
        if let Some(name) = after {
            query = query.filter(users::name.gt(name));
        }
        query.order(users::name.asc()).limit(limit).load(c).await
    })
}

/// How many members there are.
pub async fn total(conn: &mut Conn, enterprise: EnterpriseId) -> QueryResult<i64> {
    on!(conn, |c| members::table.filter(members::enterprise_id.eq(enterprise)).count().get_result(c).await)
}
