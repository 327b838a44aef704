//! Objects in clusters that are ours: what carries our label and is listed here with its UID. Nothing else is ever
//! changed or deleted.

use crate::{
    Conn, Instant,
    id::{ApplicationId, ClusterId, Id, ObjectId},
    on,
    schema::cluster_objects,
};
use diesel::{QueryResult, pg::Pg, prelude::*, sqlite::Sqlite};
use diesel_async::RunQueryDsl;

/// What an object belongs to inside its application: a component or a Kubernetes resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerKind {}

/// The own key of a component or a Kubernetes resource.
pub type OwnerKey = Id<OwnerKind>;

/// An object in a cluster that is ours.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = cluster_objects, check_for_backend(Pg, Sqlite), treat_none_as_default_value = false)]
pub struct ClusterObject {
    /// Its id.
    pub id: ObjectId,
    /// Whose.
    pub application_id: ApplicationId,
    /// Where.
    pub cluster_id: ClusterId,
    /// Which component or resource of the application it belongs to; none: to the application itself.
    pub owner_key: Option<OwnerKey>,
    /// For example `apps/v1`.
    pub api_version: String,
    /// For example `Deployment`.
    pub kind: String,
    /// Empty where it has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// As the cluster gave it: the very object that was made or adopted.
    pub uid: String,
    /// Since when it is ours.
    pub created_at: Instant,
}

/// Stores an object that is not listed yet.
pub async fn insert(conn: &mut Conn, object: &ClusterObject) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(cluster_objects::table).values(object).execute(c).await)
}

/// The object of this kind and name, whoever's it is.
pub async fn find(
    conn: &mut Conn,
    cluster: ClusterId,
    namespace: &str,
    api_version: &str,
    kind: &str,
    name: &str,
) -> QueryResult<Option<ClusterObject>> {
    on!(conn, |c| cluster_objects::table
        .filter(
            cluster_objects::cluster_id
                .eq(cluster)
                .and(cluster_objects::namespace.eq(namespace))
                .and(cluster_objects::api_version.eq(api_version))
                .and(cluster_objects::kind.eq(kind))
                .and(cluster_objects::name.eq(name))
        )
        .select(ClusterObject::as_select())
        .first(c)
        .await
        .optional())
}

/// All objects of an application, in the order in which they became ours.
pub async fn of_application(conn: &mut Conn, application: ApplicationId) -> QueryResult<Vec<ClusterObject>> {
    on!(conn, |c| cluster_objects::table
        .filter(cluster_objects::application_id.eq(application))
        .order((cluster_objects::created_at.asc(), cluster_objects::id.asc()))
        .select(ClusterObject::as_select())
        .load(c)
        .await)
}

/// The objects of one component or resource, in the order in which they became ours.
pub async fn of_owner(
    conn: &mut Conn,
    application: ApplicationId,
    owner: Option<OwnerKey>,
) -> QueryResult<Vec<ClusterObject>> {
    on!(conn, |c| {
        let mut query = cluster_objects::table
            .filter(cluster_objects::application_id.eq(application))
            .select(ClusterObject::as_select())
            .into_boxed();
        query = match owner {
            Some(owner) => query.filter(cluster_objects::owner_key.eq(owner)),
            None => query.filter(cluster_objects::owner_key.is_null()),
        };
        query.order((cluster_objects::created_at.asc(), cluster_objects::id.asc())).load(c).await
    })
}

/// Another object has taken the place of a listed one, or it belongs to something else of its application now.
pub async fn set_uid(conn: &mut Conn, id: ObjectId, uid: &str, owner: Option<OwnerKey>) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(cluster_objects::table.find(id))
        .set((cluster_objects::uid.eq(uid), cluster_objects::owner_key.eq(owner)))
        .execute(c)
        .await)
}

/// Takes an object of an application off the list by its UID, whatever version of its kind it is listed by.
pub async fn forget_uid(conn: &mut Conn, application: ApplicationId, uid: &str) -> QueryResult<usize> {
    on!(conn, |c| diesel::delete(
        cluster_objects::table
            .filter(cluster_objects::application_id.eq(application).and(cluster_objects::uid.eq(uid)))
    )
    .execute(c)
    .await)
}

/// The object is no longer there, or no longer ours. The UID keeps one that took its place listed.
pub async fn delete(conn: &mut Conn, id: ObjectId, uid: &str) -> QueryResult<usize> {
    on!(conn, |c| diesel::delete(
        cluster_objects::table.filter(cluster_objects::id.eq(id).and(cluster_objects::uid.eq(uid)))
    )
    .execute(c)
    .await)
}
