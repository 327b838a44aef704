//! Clusters.

use super::{
    actor, app, asked,
    driver::{Driver, DriverKey},
    enterprise::RoleKey,
    error::{IntoGraphql as _, answer, graphql_error},
    id,
    loader::{Rows, Shared, load},
    operation::Operation,
};
use crate::{
    connection,
    error::Result,
    id::ClusterId,
    payload,
    seal::Secret,
    service::{
        find, follow_clusters,
        register_cluster::{self, RegisterCluster},
        remove_cluster,
        update_cluster::{self, UpdateCluster},
    },
    store::cluster as rows,
};
use async_graphql::{Context, Enum, ID, InputObject, Json, Object, SimpleObject, Subscription, dataloader::Loader};
use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt as _};
use ropeway_clusters::ClusterFacts;
use ropeway_domain::access::EnterpriseRole;
use std::{collections::HashMap, sync::Arc};

/// How a cluster is.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "rows::ClusterStatus")]
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

/// A Kubernetes cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    row: rows::Cluster,
    is_shown_whole: bool,
}

/// A storage class of a cluster.
#[derive(Debug, Clone, SimpleObject)]
pub struct StorageClass {
    /// Its name.
    pub name: String,
    /// What provides its volumes.
    pub provisioner: String,
    /// Whether it is used where none is named.
    pub is_default: bool,
    /// Whether its volumes can grow.
    pub allows_growth: bool,
    /// Whether a volume is made only when a pod needs it.
    pub waits_for_first_consumer: bool,
}

/// Queries of clusters.
#[derive(Default)]
pub struct ClusterQuery;

/// Mutations of clusters.
#[derive(Default)]
pub struct ClusterMutation;

/// Subscriptions of clusters.
#[derive(Default)]
pub struct ClusterSubscription;

/// Loads the row of a cluster. Whoever uses it knows that it may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClusterKey(pub ClusterId);

/// Input of `registerCluster`.
#[derive(InputObject)]
pub struct RegisterClusterInput {
    /// Which enterprise.
    pub enterprise_id: ID,
    /// Its name: a DNS label, unique in the enterprise.
    pub name: String,
    /// What people call it; the name where it is left out.
    pub display_name: Option<String>,
    /// The name of the driver that knows it, such as `kubernetes`.
    pub driver: String,
    /// The driver's configuration, see its schema; `{}` where it is left out.
    pub config: Option<Json<serde_json::Value>>,
    /// How it is reached: a kubeconfig with all credentials inside, which runs no command and names no file.
    #[graphql(secret)]
    pub kubeconfig: Option<String>,
    /// The context of the kubeconfig; its current one where it is left out.
    pub context: Option<String>,
}

/// Input of `updateCluster`. What is left out stays.
#[derive(InputObject)]
pub struct UpdateClusterInput {
    /// Which cluster.
    pub cluster_id: ID,
    /// What people call it.
    pub display_name: Option<String>,
    /// The driver's configuration, see its schema.
    pub config: Option<Json<serde_json::Value>>,
    /// Another kubeconfig.
    #[graphql(secret)]
    pub kubeconfig: Option<String>,
    /// Another context. With another kubeconfig: its current one where it is left out.
    pub context: Option<String>,
    /// Whether new work is kept away from it.
    pub maintenance: Option<bool>,
    /// Whether members see it and teams can be opened on it.
    pub accepts_teams: Option<bool>,
}

/// Input of `removeCluster`.
#[derive(InputObject)]
pub struct RemoveClusterInput {
    /// Which cluster.
    pub cluster_id: ID,
}

connection! {
    /// A page of clusters.
    ClusterConnection, ClusterEdge, Cluster
}

payload! {
    /// Answer of `registerCluster`.
    RegisterClusterPayload {
        /// The new cluster.
        cluster: Cluster,
        /// The check whether it reaches the library. Null where the cluster does not answer: it begins once it does.
        operation: Operation,
    }
}

payload! {
    /// Answer of `updateCluster`.
    UpdateClusterPayload {
        /// The cluster as it is now.
        cluster: Cluster,
    }
}

payload! {
    /// Answer of `removeCluster`.
    RemoveClusterPayload {
        /// The cluster as it was.
        cluster: Cluster,
    }
}

/// A Kubernetes cluster. A member who is no administrator sees id, name, displayName, status and acceptsTeams; the rest
/// is null.
#[Object]
impl Cluster {
    /// Its global id.
    pub async fn id(&self) -> ID {
        id::encode(self.row.id)
    }

    /// Its name, unique in the enterprise.
    async fn name(&self) -> &str {
        &self.row.name
    }

    /// What people call it.
    async fn display_name(&self) -> &str {
        &self.row.display_name
    }

    /// How it was when it was looked at last.
    async fn status(&self) -> ClusterStatus {
        self.row.status.0.into()
    }

    /// The driver that knows it.
    async fn driver(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Driver>> {
        if !self.is_shown_whole {
            return Ok(None);
        }
        load(ctx, DriverKey(self.row.driver_id)).await.graphql()
    }

    /// The driver's configuration.
    async fn config(&self) -> Option<Json<&serde_json::Value>> {
        self.whole().map(|row| Json(&row.config.0))
    }

    /// Why it is not online.
    async fn status_message(&self) -> Option<&str> {
        self.whole()?.status_message.as_deref()
    }

    /// The version of Kubernetes, such as `v1.36.3`.
    async fn kubernetes_version(&self) -> Option<&str> {
        self.facts().map(|facts| facts.git_version.as_str())
    }

    /// The architectures of its nodes, such as `amd64`.
    async fn architectures(&self) -> Option<Vec<&str>> {
        self.facts().map(|facts| facts.architectures.iter().map(String::as_str).collect())
    }

    /// Its storage classes.
    async fn storage_classes(&self) -> Option<Vec<StorageClass>> {
        Some(self.facts()?.storage_classes.as_ref()?.iter().map(Into::into).collect())
    }

    /// What it offers beyond the least, such as `ingress` or `autoscaling`.
    async fn capabilities(&self) -> Option<Vec<&str>> {
        self.facts().map(|facts| facts.capabilities.iter().map(String::as_str).collect())
    }

    /// When it answered last.
    async fn last_seen_at(&self) -> Option<DateTime<Utc>> {
        self.whole()?.last_seen_at.map(|at| at.0)
    }

    /// Whether members see it and teams can be opened on it.
    async fn accepts_teams(&self) -> bool {
        self.row.accepts_teams
    }
}

#[Object]
impl ClusterQuery {
    /// One cluster.
    async fn cluster(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> async_graphql::Result<Option<Cluster>> {
        find(ctx, asked(ctx, &id)?).await.map(Some)
    }
}

#[Object]
impl ClusterMutation {
    /// Registers a cluster, looks at it, and begins to check whether it reaches the library. One that does not answer is
    /// registered as OFFLINE. For administrators.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn register_cluster(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it is and how it is reached.")] input: RegisterClusterInput,
    ) -> async_graphql::Result<RegisterClusterPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let wanted = RegisterCluster {
                enterprise_id: id::decode(&input.enterprise_id, "enterpriseId")?,
                name: input.name,
                display_name: input.display_name,
                driver: input.driver,
                config: input.config.map(|config| config.0),
                kubeconfig: input.kubeconfig.map(Secret::new),
                context: input.context,
            };
            register_cluster::register_cluster(app(ctx), actor, wanted).await
        };
        answer(result.await, |(cluster, operation)| RegisterClusterPayload {
            cluster: Some(Cluster::whole_of(cluster)),
            operation: operation.map(Into::into),
            errors: Vec::new(),
        })
    }

    /// Changes a cluster and looks at it anew. For administrators.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn update_cluster(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: UpdateClusterInput,
    ) -> async_graphql::Result<UpdateClusterPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let id = id::decode(&input.cluster_id, "clusterId")?;
            let wanted = UpdateCluster {
                display_name: input.display_name,
                config: input.config.map(|config| config.0),
                kubeconfig: input.kubeconfig.map(Secret::new),
                context: input.context,
                maintenance: input.maintenance,
                accepts_teams: input.accepts_teams,
            };
            update_cluster::update_cluster(app(ctx), actor, id, wanted).await
        };
        answer(result.await, |cluster| UpdateClusterPayload {
            cluster: Some(Cluster::whole_of(cluster)),
            errors: Vec::new(),
        })
    }

    /// Forgets a cluster that nothing uses (CLUSTER_IN_USE). Nothing in the cluster changes. For administrators.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn remove_cluster(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which cluster.")] input: RemoveClusterInput,
    ) -> async_graphql::Result<RemoveClusterPayload> {
        let result = async {
            let actor = actor(ctx)?;
            remove_cluster::remove_cluster(app(ctx), actor, id::decode(&input.cluster_id, "clusterId")?).await
        };
        answer(result.await, |cluster| RemoveClusterPayload {
            cluster: Some(Cluster::whole_of(cluster)),
            errors: Vec::new(),
        })
    }
}

#[Subscription]
impl ClusterSubscription {
    /// Each cluster of an enterprise as it is now, then each one whenever its status changes. One person
    /// follows 100 things at the same time (RATE_LIMITED).
    async fn cluster_status_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which enterprise.")] enterprise_id: ID,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<Cluster>> + use<>> {
        let following = async {
            let actor = actor(ctx)?;
            let id = id::decode(&enterprise_id, "enterpriseId")?;
            follow_clusters::follow_clusters(app(ctx), actor, id).await
        };
        let following = following.await.graphql()?;
        Ok(following.map(|next| next.map(|(row, whole)| Cluster::new(row, whole)).map_err(graphql_error)))
    }
}

impl Cluster {
    /// A cluster, shown whole or only by name and status.
    pub fn new(row: rows::Cluster, is_shown_whole: bool) -> Self {
        Self { row, is_shown_whole }
    }

    /// A cluster for an administrator.
    pub fn whole_of(row: rows::Cluster) -> Self {
        Self::new(row, true)
    }

    fn whole(&self) -> Option<&rows::Cluster> {
        self.is_shown_whole.then_some(&self.row)
    }

    fn facts(&self) -> Option<&ClusterFacts> {
        self.whole()?.facts.as_ref().map(|facts| &facts.0)
    }
}

impl From<&ropeway_clusters::StorageClass> for StorageClass {
    fn from(class: &ropeway_clusters::StorageClass) -> Self {
        Self {
            name: class.name.clone(),
            provisioner: class.provisioner.clone(),
            is_default: class.is_default,
            allows_growth: class.allows_growth,
            waits_for_first_consumer: class.waits_for_first_consumer,
        }
    }
}

impl Loader<ClusterKey> for Rows {
    type Value = rows::Cluster;
    type Error = Shared;

    async fn load(&self, keys: &[ClusterKey]) -> Result<HashMap<ClusterKey, rows::Cluster>, Shared> {
        let ids: Vec<ClusterId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, crate::Error>(rows::by_ids(&mut conn, &ids).await?)
        };
        let found = found.await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|row| (ClusterKey(row.id), row)).collect())
    }
}

/// A cluster by id.
pub(super) async fn find(ctx: &Context<'_>, id: ClusterId) -> async_graphql::Result<Cluster> {
    let result = async { find::find_cluster(app(ctx), actor(ctx)?, id).await };
    result.await.map(|(row, whole)| Cluster::new(row, whole)).graphql()
}

/// The cluster of something that may be seen, such as a team's opening or an application: members see its name and
/// status even where it accepts no teams any more.
pub async fn cluster_of(ctx: &Context<'_>, id: ClusterId) -> Result<Cluster> {
    let row = load(ctx, ClusterKey(id)).await?.ok_or(crate::Error::NotFound("the cluster"))?;
    let role = load(ctx, RoleKey(row.enterprise_id)).await?;
    Ok(Cluster::new(row, role == Some(EnterpriseRole::Administrator)))
}
