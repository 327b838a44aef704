//! Users and their sessions.

use crate::{
    Conn, Instant,
    id::{SessionId, UserId},
    on,
    schema::{members, sessions, users},
};
use diesel::{QueryResult, pg::Pg, prelude::*, sqlite::Sqlite};
use diesel_async::RunQueryDsl;

/// A person who signs in.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = users, check_for_backend(Pg, Sqlite))]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// What they sign in with; unique.
    pub name: String,
    /// What people call them.
    pub display_name: String,
    /// A PHC string (argon2id).
    pub password_hash: String,
    /// Whether the password was given by somebody else.
    pub must_change_password: bool,
    /// Since when.
    pub created_at: Instant,
}

/// A signed-in session. Only the hash of its token is kept.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = sessions, check_for_backend(Pg, Sqlite))]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// SHA-256.
    pub token_hash: Vec<u8>,
    /// Since when.
    pub created_at: Instant,
    /// Until when.
    pub expires_at: Instant,
}

/// Stores a new user.
pub async fn insert(conn: &mut Conn, user: &User) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(users::table).values(user).execute(c).await)
}

/// The user who signs in with this name.
pub async fn by_name(conn: &mut Conn, name: &str) -> QueryResult<Option<User>> {
    on!(conn, |c| users::table.filter(users::name.eq(name)).select(User::as_select()).first(c).await.optional())
}

/// One user.
pub async fn find(conn: &mut Conn, id: UserId) -> QueryResult<Option<User>> {
    on!(conn, |c| users::table.find(id).select(User::as_select()).first(c).await.optional())
}

/// The one user that there is; none where there are several.
pub async fn only_one(conn: &mut Conn) -> QueryResult<Option<User>> {
    let mut found = on!(conn, |c| users::table.limit(2).select(User::as_select()).load(c).await)?;
    Ok(found.pop().filter(|_| found.is_empty()))
}

/// Whether somebody has a session, valid or not.
pub async fn has_session(conn: &mut Conn, id: UserId) -> QueryResult<bool> {
    on!(conn, |c| sessions::table.filter(sessions::user_id.eq(id)).count().get_result::<i64>(c).await)
        .map(|count| count > 0)
}

/// Those who share an enterprise with somebody.
pub async fn by_ids(conn: &mut Conn, ids: &[UserId], seen_by: UserId) -> QueryResult<Vec<User>> {
    let (mine, theirs) = diesel::alias!(members as mine, members as theirs);
    on!(conn, |c| {
        let shared = theirs
            .inner_join(mine.on(mine.field(members::enterprise_id).eq(theirs.field(members::enterprise_id))))
            .filter(mine.field(members::user_id).eq(seen_by))
            .select(theirs.field(members::user_id));
        users::table
            .filter(users::id.eq_any(ids))
            .filter(users::id.eq_any(shared).or(users::id.eq(seen_by)))
            .select(User::as_select())
            .load(c)
            .await
    })
}

/// What people call these users, wherever they belong to.
pub async fn display_names(conn: &mut Conn, ids: &[UserId]) -> QueryResult<Vec<(UserId, String)>> {
    on!(conn, |c| users::table.filter(users::id.eq_any(ids)).select((users::id, users::display_name)).load(c).await)
}

/// Sets a password.
pub async fn set_password(conn: &mut Conn, id: UserId, hash: &str, must_change: bool) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(users::table.find(id))
        .set((users::password_hash.eq(hash), users::must_change_password.eq(must_change)))
        .execute(c)
        .await)
}

/// Stores a new session.
pub async fn insert_session(conn: &mut Conn, session: &Session) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(sessions::table).values(session).execute(c).await)
}

/// The session of a token that has not expired, with its user.
pub async fn session(conn: &mut Conn, token_hash: &[u8], now: Instant) -> QueryResult<Option<(Session, User)>> {
    on!(conn, |c| sessions::table
        .inner_join(users::table)
        .filter(sessions::token_hash.eq(token_hash).and(sessions::expires_at.gt(now)))
        .select((Session::as_select(), User::as_select()))
        .first(c)
        .await
        .optional())
}

/// As [`session`], by its id.
pub async fn session_by_id(conn: &mut Conn, id: SessionId, now: Instant) -> QueryResult<Option<(Session, User)>> {
    on!(conn, |c| sessions::table
        .inner_join(users::table)
        .filter(sessions::id.eq(id).and(sessions::expires_at.gt(now)))
        .select((Session::as_select(), User::as_select()))
        .first(c)
        .await
        .optional())
}

/// Ends a session.
pub async fn delete_session(conn: &mut Conn, id: SessionId) -> QueryResult<usize> {
    on!(conn, |c| diesel::delete(sessions::table.find(id)).execute(c).await)
}

/// Ends all sessions of a user but one.
pub async fn delete_other_sessions(conn: &mut Conn, user: UserId, keep: SessionId) -> QueryResult<usize> {
    on!(conn, |c| diesel::delete(sessions::table.filter(sessions::user_id.eq(user).and(sessions::id.ne(keep))))
        .execute(c)
        .await)
}

/// Forgets sessions that have expired.
pub async fn delete_expired_sessions(conn: &mut Conn, now: Instant) -> QueryResult<usize> {
    on!(conn, |c| diesel::delete(sessions::table.filter(sessions::expires_at.le(now))).execute(c).await)
}
