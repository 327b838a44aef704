//! Components of applications.

use super::{
    actor, app,
    application::{Application, RunState, WholeKey, live},
    asked,
    error::{IntoGraphql as _, answer},
    id,
    installation::{Installation, InstallationKey},
    loader::{Rows, Shared, load},
    page::{self, Cursor, PageRequest},
    pod::{KubernetesEvent, KubernetesEventConnection, Pod, is_about},
    settings::ComponentSettingsInput,
    version::{TemplateVersion, VersionKey},
    workload::{self, ConfigFile, EnvironmentVariable, Names, Port, Probe, Resources, ScaleRule, Volume, WorkloadKind},
};
use crate::{
    connection,
    error::{Error, Result},
    id::{ApplicationId, ComponentId, EnterpriseId},
    payload,
    service::{
        add_component::{self, AddComponent},
        find_application::{self, Whole},
        live_state::{self, Condition, Namespace},
        problems::Problems,
        remove_component,
        update_component::{self, UpdateComponent},
    },
    store::{component as rows, library},
};
use async_graphql::{Context, ID, InputObject, Object, dataloader::Loader};
use ropeway_domain::{Component as Spec, ComponentKey, Value, model::Image};
use serde_json::Value as Json;
use std::{collections::HashMap, sync::Arc};

/// One workload of an application.
#[derive(Debug, Clone)]
pub struct Component {
    whole: Arc<Whole>,
    row: Arc<rows::Component>,
    spec: Arc<Spec<Value>>,
}

/// Queries of components.
#[derive(Default)]
pub struct ComponentQuery;

/// Mutations of components.
#[derive(Default)]
pub struct ComponentMutation;

/// Loads the address from which clusters of an enterprise pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LibraryAddressKey(pub EnterpriseId);

/// Loads the Kubernetes events of a namespace of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamespaceEventsKey(pub Namespace);

/// Input of `addComponent`.
#[derive(InputObject)]
pub struct AddComponentInput {
    /// Where.
    pub application_id: ID,
    /// What people call it: 1 to 100 characters.
    pub name: String,
    /// The part of the names of its objects that is its own: a DNS label of at most 40 characters that begins with a
    /// letter, unique in its application. By default it is made of the name.
    pub slug: Option<String>,
    /// Which kind of workload; by default a Deployment.
    pub kind: Option<WorkloadKind>,
    /// What it runs: an OCI reference, such as `docker.io/library/nginx:1.29`.
    pub image: String,
    /// Everything else.
    pub settings: Option<ComponentSettingsInput>,
}

/// Input of `updateComponent`. What is left out stays.
#[derive(InputObject)]
pub struct UpdateComponentInput {
    /// Which.
    pub component_id: ID,
    /// What people call it.
    pub name: Option<String>,
    /// What it runs: an OCI reference.
    pub image: Option<String>,
    /// Everything else.
    pub settings: Option<ComponentSettingsInput>,
}

/// Input of `removeComponent`.
#[derive(InputObject)]
pub struct RemoveComponentInput {
    /// Which.
    pub component_id: ID,
    /// Refused for a component that is in the cluster (VOLUMES_STAY): an edit never deletes a claim.
    pub delete_volumes: Option<bool>,
}

connection! {
    /// A page of components.
    ComponentConnection, ComponentEdge, Component
}

payload! {
    /// Answer of `addComponent`.
    AddComponentPayload {
        /// The new component.
        component: Component,
    }
}

payload! {
    /// Answer of `updateComponent`.
    UpdateComponentPayload {
        /// The component as it shall be.
        component: Component,
    }
}

payload! {
    /// Answer of `removeComponent`.
    RemoveComponentPayload {
        /// The component, until the next deployment has removed it; null where it was not in the cluster and is gone.
        component: Component,
        /// Its application.
        application: Application,
    }
}

/// One workload of an application.
#[Object]
impl Component {
    /// Its global id.
    pub async fn id(&self) -> ID {
        id::encode(self.row.id)
    }

    /// Its identity: the same in the versions that are published of it, unless it came from a template.
    async fn key(&self) -> ID {
        ID(self.row.key.0.to_string())
    }

    /// What people call it.
    async fn name(&self) -> &str {
        &self.row.name
    }

    /// The part of the names of its objects that is its own.
    async fn slug(&self) -> &str {
        &self.row.slug
    }

    /// The name of its objects, under which others of its namespace reach it.
    async fn cluster_name(&self) -> &str {
        &self.row.cluster_name
    }

    /// Which kind of workload it is.
    async fn kind(&self) -> WorkloadKind {
        self.spec.kind.into()
    }

    /// How it is now.
    async fn status(&self, ctx: &Context<'_>) -> async_graphql::Result<RunState> {
        self.condition(ctx).await.map(|condition| condition.state.into()).graphql()
    }

    /// Why it is not as wanted.
    async fn status_reason(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<String>> {
        self.condition(ctx).await.map(|condition| condition.reason).graphql()
    }

    /// Where it belongs.
    async fn application(&self) -> Application {
        self.whole.application.clone().into()
    }

    /// The installation that it came with.
    async fn installation(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Installation>> {
        let Some(id) = self.row.installation_id else { return Ok(None) };
        Ok(load(ctx, InstallationKey(id)).await.graphql()?.map(Into::into))
    }

    /// The revision that it is at.
    async fn version(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<TemplateVersion>> {
        let Some(id) = self.row.version_id else { return Ok(None) };
        Ok(load(ctx, VersionKey(id)).await.graphql()?.map(Into::into))
    }

    /// Its identity in the template that it came from.
    async fn template_key(&self) -> Option<ID> {
        self.row.template_key.map(|key| ID(key.0.to_string()))
    }

    /// Whether the version that its installation is at has no counterpart of it.
    async fn no_longer_in_template(&self) -> bool {
        self.row.no_longer_in_template
    }

    /// Whether it is removed with the next deployment.
    async fn is_removed(&self) -> bool {
        self.row.desired.is_none()
    }

    /// What it runs: an OCI reference.
    async fn image(&self, ctx: &Context<'_>) -> async_graphql::Result<String> {
        match &self.spec.image {
            Image::Reference { reference, .. } => Ok(reference.clone()),
            Image::Library { repository, digest } => {
                let key = LibraryAddressKey(self.whole.application.enterprise_id);
                let address = load(ctx, key).await.graphql()?.unwrap_or_default();
                let slash = if address.is_empty() { "" } else { "/" };
                Ok(format!("{address}{slash}{repository}@{digest}"))
            }
        }
    }

    /// The digest of its image, where that is named by one; a tag may name another image at any time.
    async fn image_digest(&self) -> Option<String> {
        self.spec.image.digest().map(|digest| digest.to_string())
    }

    /// Instead of the image's entry point; empty: the image's own.
    async fn command(&self) -> Vec<String> {
        workload::texts(&self.spec.command, &self.names())
    }

    /// Instead of the image's arguments; empty: the image's own.
    async fn arguments(&self) -> Vec<String> {
        workload::texts(&self.spec.arguments, &self.names())
    }

    /// Its own environment.
    async fn environment(&self) -> Vec<EnvironmentVariable> {
        workload::variables(&self.spec.environment, &self.names())
    }

    /// What it offers to the environment of those that depend on it.
    async fn connection_info(&self) -> Vec<EnvironmentVariable> {
        workload::variables(&self.spec.connection_info, &self.names())
    }

    /// What it listens on.
    async fn ports(&self) -> Vec<Port> {
        self.spec.ports.iter().map(Into::into).collect()
    }

    /// What it mounts.
    async fn volumes(&self) -> Vec<Volume> {
        workload::volumes(&self.spec, |key| self.sibling(key).map(|row| id::encode(row.id)))
    }

    /// What it finds as files.
    #[graphql(complexity = "super::limits::LARGE + child_complexity")]
    async fn config_files(&self) -> Vec<ConfigFile> {
        workload::config_files(&self.spec, &self.names())
    }

    /// Its health checks.
    async fn probes(&self) -> Vec<Probe> {
        self.spec.probes.iter().map(Into::into).collect()
    }

    /// What a replica asks for and may use.
    async fn resources(&self) -> Resources {
        (&self.spec.resources).into()
    }

    /// Between which numbers of replicas it may be scaled.
    async fn scale_rule(&self) -> ScaleRule {
        (&self.spec.scale.rule).into()
    }

    /// The wanted number of replicas.
    async fn replicas(&self) -> i32 {
        workload::int(self.spec.scale.replicas)
    }

    /// The replicas that are ready now.
    async fn ready_replicas(&self, ctx: &Context<'_>) -> async_graphql::Result<i32> {
        let condition = self.condition(ctx).await.graphql()?;
        Ok(i32::try_from(condition.ready_replicas).unwrap_or(i32::MAX))
    }

    /// The components that must be healthy before it starts, and whose connection info it gets.
    #[graphql(complexity = "super::limits::several(child_complexity)")]
    async fn dependencies(&self) -> Vec<Self> {
        self.spec.dependencies.iter().filter_map(|key| Self::by_key(&self.whole, *key)).collect()
    }

    /// Other attributes of its pods, by the names of a Kubernetes PodSpec, and `labels` and `annotations` of the workload.
    #[graphql(complexity = "super::limits::LARGE")]
    async fn attributes(&self) -> Json {
        Json::Object(self.spec.attributes.clone())
    }

    /// Its pods now; none where the cluster does not answer.
    #[graphql(complexity = "super::limits::several(child_complexity)")]
    async fn pods(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Pod>> {
        let live = live(ctx, self.row.application_id).await.graphql()?;
        Ok(live.pods(&self.row).iter().map(Into::into).collect())
    }

    /// The Kubernetes events about its objects, oldest first (UNAVAILABLE where the cluster does not answer).
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, up to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<Cursor>,
    ) -> async_graphql::Result<KubernetesEventConnection> {
        let result = async {
            let page: PageRequest<(String, String)> = PageRequest::new(ctx, "KubernetesEvent", first, after.as_ref())?;
            let live = live(ctx, self.row.application_id).await?;
            let pods: Vec<Pod> = live.pods(&self.row).iter().map(Into::into).collect();
            let application = &self.whole.application;
            let key = NamespaceEventsKey((application.cluster_id, application.namespace.clone()));
            let all = load(ctx, key).await?.unwrap_or_else(|| Ok(Arc::default())).map_err(Error::unavailable)?;
            let is_there = live.is_there(&self.row);
            let about = all.iter().filter(|event| is_there && is_about(event, &self.row.cluster_name, &pods));
            let events: Vec<KubernetesEvent> = about.map(Into::into).collect();
            Ok::<_, Error>(page::in_memory(&page, events, KubernetesEvent::place))
        };
        result.await.map(Into::into).graphql()
    }
}

#[Object]
impl ComponentQuery {
    /// One component.
    async fn component(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> async_graphql::Result<Option<Component>> {
        find(ctx, asked(ctx, &id)?).await.map(Some)
    }
}

#[Object]
impl ComponentMutation {
    /// Adds a component to an application. It runs once the application is deployed. For developers of the team.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn add_component(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is added.")] input: AddComponentInput,
    ) -> async_graphql::Result<AddComponentPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let mut problems = Problems::new();
            let wanted = AddComponent {
                application_id: id::decode(&input.application_id, "applicationId")?,
                name: input.name,
                slug: input.slug,
                kind: input.kind.map(Into::into),
                image: input.image,
                settings: input.settings.unwrap_or_default().read(&mut problems),
                problems,
            };
            let row = add_component::add_component(app(ctx), actor, wanted).await?;
            Component::after(ctx, row.application_id, row.key.0).await
        };
        answer(result.await, |(component, _)| AddComponentPayload { component, errors: Vec::new() })
    }

    /// Changes what a component shall be, also of one that came from a template. It takes effect with the next deployment.
    /// For developers of the team.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn update_component(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is changed.")] input: UpdateComponentInput,
    ) -> async_graphql::Result<UpdateComponentPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let mut problems = Problems::new();
            let wanted = UpdateComponent {
                component_id: id::decode(&input.component_id, "componentId")?,
                name: input.name,
                image: input.image,
                settings: input.settings.unwrap_or_default().read(&mut problems),
                problems,
            };
            let row = update_component::update_component(app(ctx), actor, wanted).await?;
            Component::after(ctx, row.application_id, row.key.0).await
        };
        answer(result.await, |(component, _)| UpdateComponentPayload { component, errors: Vec::new() })
    }

    /// Removes a component that no other one needs (COMPONENT_IN_USE): with the next deployment, if it is in the cluster.
    /// Its volumes stay. For developers of the team.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn remove_component(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] input: RemoveComponentInput,
    ) -> async_graphql::Result<RemoveComponentPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let id = id::decode(&input.component_id, "componentId")?;
            let delete_volumes = input.delete_volumes.unwrap_or(false);
            let row = remove_component::remove_component(app(ctx), actor, id, delete_volumes).await?;
            Component::after(ctx, row.application_id, row.key.0).await
        };
        answer(result.await, |(component, application)| RemoveComponentPayload {
            component,
            application: Some(application),
            errors: Vec::new(),
        })
    }
}

impl Component {
    /// Those of an application, by name.
    pub(super) fn all(whole: &Arc<Whole>) -> Vec<Self> {
        whole.components.iter().filter_map(|row| Self::of(whole, row)).collect()
    }

    /// The one with this own key.
    pub(super) fn by_key(whole: &Arc<Whole>, key: ComponentKey) -> Option<Self> {
        whole.components.iter().find(|row| row.key.0 == key).and_then(|row| Self::of(whole, row))
    }

    /// The ones of an installation, by name.
    pub(super) fn of_installation(whole: &Arc<Whole>, installation: crate::id::InstallationId) -> Vec<Self> {
        let rows = whole.components.iter().filter(|row| row.installation_id == Some(installation));
        rows.filter_map(|row| Self::of(whole, row)).collect()
    }

    pub(super) fn row(&self) -> &rows::Component {
        &self.row
    }

    fn of(whole: &Arc<Whole>, row: &Arc<rows::Component>) -> Option<Self> {
        let spec = Arc::clone(whole.specs.get(&row.key.0)?);
        Some(Self { whole: Arc::clone(whole), row: Arc::clone(row), spec })
    }

    /// A component after a change, if it is still there, and its application.
    async fn after(ctx: &Context<'_>, id: ApplicationId, key: ComponentKey) -> Result<(Option<Self>, Application)> {
        let whole = load(ctx, WholeKey(id)).await?.ok_or(Error::NotFound("the application"))?;
        Ok((Self::by_key(&whole, key), whole.application.clone().into()))
    }

    /// The host names of all components of its application.
    fn names(&self) -> Names {
        self.whole.components.iter().map(|row| (row.key.0, row.cluster_name.clone())).collect()
    }

    fn sibling(&self, key: ComponentKey) -> Option<&rows::Component> {
        self.whole.components.iter().find(|row| row.key.0 == key).map(|row| &**row)
    }

    async fn condition(&self, ctx: &Context<'_>) -> Result<Condition> {
        Ok(live(ctx, self.row.application_id).await?.condition(&self.row))
    }
}

/// A component by id.
pub(super) async fn find(ctx: &Context<'_>, id: ComponentId) -> async_graphql::Result<Component> {
    let result = async {
        let whole = find_application::find_component(app(ctx), actor(ctx)?, id).await?;
        let row = whole.components.iter().find(|row| row.id == id);
        row.and_then(|row| Component::of(&whole, row)).ok_or(Error::NotFound("the component"))
    };
    result.await.graphql()
}

impl Loader<LibraryAddressKey> for Rows {
    type Value = String;
    type Error = Shared;

    async fn load(&self, keys: &[LibraryAddressKey]) -> Result<HashMap<LibraryAddressKey, String>, Shared> {
        let ids: Vec<EnterpriseId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(library::of_enterprises(&mut conn, &ids).await?)
        };
        let found = found.await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|row| (LibraryAddressKey(row.enterprise_id), row.public_url)).collect())
    }
}

impl Loader<NamespaceEventsKey> for Rows {
    /// Of each namespace its own answer: a cluster that is silent hides nothing of the others.
    type Value = Result<Arc<Vec<Json>>, String>;
    type Error = Shared;

    async fn load(&self, keys: &[NamespaceEventsKey]) -> Result<HashMap<NamespaceEventsKey, Self::Value>, Shared> {
        let namespaces: Vec<Namespace> = keys.iter().map(|key| key.0.clone()).collect();
        let found = live_state::events(&self.app, &namespaces).await;
        Ok(found.into_iter().map(|(namespace, answer)| (NamespaceEventsKey(namespace), answer)).collect())
    }
}
