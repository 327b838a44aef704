//! The library of an enterprise.

use super::{
    actor, app,
    cluster::Cluster,
    error::{IntoGraphql as _, answer},
    id,
    operation::Operation,
};
use crate::{
    payload,
    seal::Secret,
    service::{
        check_library,
        configure_library::{self, ConfigureLibrary},
        list,
    },
    store::{cluster, library as rows},
};
use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};

/// The most clusters of one check.
const MAX_CLUSTERS: usize = 500;

/// Where an enterprise keeps its published images.
#[derive(Debug, Clone)]
pub struct Library {
    row: rows::Library,
}

/// Whether the nodes of a cluster can pull from the library.
#[derive(Debug, Clone, SimpleObject)]
pub struct ClusterReachability {
    /// Which cluster.
    pub cluster: Cluster,
    /// Whether all of its kinds of node pulled the image; null: not checked since the library was configured.
    pub reachable: Option<bool>,
    /// When that was found out.
    pub checked_at: Option<DateTime<Utc>>,
    /// Why not.
    pub message: Option<String>,
}

/// Mutations of libraries.
#[derive(Default)]
pub struct LibraryMutation;

/// Input of `configureLibrary`. Without url: the embedded registry.
#[derive(InputObject)]
pub struct ConfigureLibraryInput {
    /// Which enterprise.
    pub enterprise_id: ID,
    /// The registry that the server speaks to: `[https://]host[:port][/prefix]`.
    pub url: Option<String>,
    /// The address that clusters pull from, where it is another one.
    pub public_url: Option<String>,
    /// As whom to push and pull.
    pub username: Option<String>,
    /// The password of that.
    #[graphql(secret)]
    pub password: Option<String>,
    /// A certificate authority to trust besides the system's, as PEM.
    pub ca_certificate: Option<String>,
    /// Whether it is spoken to without TLS.
    pub plain_http: Option<bool>,
}

/// Input of `checkLibrary`.
#[derive(InputObject)]
pub struct CheckLibraryInput {
    /// Which enterprise.
    pub enterprise_id: ID,
    /// From which clusters; from all where it is left out.
    pub cluster_ids: Option<Vec<ID>>,
}

payload! {
    /// Answer of `configureLibrary`.
    ConfigureLibraryPayload {
        /// The library as it is now.
        library: Library,
        /// The check whether the clusters reach it: those that are not offline. Null where there is none.
        operation: Operation,
    }
}

payload! {
    /// Answer of `checkLibrary`.
    CheckLibraryPayload {
        /// The library, asked from the server just now.
        library: Library,
        /// The check from inside the clusters that are not offline. Null where there is none.
        operation: Operation,
    }
}

/// Where an enterprise keeps its published images.
#[Object]
impl Library {
    /// `host[:port][/prefix]` of the registry that the server speaks to.
    async fn url(&self) -> String {
        self.with_prefix(&self.row.url)
    }

    /// `host[:port][/prefix]` that clusters pull from.
    async fn public_url(&self) -> String {
        self.with_prefix(&self.row.public_url)
    }

    /// Whether it is the registry within the server.
    async fn embedded(&self) -> bool {
        self.row.embedded
    }

    /// Whether it is spoken to without TLS.
    async fn plain_http(&self) -> bool {
        self.row.plain_http
    }

    /// Whether the server reached it when it was checked last; null: not checked yet.
    async fn reachable(&self) -> Option<bool> {
        self.row.reachable
    }

    /// When that was.
    async fn checked_at(&self) -> Option<DateTime<Utc>> {
        self.row.checked_at.map(|at| at.0)
    }

    /// Why it was not reached.
    async fn message(&self) -> Option<&str> {
        self.row.message.as_deref()
    }

    /// Each cluster, and whether its nodes reach the library.
    #[graphql(complexity = "super::limits::several(child_complexity)")]
    async fn reachability(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<ClusterReachability>> {
        let found = list::list_reachability(app(ctx), &self.row).await.graphql()?;
        Ok(found.into_iter().map(Into::into).collect())
    }
}

#[Object]
impl LibraryMutation {
    /// Tries a registry and, if it answers and takes what is pushed, makes it the library. For administrators.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn configure_library(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which registry.")] input: ConfigureLibraryInput,
    ) -> async_graphql::Result<ConfigureLibraryPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let id = id::decode(&input.enterprise_id, "enterpriseId")?;
            let wanted = ConfigureLibrary {
                url: input.url,
                public_url: input.public_url,
                username: input.username,
                password: input.password.map(Secret::new),
                ca_certificate: input.ca_certificate,
                plain_http: input.plain_http,
            };
            configure_library::configure_library(app(ctx), actor, id, wanted).await
        };
        answer(result.await, |(library, operation)| ConfigureLibraryPayload {
            library: Some(library.into()),
            operation: operation.map(Into::into),
            errors: Vec::new(),
        })
    }

    /// Pulls a tiny image from the library inside each cluster. For administrators.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn check_library(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which library, from where.")] input: CheckLibraryInput,
    ) -> async_graphql::Result<CheckLibraryPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let id = id::decode(&input.enterprise_id, "enterpriseId")?;
            let clusters = input.cluster_ids.as_deref();
            let clusters = clusters.map(|ids| id::decode_list(ids, "clusterIds", MAX_CLUSTERS)).transpose()?;
            check_library::check_library(app(ctx), actor, id, clusters).await
        };
        answer(result.await, |(library, operation)| CheckLibraryPayload {
            library: Some(library.into()),
            operation: operation.map(Into::into),
            errors: Vec::new(),
        })
    }
}

impl Library {
    fn with_prefix(&self, host: &str) -> String {
        format!("{host}/{}", self.row.prefix).trim_end_matches('/').to_owned()
    }
}

impl From<rows::Library> for Library {
    fn from(row: rows::Library) -> Self {
        Self { row }
    }
}

impl From<(cluster::Cluster, Option<cluster::Reachability>)> for ClusterReachability {
    fn from((row, record): (cluster::Cluster, Option<cluster::Reachability>)) -> Self {
        Self {
            cluster: Cluster::whole_of(row),
            reachable: record.as_ref().map(|record| record.reachable),
            checked_at: record.as_ref().map(|record| record.checked_at.0),
            message: record.and_then(|record| record.message),
        }
    }
}
