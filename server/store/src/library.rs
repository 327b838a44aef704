//! The library's registry of each enterprise.

use crate::{Conn, Instant, Key, id::EnterpriseId, on, schema::libraries};
use diesel::{QueryResult, pg::Pg, prelude::*, sqlite::Sqlite};
use diesel_async::RunQueryDsl;
use ropeway_domain::SecretId;

/// Where an enterprise keeps its published images.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = libraries, primary_key(enterprise_id), check_for_backend(Pg, Sqlite))]
#[diesel(treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct Library {
    /// Whose.
    pub enterprise_id: EnterpriseId,
    /// Whether it is the registry within the server.
    pub embedded: bool,
    /// `host[:port]` that the server speaks to.
    pub url: String,
    /// `host[:port]` that clusters pull from.
    pub public_url: String,
    /// What the names of its repositories begin with; empty, or ends with `/`.
    pub prefix: String,
    /// As whom the server speaks to it.
    pub username: Option<String>,
    /// The sealed password of that.
    pub password: Option<Key<SecretId>>,
    /// As whom clusters pull.
    pub pull_username: Option<String>,
    /// The sealed password of that.
    pub pull_password: Option<Key<SecretId>>,
    /// PEM; trusted besides the system's.
    pub ca_certificate: Option<String>,
    /// Whether it is spoken to without TLS.
    pub plain_http: bool,
    /// Whether the server reached it when it was checked last.
    pub reachable: Option<bool>,
    /// When that was.
    pub checked_at: Option<Instant>,
    /// Why it was not reached.
    pub message: Option<String>,
    /// Counts changes of its configuration.
    pub generation: i64,
}

/// Stores a configuration, in place of the one before.
pub async fn set(conn: &mut Conn, library: &Library) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(libraries::table)
        .values(library)
        .on_conflict(libraries::enterprise_id)
        .do_update()
        .set(library)
        .execute(c)
        .await)
}

/// The library of an enterprise.
pub async fn find(conn: &mut Conn, enterprise: EnterpriseId) -> QueryResult<Option<Library>> {
    on!(conn, |c| libraries::table.find(enterprise).select(Library::as_select()).first(c).await.optional())
}

/// The libraries of these enterprises.
pub async fn of_enterprises(conn: &mut Conn, enterprises: &[EnterpriseId]) -> QueryResult<Vec<Library>> {
    on!(conn, |c| libraries::table
        .filter(libraries::enterprise_id.eq_any(enterprises))
        .select(Library::as_select())
        .load(c)
        .await)
}

/// How many are in the embedded registry.
pub async fn count_embedded(conn: &mut Conn) -> QueryResult<i64> {
    on!(conn, |c| libraries::table.filter(libraries::embedded.eq(true)).count().get_result(c).await)
}

/// The embedded one that is pushed to or pulled from as this user, for the registry to know who asks.
pub async fn embedded_of(conn: &mut Conn, username: &str) -> QueryResult<Option<Library>> {
    on!(conn, |c| libraries::table
        .filter(libraries::embedded.eq(true))
        .filter(libraries::pull_username.eq(username).or(libraries::username.eq(username)))
        .select(Library::as_select())
        .first(c)
        .await
        .optional())
}

/// Records whether the server reached it, unless its configuration changed since.
pub async fn record(
    conn: &mut Conn,
    enterprise: EnterpriseId,
    generation: i64,
    reachable: bool,
    message: Option<&str>,
    at: Instant,
) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(
        libraries::table.filter(libraries::enterprise_id.eq(enterprise).and(libraries::generation.eq(generation))),
    )
    .set((libraries::reachable.eq(Some(reachable)), libraries::checked_at.eq(Some(at)), libraries::message.eq(message)))
    .execute(c)
    .await)
}
