//! Kubernetes resources of applications.

use crate::{
    Conn, Instant, Key, Stored,
    id::{ApplicationId, InstallationId, ResourceId, VersionId},
    on,
    schema::kubernetes_resources,
};
use diesel::{QueryResult, pg::Pg, prelude::*, sqlite::Sqlite};
use diesel_async::RunQueryDsl;
use ropeway_domain::{Resource as Spec, ResourceKey, Value};

/// Another object of an application.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = kubernetes_resources, check_for_backend(Pg, Sqlite), treat_none_as_default_value = false)]
pub struct KubernetesResource {
    /// Its id.
    pub id: ResourceId,
    /// Where it belongs.
    pub application_id: ApplicationId,
    /// The installation that it came with.
    pub installation_id: Option<InstallationId>,
    /// Its identity in its application.
    pub key: Key<ResourceKey>,
    /// Its identity in the template that it came from.
    pub template_key: Option<Key<ResourceKey>>,
    /// The revision that it is at.
    pub version_id: Option<VersionId>,
    /// Whether the version of the installation has no counterpart of it.
    pub no_longer_in_template: bool,
    /// Such as `policy/v1`.
    pub api_version: String,
    /// Such as `PodDisruptionBudget`.
    pub kind: String,
    /// Unique in its application with its kind.
    pub name: String,
    /// What it shall be, in the keys of the application; none once it is to be removed.
    pub desired: Option<Stored<Spec<Value>>>,
    /// What was applied last; none before the first time.
    pub deployed: Option<Stored<Spec<Value>>>,
    /// When it was made.
    pub created_at: Instant,
}

/// Stores a new one.
pub async fn insert(conn: &mut Conn, row: &KubernetesResource) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(kubernetes_resources::table).values(row).execute(c).await)
}

/// One by its id.
pub async fn find(conn: &mut Conn, id: ResourceId) -> QueryResult<Option<KubernetesResource>> {
    on!(conn, |c| kubernetes_resources::table
        .find(id)
        .select(KubernetesResource::as_select())
        .first(c)
        .await
        .optional())
}

/// Those with these ids.
pub async fn by_ids(conn: &mut Conn, ids: &[ResourceId]) -> QueryResult<Vec<KubernetesResource>> {
    on!(conn, |c| kubernetes_resources::table
        .filter(kubernetes_resources::id.eq_any(ids))
        .select(KubernetesResource::as_select())
        .load(c)
        .await)
}

/// All of some applications, removed ones included, by name.
pub async fn of_applications(conn: &mut Conn, applications: &[ApplicationId]) -> QueryResult<Vec<KubernetesResource>> {
    on!(conn, |c| kubernetes_resources::table
        .filter(kubernetes_resources::application_id.eq_any(applications))
        .order((kubernetes_resources::name.asc(), kubernetes_resources::id.asc()))
        .select(KubernetesResource::as_select())
        .load(c)
        .await)
}

/// Writes what it shall be, and where that came from.
pub async fn update_desired(conn: &mut Conn, row: &KubernetesResource) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(kubernetes_resources::table.find(row.id))
        .set((
            kubernetes_resources::installation_id.eq(row.installation_id),
            kubernetes_resources::template_key.eq(row.template_key),
            kubernetes_resources::name.eq(&row.name),
            kubernetes_resources::desired.eq(&row.desired),
            kubernetes_resources::version_id.eq(row.version_id),
            kubernetes_resources::no_longer_in_template.eq(row.no_longer_in_template),
        ))
        .execute(c)
        .await)
}

/// Writes the revision that a resource of an application is at.
pub async fn set_version(
    conn: &mut Conn,
    application: ApplicationId,
    key: Key<ResourceKey>,
    version: Option<VersionId>,
) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(
        kubernetes_resources::table
            .filter(kubernetes_resources::application_id.eq(application).and(kubernetes_resources::key.eq(key))),
    )
    .set(kubernetes_resources::version_id.eq(version))
    .execute(c)
    .await)
}

/// Forgets those of an application with these keys.
pub async fn delete_keys(conn: &mut Conn, application: ApplicationId, keys: &[Key<ResourceKey>]) -> QueryResult<usize> {
    on!(conn, |c| diesel::delete(
        kubernetes_resources::table
            .filter(kubernetes_resources::application_id.eq(application).and(kubernetes_resources::key.eq_any(keys))),
    )
    .execute(c)
    .await)
}

/// Forgets one.
pub async fn delete(conn: &mut Conn, id: ResourceId) -> QueryResult<usize> {
    on!(conn, |c| diesel::delete(kubernetes_resources::table.find(id)).execute(c).await)
}

/// Writes what was applied last of one of an application's.
pub async fn set_deployed(conn: &mut Conn, application: ApplicationId, spec: &Spec<Value>) -> QueryResult<()> {
    let row = || kubernetes_resources::application_id.eq(application).and(kubernetes_resources::key.eq(Key(spec.key)));
    on!(conn, |c| diesel::update(kubernetes_resources::table.filter(row()))
        .set(kubernetes_resources::deployed.eq(Stored(spec.clone())))
        .execute(c)
        .await)?;
    Ok(())
}

/// Nothing of one is in the cluster any more: its row goes if a person removed it, or else holds no deployment.
pub async fn set_gone(conn: &mut Conn, application: ApplicationId, key: ResourceKey) -> QueryResult<()> {
    let row = || kubernetes_resources::application_id.eq(application).and(kubernetes_resources::key.eq(Key(key)));
    on!(conn, |c| diesel::delete(
        kubernetes_resources::table.filter(row().and(kubernetes_resources::desired.is_null()))
    )
    .execute(c)
    .await)?;
    on!(conn, |c| diesel::update(kubernetes_resources::table.filter(row()))
        .set(kubernetes_resources::deployed.eq(None::<Vec<u8>>))
        .execute(c)
        .await)?;
    Ok(())
}
