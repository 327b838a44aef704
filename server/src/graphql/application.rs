//! Applications.

mod change;
mod load;

pub use change::{ApplicationChange, ApplicationSubscription};
pub use load::{ApplicationCountKey, FirstApplicationsKey};

use super::{
    actor, app, asked,
    cluster::{Cluster, cluster_of},
    component::{Component, ComponentConnection},
    error::{IntoGraphql as _, answer},
    id,
    installation::{self, InstallationConnection},
    loader::{Rows, Shared, load},
    operation::Operation,
    page::{self, Cursor, Page, PageRequest},
    plan::Change,
    publication::{self, PublicationConnection},
    record::{self, UpgradeRecordConnection},
    resource::{KubernetesResource, KubernetesResourceConnection, ResourcesKey},
    team::{Team, TeamKey},
    topology::Topology,
};
use crate::{
    connection,
    error::{Error, Result},
    id::{ApplicationId, ClusterKind, ComponentId, ResourceId, TeamId},
    payload,
    service::{
        create_application::{self, CreateApplication},
        delete_application,
        drift::{self, Drift as Found},
        find_application::{self, Whole},
        live_state::{self, Live},
    },
    store::application as rows,
};
use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject, dataloader::Loader};
use std::{collections::HashMap, sync::Arc};

/// How something that runs is.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "live_state::RunState")]
pub enum RunState {
    /// It was never deployed.
    Undeployed,
    /// It is on its way.
    Starting,
    /// It is as wanted.
    Running,
    /// Something is wrong with it; `statusReason` says what.
    Degraded,
    /// It is wanted to be stopped, and is.
    Stopped,
    /// It ran to its end.
    Completed,
    /// Its cluster does not answer.
    Unknown,
}

/// What a team runs in one cluster.
#[derive(Debug, Clone)]
pub struct Application {
    row: rows::Application,
}

/// Where a cluster differs from what was deployed.
#[derive(Debug, Clone, SimpleObject)]
pub struct Drift {
    /// A hash of what differs, the same while the difference is.
    pub id: ID,
    /// What people call the component that the object belongs to.
    pub component: Option<String>,
    /// Kind and name of the object.
    pub object: String,
    /// The field; empty: the object as a whole.
    pub path: String,
    /// What was deployed. Secrets are `(secret)`.
    pub deployed: Option<String>,
    /// What is there. A secret that differs is `(secret, changed)`.
    pub live: Option<String>,
    /// Who wrote it: the name of the field manager.
    pub owner: Option<String>,
}

/// Something that people decide about, since nothing else does.
#[derive(Debug, Clone, SimpleObject)]
pub struct Kept {
    /// Which kind of thing: `volumes`, `resource`.
    pub kind: String,
    /// Its name, and what it belongs to.
    pub name: String,
    /// Why it is kept.
    pub reason: String,
}

/// Queries of applications.
#[derive(Default)]
pub struct ApplicationQuery;

/// Mutations of applications.
#[derive(Default)]
pub struct ApplicationMutation;

/// Loads an application with its components. Whoever uses it knows that it may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WholeKey(pub ApplicationId);

/// Loads how an application is in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LiveKey(pub ApplicationId);

/// Loads how many installations of an application can be upgraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UpgradableKey(pub ApplicationId);

/// Input of `createApplication`.
#[derive(InputObject)]
pub struct CreateApplicationInput {
    /// Whose it is.
    pub team_id: ID,
    /// Where it runs. The team is opened on it.
    pub cluster_id: ID,
    /// What people call it: 1 to 100 characters.
    pub name: String,
    /// What the names of its objects begin with: a DNS label of at most 40 characters that begins with a letter, unique in
    /// the team's namespace there (SLUG_IN_USE). By default it is made of the name.
    pub slug: Option<String>,
}

/// Input of `deleteApplication`.
#[derive(InputObject)]
pub struct DeleteApplicationInput {
    /// Which.
    pub application_id: ID,
    /// Whether its persistent volumes go as well; by default they are kept.
    pub delete_volumes: Option<bool>,
}

connection! {
    /// A page of applications.
    ApplicationConnection, ApplicationEdge, Application
}

payload! {
    /// Answer of `createApplication`.
    CreateApplicationPayload {
        /// The new application.
        application: Application,
    }
}

payload! {
    /// Answer of `deleteApplication`.
    DeleteApplicationPayload {
        /// The application as it was.
        application: Application,
        /// What deletes its objects, and then the application. Null: nothing of it was in the cluster, and it is gone.
        operation: Operation,
        /// What is kept in the cluster.
        kept: Vec<Kept>,
    }
}

/// What a team runs in one cluster.
#[Object]
impl Application {
    /// Its global id.
    pub async fn id(&self) -> ID {
        id::encode(self.row.id)
    }

    /// What people call it.
    async fn name(&self) -> &str {
        &self.row.name
    }

    /// What the names of its objects begin with.
    async fn slug(&self) -> &str {
        &self.row.slug
    }

    /// Whose it is.
    async fn team(&self, ctx: &Context<'_>) -> async_graphql::Result<Team> {
        load(ctx, TeamKey(self.row.team_id)).await.and_then(|team| team.ok_or(Error::NotFound("the team"))).graphql()
    }

    /// Where it runs.
    async fn cluster(&self, ctx: &Context<'_>) -> async_graphql::Result<Cluster> {
        cluster_of(ctx, self.row.cluster_id).await.graphql()
    }

    /// The namespace there.
    async fn namespace(&self) -> &str {
        &self.row.namespace
    }

    /// How it is now: as the worst of its components.
    async fn status(&self, ctx: &Context<'_>) -> async_graphql::Result<RunState> {
        let result = async {
            let whole = self.whole(ctx).await?;
            let live = live(ctx, self.row.id).await?;
            Ok::<_, Error>(live.aggregate(&whole.components).into())
        };
        result.await.graphql()
    }

    /// Its components by name, those that are removed with the next deployment included.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn components(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, up to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<Cursor>,
    ) -> async_graphql::Result<ComponentConnection> {
        let result = async {
            let page: PageRequest<(String, ComponentId)> = PageRequest::new(ctx, "Component", first, after.as_ref())?;
            let all = Component::all(&self.whole(ctx).await?);
            Ok::<_, Error>(page::in_memory(&page, all, |one| (one.row().name.clone(), one.row().id)))
        };
        result.await.map(Into::into).graphql()
    }

    /// Its other objects by name, those that are removed with the next deployment included.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn kubernetes_resources(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, up to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<Cursor>,
    ) -> async_graphql::Result<KubernetesResourceConnection> {
        let result = async {
            let page: PageRequest<(String, ResourceId)> =
                PageRequest::new(ctx, "KubernetesResource", first, after.as_ref())?;
            let all = KubernetesResource::all(ctx, self.row.id).await?;
            Ok::<_, Error>(page::in_memory(&page, all, |one| (one.row().name.clone(), one.row().id)))
        };
        result.await.map(Into::into).graphql()
    }

    /// Its publications that one may see, newest first: one's own, and those that were confirmed.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn publications(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, up to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<Cursor>,
    ) -> async_graphql::Result<PublicationConnection> {
        publication::of_application(ctx, self.row.id, first, after.as_ref()).await.graphql()
    }

    /// The installations that live in it, oldest first.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn installations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, up to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<Cursor>,
    ) -> async_graphql::Result<InstallationConnection> {
        installation::of_application(ctx, self.row.id, first, after.as_ref()).await.graphql()
    }

    /// Upgrades and rollbacks of its installations, newest first.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn upgrade_records(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, up to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<Cursor>,
    ) -> async_graphql::Result<UpgradeRecordConnection> {
        record::of_application(ctx, self.row.id, first, after.as_ref()).await.graphql()
    }

    /// How many of its installations can be upgraded.
    async fn upgradable_count(&self, ctx: &Context<'_>) -> async_graphql::Result<i32> {
        load(ctx, UpgradableKey(self.row.id)).await.map(Option::unwrap_or_default).graphql()
    }

    /// Its components and how they depend on each other.
    #[graphql(complexity = "super::limits::several(child_complexity)")]
    async fn topology(&self, ctx: &Context<'_>) -> async_graphql::Result<Topology> {
        self.whole(ctx).await.map(|whole| Topology::of(&whole)).graphql()
    }

    /// Edits that are not deployed yet.
    async fn undeployed(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Change>> {
        let result = async {
            let (whole, resources) = (self.whole(ctx).await?, load(ctx, ResourcesKey(self.row.id)).await?);
            Ok::<_, Error>(find_application::undeployed(&whole, resources.unwrap_or_default()))
        };
        result.await.map(|changes| changes.into_iter().map(Into::into).collect()).graphql()
    }

    /// Where the cluster differs from what was deployed. The cluster is asked now (UNAVAILABLE where it does not answer).
    #[graphql(complexity = "super::limits::LIVE + child_complexity")]
    async fn drift(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Drift>> {
        let result = async { drift::find_drift(app(ctx), actor(ctx)?, self.row.id).await };
        result.await.map(|found| found.into_iter().map(Into::into).collect()).graphql()
    }

    /// The operation that changes it now; another one is refused meanwhile.
    async fn operation(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Operation>> {
        match self.row.locked_by {
            Some(id) => load(ctx, super::operation::OperationKey(id)).await.graphql(),
            None => Ok(None),
        }
    }
}

#[Object]
impl ApplicationQuery {
    /// One application.
    async fn application(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> async_graphql::Result<Option<Application>> {
        find(ctx, asked(ctx, &id)?).await.map(Some)
    }
}

#[Object]
impl ApplicationMutation {
    /// Creates an application without components. For developers of the team.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn create_application(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is created.")] input: CreateApplicationInput,
    ) -> async_graphql::Result<CreateApplicationPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let wanted = CreateApplication {
                team_id: id::decode(&input.team_id, "teamId")?,
                cluster_id: id::decode(&input.cluster_id, "clusterId")?,
                name: input.name,
                slug: input.slug,
            };
            create_application::create_application(app(ctx), actor, wanted).await
        };
        answer(result.await, |application| CreateApplicationPayload {
            application: Some(application.into()),
            errors: Vec::new(),
        })
    }

    /// Deletes an application: its objects, in reverse order of dependencies, then the application with its installations
    /// and their records. For developers of the team.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn delete_application(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] input: DeleteApplicationInput,
    ) -> async_graphql::Result<DeleteApplicationPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let id = id::decode(&input.application_id, "applicationId")?;
            let delete_volumes = input.delete_volumes.unwrap_or(false);
            delete_application::delete_application(app(ctx), actor, id, delete_volumes, None).await
        };
        answer(result.await, |deleted| DeleteApplicationPayload {
            application: Some(deleted.application.into()),
            operation: deleted.operation.map(Into::into),
            kept: Some(
                deleted
                    .kept
                    .into_iter()
                    .map(|left| Kept {
                        kind: left.kind,
                        name: format!("{} of {}", left.name, left.owner_name),
                        reason: left.reason,
                    })
                    .collect(),
            ),
            errors: Vec::new(),
        })
    }
}

impl Application {
    async fn whole(&self, ctx: &Context<'_>) -> Result<Arc<Whole>> {
        load(ctx, WholeKey(self.row.id)).await?.ok_or(Error::NotFound("the application"))
    }
}

/// A page of a team's applications, by name.
pub async fn of_team(
    ctx: &Context<'_>,
    team: TeamId,
    cluster: Option<&ID>,
    first: Option<i32>,
    after: Option<&Cursor>,
) -> Result<ApplicationConnection> {
    let page = PageRequest::new(ctx, "Application", first, after)?;
    let cluster = id::decode_option::<ClusterKind>(cluster, "clusterId")?;
    let rows = if page.after.is_some() {
        find_application::list_applications(app(ctx), team, cluster, &page).await?
    } else {
        load(ctx, FirstApplicationsKey { team, cluster, limit: page.limit() }).await?.unwrap_or_default()
    };
    let count = if page.count { load(ctx, ApplicationCountKey { team, cluster }).await? } else { None };
    Ok(Page::of(&page, rows, count.unwrap_or_default(), |row| (row.name.clone(), row.id)).into())
}

/// An application by id.
pub(super) async fn find(ctx: &Context<'_>, id: ApplicationId) -> async_graphql::Result<Application> {
    let result = async { find_application::find_application(app(ctx), actor(ctx)?, id).await };
    result.await.map(Into::into).graphql()
}

/// How an application is in its cluster.
pub(super) async fn live(ctx: &Context<'_>, id: ApplicationId) -> Result<Arc<Live>> {
    load(ctx, LiveKey(id)).await?.ok_or(Error::NotFound("the application"))
}

impl From<rows::Application> for Application {
    fn from(row: rows::Application) -> Self {
        Self { row }
    }
}

impl From<Found> for Drift {
    fn from(found: Found) -> Self {
        let Found { id, component, object, path, deployed, live, manager, .. } = found;
        Self { id: ID(id), component, object, path, deployed, live, owner: manager }
    }
}

impl Loader<WholeKey> for Rows {
    type Value = Arc<Whole>;
    type Error = Shared;

    async fn load(&self, keys: &[WholeKey]) -> Result<HashMap<WholeKey, Arc<Whole>>, Shared> {
        let ids: Vec<ApplicationId> = keys.iter().map(|key| key.0).collect();
        let found = find_application::load_wholes(&self.app, &ids).await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|(id, whole)| (WholeKey(id), whole)).collect())
    }
}

impl Loader<LiveKey> for Rows {
    type Value = Arc<Live>;
    type Error = Shared;

    async fn load(&self, keys: &[LiveKey]) -> Result<HashMap<LiveKey, Arc<Live>>, Shared> {
        let ids: Vec<ApplicationId> = keys.iter().map(|key| key.0).collect();
        let found = live_state::observe(&self.app, &ids).await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|(id, live)| (LiveKey(id), live)).collect())
    }
}

impl Loader<UpgradableKey> for Rows {
    type Value = i32;
    type Error = Shared;

    async fn load(&self, keys: &[UpgradableKey]) -> Result<HashMap<UpgradableKey, i32>, Shared> {
        let ids: Vec<ApplicationId> = keys.iter().map(|key| key.0).collect();
        let found = find_application::count_upgradable(&self.app, &ids).await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|(id, count)| (UpgradableKey(id), count)).collect())
    }
}
