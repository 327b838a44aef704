//! Anything by its global id.

use super::{
    application::{self, Application},
    audit::{self, AuditEntry},
    cluster::{self, Cluster},
    component::{self, Component},
    driver::{self, Driver},
    enterprise::{self, Enterprise},
    error::graphql_error,
    id,
    installation::{self, Installation},
    operation::{self, Operation},
    publication::{self, Publication},
    record::{self, UpgradeRecord},
    resource::{self, KubernetesResource},
    signed_in,
    team::{self, Team},
    template::{self, AppTemplate},
    user::{self, User},
    version::{self, TemplateVersion},
    viewer::{self, Viewer},
};
use crate::{
    error::Error,
    id::{
        ApplicationKind, AuditKind, ClusterKind, ComponentKind, DriverKind, EnterpriseKind, Id, InstallationKind, Kind,
        OperationKind, PublicationKind, RecordKind, ResourceKind, TeamKind, TemplateKind, UserKind, VersionKind,
        ViewerKind,
    },
};
use async_graphql::{Context, ID, Interface, Object};

/// What has a global id.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "Its global id: opaque, and the same for as long as it lives."))]
pub enum Node {
    /// The person who asks.
    Viewer(Viewer),
    /// A person who signs in.
    User(User),
    /// A tenant.
    Enterprise(Enterprise),
    /// People and a namespace.
    Team(Team),
    /// A Kubernetes cluster.
    Cluster(Cluster),
    /// What knows one kind of cluster.
    Driver(Driver),
    /// Who asked for what.
    AuditEntry(AuditEntry),
    /// What a team runs in one cluster.
    Application(Application),
    /// One workload of an application.
    Component(Component),
    /// Another object of an application.
    KubernetesResource(KubernetesResource),
    /// A durable, long-running job.
    Operation(Operation),
    /// A published application.
    AppTemplate(AppTemplate),
    /// One revision of a version.
    TemplateVersion(TemplateVersion),
    /// One version of one template living in an application.
    Installation(Installation),
    /// One upgrade or rollback of an installation.
    UpgradeRecord(UpgradeRecord),
    /// The act that makes a version.
    Publication(Publication),
}

/// Queries of anything.
#[derive(Default)]
pub struct NodeQuery;

#[Object]
impl NodeQuery {
    /// Anything by its global id. What may not be seen does not exist (NOT_FOUND).
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> async_graphql::Result<Option<Node>> {
        signed_in(ctx).map_err(graphql_error)?;
        let Some((kind, uuid)) = id::parts(&id.0) else { return Err(graphql_error(Error::NotFound("the node"))) };
        Ok(Some(match kind.as_str() {
            ViewerKind::NAME => viewer::find(ctx, Id::new(uuid)).map_err(graphql_error)?.into(),
            UserKind::NAME => user::find(ctx, Id::new(uuid)).await?.into(),
            EnterpriseKind::NAME => enterprise::find(ctx, Id::new(uuid)).await?.into(),
            TeamKind::NAME => team::find(ctx, Id::new(uuid)).await?.into(),
            ClusterKind::NAME => cluster::find(ctx, Id::new(uuid)).await?.into(),
            DriverKind::NAME => driver::find(ctx, Id::new(uuid)).await?.into(),
            ApplicationKind::NAME => application::find(ctx, Id::new(uuid)).await?.into(),
            ComponentKind::NAME => component::find(ctx, Id::new(uuid)).await?.into(),
            ResourceKind::NAME => resource::find(ctx, Id::new(uuid)).await?.into(),
            OperationKind::NAME => operation::find(ctx, Id::new(uuid)).await?.into(),
            TemplateKind::NAME => template::find(ctx, Id::new(uuid)).await?.into(),
            VersionKind::NAME => version::find(ctx, Id::new(uuid)).await?.into(),
            InstallationKind::NAME => installation::find(ctx, Id::new(uuid)).await?.into(),
            RecordKind::NAME => record::find(ctx, Id::new(uuid)).await?.into(),
            PublicationKind::NAME => publication::find(ctx, Id::new(uuid)).await?.into(),
            AuditKind::NAME => audit::find(ctx, Id::new(uuid)).await?.into(),
            _ => return Err(graphql_error(Error::NotFound("the node"))),
        }))
    }
}
