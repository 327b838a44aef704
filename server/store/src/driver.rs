//! Drivers that can be chosen for clusters.

use crate::{Conn, Instant, Stored, id::DriverId, on, schema::drivers};
use diesel::{QueryResult, pg::Pg, prelude::*, sqlite::Sqlite};
use diesel_async::RunQueryDsl;

/// A driver component.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = drivers, check_for_backend(Pg, Sqlite))]
pub struct Driver {
    /// Its id.
    pub id: DriverId,
    /// Such as `kubernetes`; unique.
    pub name: String,
    /// As it describes itself.
    pub version: String,
    /// Of the component.
    pub digest: String,
    /// Where it came from: `built-in`.
    pub source: String,
    /// As it describes itself.
    pub features: Stored<Vec<String>>,
    /// JSON Schema of its configuration.
    pub config_schema: Stored<serde_json::Value>,
    /// Its imports beyond the log: what it asks permission for.
    pub requests: Stored<Vec<String>>,
    /// Since when.
    pub created_at: Instant,
}

/// Stores a driver, or what its newer build says of itself.
pub async fn upsert(conn: &mut Conn, driver: &Driver) -> QueryResult<DriverId> {
    on!(conn, |c| diesel::insert_into(drivers::table)
        .values(driver)
        .on_conflict(drivers::name)
        .do_update()
        .set((
            drivers::version.eq(&driver.version),
            drivers::digest.eq(&driver.digest),
            drivers::source.eq(&driver.source),
            drivers::features.eq(&driver.features),
            drivers::config_schema.eq(&driver.config_schema),
            drivers::requests.eq(&driver.requests),
        ))
        .returning(drivers::id)
        .get_result(c)
        .await)
}

/// The driver with this name.
pub async fn by_name(conn: &mut Conn, name: &str) -> QueryResult<Option<Driver>> {
    on!(conn, |c| drivers::table.filter(drivers::name.eq(name)).select(Driver::as_select()).first(c).await.optional())
}

/// Those with these ids.
pub async fn by_ids(conn: &mut Conn, ids: &[DriverId]) -> QueryResult<Vec<Driver>> {
    on!(conn, |c| drivers::table.filter(drivers::id.eq_any(ids)).select(Driver::as_select()).load(c).await)
}

/// A page of drivers, by name.
pub async fn page(conn: &mut Conn, after: Option<String>, limit: i64) -> QueryResult<Vec<Driver>> {
    on!(conn, |c| {
        let mut query = drivers::table.select(Driver::as_select()).into_boxed();
        if let Some(name) = after {
            query = query.filter(drivers::name.gt(name));
        }
        query.order(drivers::name.asc()).limit(limit).load(c).await
    })
}

/// How many there are.
pub async fn total(conn: &mut Conn) -> QueryResult<i64> {
    on!(conn, |c| drivers::table.count().get_result(c).await)
}
