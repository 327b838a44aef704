//! Clusters, and whether they reach the library.

use crate::{
    Conn, Instant, Key, Stored, Word,
    id::{ClusterId, DriverId, EnterpriseId, TeamId},
    on,
    schema::{applications, clusters, installations, library_reachability, sealed_values},
};
use diesel::{QueryResult, pg::Pg, prelude::*, sqlite::Sqlite};
use diesel_async::RunQueryDsl;
use ropeway_clusters::ClusterFacts;
use ropeway_domain::SecretId;
use std::{fmt, str::FromStr};

/// A Kubernetes cluster.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = clusters, check_for_backend(Pg, Sqlite), treat_none_as_default_value = false)]
pub struct Cluster {
    /// Its id.
    pub id: ClusterId,
    /// Whose.
    pub enterprise_id: EnterpriseId,
    /// Unique in the enterprise.
    pub name: String,
    /// What people call it.
    pub display_name: String,
    /// The driver that knows it.
    pub driver_id: DriverId,
    /// The driver's configuration, checked by it.
    pub config: Stored<serde_json::Value>,
    /// The sealed kubeconfig.
    pub kubeconfig: Key<SecretId>,
    /// The context of the kubeconfig, where it is not the current one.
    pub context: Option<String>,
    /// Whether members see it and teams can be opened on it.
    pub accepts_teams: bool,
    /// Whether an administrator keeps new work away from it.
    pub maintenance: bool,
    /// As seen last.
    pub status: Word<ClusterStatus>,
    /// Why it is not online.
    pub status_message: Option<String>,
    /// What it was seen to be.
    pub facts: Option<Stored<ClusterFacts>>,
    /// When it answered last.
    pub last_seen_at: Option<Instant>,
    /// When it was asked last.
    pub checked_at: Option<Instant>,
    /// Counts changes of access and configuration.
    pub generation: i64,
    /// Since when.
    pub created_at: Instant,
}

/// How a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClusterStatus {
    /// Not asked yet.
    Pending,
    /// It answers.
    Online,
    /// It answers, but something is wrong with it.
    Degraded,
    /// It does not answer.
    Offline,
    /// An administrator keeps new work away from it.
    Maintenance,
}

/// Whether a cluster's nodes reach the library.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = library_reachability, primary_key(cluster_id), check_for_backend(Pg, Sqlite))]
#[diesel(treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct Reachability {
    /// Which cluster.
    pub cluster_id: ClusterId,
    /// Of which enterprise.
    pub enterprise_id: EnterpriseId,
    /// Of which configuration of the library.
    pub library_generation: i64,
    /// Whether all of its kinds of node pulled the image.
    pub reachable: bool,
    /// When.
    pub checked_at: Instant,
    /// Why not.
    pub message: Option<String>,
}

/// What a look at a cluster found.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// How it is.
    pub status: ClusterStatus,
    /// Why it is not online.
    pub message: Option<String>,
    /// What it is, if it answered.
    pub facts: Option<ClusterFacts>,
    /// When.
    pub at: Instant,
}

impl fmt::Display for ClusterStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "PENDING",
            Self::Online => "ONLINE",
            Self::Degraded => "DEGRADED",
            Self::Offline => "OFFLINE",
            Self::Maintenance => "MAINTENANCE",
        })
    }
}

impl FromStr for ClusterStatus {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Pending, Self::Online, Self::Degraded, Self::Offline, Self::Maintenance]
            .into_iter()
            .find(|status| status.to_string() == text)
            .ok_or("not a status of a cluster")
    }
}

/// Stores a new cluster.
pub async fn insert(conn: &mut Conn, cluster: &Cluster) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(clusters::table).values(cluster).execute(c).await)
}

/// One cluster.
pub async fn find(conn: &mut Conn, id: ClusterId) -> QueryResult<Option<Cluster>> {
    on!(conn, |c| clusters::table.find(id).select(Cluster::as_select()).first(c).await.optional())
}

/// Those with these ids.
pub async fn by_ids(conn: &mut Conn, ids: &[ClusterId]) -> QueryResult<Vec<Cluster>> {
    on!(conn, |c| clusters::table.filter(clusters::id.eq_any(ids)).select(Cluster::as_select()).load(c).await)
}

/// The one with this name.
pub async fn by_name(conn: &mut Conn, enterprise: EnterpriseId, name: &str) -> QueryResult<Option<Cluster>> {
    on!(conn, |c| clusters::table
        .filter(clusters::enterprise_id.eq(enterprise).and(clusters::name.eq(name)))
        .select(Cluster::as_select())
        .first(c)
        .await
        .optional())
}

/// All ids, of one enterprise or of all.
pub async fn ids(conn: &mut Conn, enterprise: Option<EnterpriseId>) -> QueryResult<Vec<ClusterId>> {
    on!(conn, |c| {
        let mut query = clusters::table.select(clusters::id).order(clusters::id).into_boxed();
        if let Some(enterprise) = enterprise {
            query = query.filter(clusters::enterprise_id.eq(enterprise));
        }
        query.load(c).await
    })
}

/// A page of an enterprise's clusters, by name: all, or those that accept teams.
pub async fn page(
    conn: &mut Conn,
    enterprise: EnterpriseId,
    all: bool,
    after: Option<String>,
    limit: i64,
) -> QueryResult<Vec<Cluster>> {
    on!(conn, |c| {
        let mut query =
            clusters::table.filter(clusters::enterprise_id.eq(enterprise)).select(Cluster::as_select()).into_boxed();
        if !all {
            query = query.filter(clusters::accepts_teams.eq(true));
        }
        if let Some(name) = after {
            query = query.filter(clusters::name.gt(name));
        }
        query.order(clusters::name.asc()).limit(limit).load(c).await
    })
}

/// How many [`page`] would list altogether.
pub async fn total(conn: &mut Conn, enterprise: EnterpriseId, all: bool) -> QueryResult<i64> {
    on!(conn, |c| {
        let mut query = clusters::table
            .filter(clusters::enterprise_id.eq(enterprise))
            .select(diesel::dsl::count_star())
            .into_boxed();
        if !all {
            query = query.filter(clusters::accepts_teams.eq(true));
        }
        query.get_result(c).await
    })
}

/// Writes what an administrator changed; the generation counts up where access or configuration did.
pub async fn update(conn: &mut Conn, cluster: &Cluster) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(clusters::table.find(cluster.id))
        .set((
            clusters::display_name.eq(&cluster.display_name),
            clusters::config.eq(&cluster.config),
            clusters::kubeconfig.eq(cluster.kubeconfig),
            clusters::context.eq(&cluster.context),
            clusters::accepts_teams.eq(cluster.accepts_teams),
            clusters::maintenance.eq(cluster.maintenance),
            clusters::status.eq(cluster.status),
            clusters::status_message.eq(&cluster.status_message),
            clusters::generation.eq(cluster.generation),
        ))
        .execute(c)
        .await)
}

/// Records what a look found, unless access or configuration changed since.
pub async fn record(conn: &mut Conn, id: ClusterId, generation: i64, seen: &Sighting) -> QueryResult<usize> {
    on!(conn, |c| {
        let target = clusters::table.filter(clusters::id.eq(id).and(clusters::generation.eq(generation)));
        let status = (
            clusters::status.eq(Word(seen.status)),
            clusters::status_message.eq(&seen.message),
            clusters::checked_at.eq(Some(seen.at)),
        );
        match &seen.facts {
            Some(facts) => {
                let facts = (clusters::facts.eq(Some(Stored(facts.clone()))), clusters::last_seen_at.eq(Some(seen.at)));
                diesel::update(target).set((status, facts)).execute(c).await
            }
            None => diesel::update(target).set(status).execute(c).await,
        }
    })
}

/// Forgets a cluster.
pub async fn delete(conn: &mut Conn, id: ClusterId) -> QueryResult<usize> {
    on!(conn, |c| diesel::delete(clusters::table.find(id)).execute(c).await)
}

/// Forgets a sealed kubeconfig that no cluster has any more.
pub async fn forget_kubeconfig(conn: &mut Conn, id: Key<SecretId>) -> QueryResult<usize> {
    on!(conn, |c| diesel::delete(sealed_values::table.find(id)).execute(c).await)
}

/// Whether something was ever installed in a cluster: records of it are kept.
pub async fn has_history(conn: &mut Conn, id: ClusterId) -> QueryResult<bool> {
    on!(conn, |c| installations::table.filter(installations::cluster_id.eq(id)).count().get_result::<i64>(c).await)
        .map(|count| count > 0)
}

/// The names of the applications in a cluster, a few of them.
pub async fn applications_in(conn: &mut Conn, id: ClusterId) -> QueryResult<Vec<String>> {
    on!(conn, |c| applications::table
        .filter(applications::cluster_id.eq(id))
        .select(applications::name)
        .order(applications::name)
        .limit(10)
        .load(c)
        .await)
}

/// The namespaces in which applications of an enterprise live, each with its cluster and its team.
pub async fn namespaces(conn: &mut Conn, enterprise: EnterpriseId) -> QueryResult<Vec<(ClusterId, String, TeamId)>> {
    on!(conn, |c| applications::table
        .filter(applications::enterprise_id.eq(enterprise))
        .select((applications::cluster_id, applications::namespace, applications::team_id))
        .distinct()
        .order((applications::cluster_id, applications::namespace, applications::team_id))
        .load(c)
        .await)
}

/// Records whether a cluster reaches the library.
pub async fn record_reachability(conn: &mut Conn, reachability: &Reachability) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(library_reachability::table)
        .values(reachability)
        .on_conflict(library_reachability::cluster_id)
        .do_update()
        .set(reachability)
        .execute(c)
        .await)
}

/// What is known of which clusters reach the library.
pub async fn reachability(conn: &mut Conn, enterprise: EnterpriseId) -> QueryResult<Vec<Reachability>> {
    on!(conn, |c| library_reachability::table
        .filter(library_reachability::enterprise_id.eq(enterprise))
        .select(Reachability::as_select())
        .load(c)
        .await)
}
