//! Components of applications.

use crate::{
    Conn, Instant, Key, Stored,
    id::{ApplicationId, ClusterId, ComponentId, InstallationId, VersionId},
    on,
    schema::{applications, components},
};
use diesel::{QueryResult, pg::Pg, prelude::*, sqlite::Sqlite};
use diesel_async::RunQueryDsl;
use ropeway_domain::{Component as Spec, ComponentKey, Value};

/// One workload of an application.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = components, check_for_backend(Pg, Sqlite), treat_none_as_default_value = false)]
pub struct Component {
    /// Its id.
    pub id: ComponentId,
    /// Where it belongs.
    pub application_id: ApplicationId,
    /// The installation that it came with.
    pub installation_id: Option<InstallationId>,
    /// Its identity in its application.
    pub key: Key<ComponentKey>,
    /// Its identity in the template that it came from.
    pub template_key: Option<Key<ComponentKey>>,
    /// The revision that it is at.
    pub version_id: Option<VersionId>,
    /// Whether the version of the installation has no counterpart of it.
    pub no_longer_in_template: bool,
    /// What people call it.
    pub name: String,
    /// Unique in its application.
    pub slug: String,
    /// The name of its objects: derived once, kept for life.
    pub cluster_name: String,
    /// What it shall be, in the keys of the application; none once it is to be removed.
    pub desired: Option<Stored<Spec<Value>>>,
    /// What was applied last; none before the first time.
    pub deployed: Option<Stored<Spec<Value>>>,
    /// When it was made.
    pub created_at: Instant,
}

/// Stores a new one.
pub async fn insert(conn: &mut Conn, row: &Component) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(components::table).values(row).execute(c).await)
}

/// One by its id.
pub async fn find(conn: &mut Conn, id: ComponentId) -> QueryResult<Option<Component>> {
    on!(conn, |c| components::table.find(id).select(Component::as_select()).first(c).await.optional())
}

/// Those with these ids.
pub async fn by_ids(conn: &mut Conn, ids: &[ComponentId]) -> QueryResult<Vec<Component>> {
    on!(conn, |c| components::table.filter(components::id.eq_any(ids)).select(Component::as_select()).load(c).await)
}

/// All of some applications, removed ones included, by name.
pub async fn of_applications(conn: &mut Conn, applications: &[ApplicationId]) -> QueryResult<Vec<Component>> {
    on!(conn, |c| components::table
        .filter(components::application_id.eq_any(applications))
        .order((components::name.asc(), components::id.asc()))
        .select(Component::as_select())
        .load(c)
        .await)
}

/// Writes what it shall be, and where that came from.
pub async fn update_desired(conn: &mut Conn, row: &Component) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(components::table.find(row.id))
        .set((
            components::name.eq(&row.name),
            components::desired.eq(&row.desired),
            components::version_id.eq(row.version_id),
            components::no_longer_in_template.eq(row.no_longer_in_template),
        ))
        .execute(c)
        .await)
}

/// Writes what was applied last of one of an application's.
pub async fn set_deployed(conn: &mut Conn, application: ApplicationId, spec: &Spec<Value>) -> QueryResult<usize> {
    let row = || components::application_id.eq(application).and(components::key.eq(Key(spec.key)));
    on!(conn, |c| diesel::update(components::table.filter(row()))
        .set(components::deployed.eq(Stored(spec.clone())))
        .execute(c)
        .await)
}

/// Nothing of one runs any more: its row goes if a person removed it, or else holds no deployment.
pub async fn set_gone(conn: &mut Conn, application: ApplicationId, key: ComponentKey) -> QueryResult<()> {
    let row = || components::application_id.eq(application).and(components::key.eq(Key(key)));
    on!(conn, |c| diesel::delete(components::table.filter(row().and(components::desired.is_null()))).execute(c).await)?;
    on!(conn, |c| diesel::update(components::table.filter(row()))
        .set(components::deployed.eq(None::<Vec<u8>>))
        .execute(c)
        .await)?;
    Ok(())
}

/// The cluster names in use in a namespace, by whichever application.
pub async fn names_in_namespace(conn: &mut Conn, cluster: ClusterId, namespace: &str) -> QueryResult<Vec<String>> {
    on!(conn, |c| components::table
        .inner_join(applications::table)
        .filter(applications::cluster_id.eq(cluster).and(applications::namespace.eq(namespace)))
        .select(components::cluster_name)
        .load(c)
        .await)
}

/// Writes the revision that some components of an application are at.
pub async fn set_version(
    conn: &mut Conn,
    application: ApplicationId,
    key: Key<ComponentKey>,
    version: Option<VersionId>,
) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(
        components::table.filter(components::application_id.eq(application).and(components::key.eq(key))),
    )
    .set(components::version_id.eq(version))
    .execute(c)
    .await)
}

/// Forgets those of an application with these keys.
pub async fn delete_keys(
    conn: &mut Conn,
    application: ApplicationId,
    keys: &[Key<ComponentKey>],
) -> QueryResult<usize> {
    on!(conn, |c| diesel::delete(
        components::table.filter(components::application_id.eq(application).and(components::key.eq_any(keys))),
    )
    .execute(c)
    .await)
}

/// Forgets one.
pub async fn delete(conn: &mut Conn, id: ComponentId) -> QueryResult<usize> {
    on!(conn, |c| diesel::delete(components::table.find(id)).execute(c).await)
}
