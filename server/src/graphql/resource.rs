//! Kubernetes resources of applications.

use super::{
    actor, app,
    application::RunState,
    error::{IntoGraphql as _, answer},
    id,
    loader::{Rows, Shared, load},
};
use crate::{
    connection,
    error::{Error, Result},
    id::{ApplicationId, ResourceId},
    payload,
    service::{
        edit, find_application,
        live_state::{self, Condition},
        remove_kubernetes_resource, set_kubernetes_resource,
    },
    store::resource as rows,
};
use async_graphql::{Context, ID, InputObject, Object, dataloader::Loader};
use serde_json::Value as Json;
use std::{collections::HashMap, sync::Arc};
use uuid::Uuid;

/// Another object of an application.
#[derive(Debug, Clone)]
pub struct KubernetesResource {
    row: rows::KubernetesResource,
}

/// Mutations of Kubernetes resources.
#[derive(Default)]
pub struct ResourceMutation;

/// Loads the Kubernetes resources of an application. Whoever uses it knows that they may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResourcesKey(pub ApplicationId);

/// Loads how the Kubernetes resources of an application are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResourceConditionsKey(pub ApplicationId);

/// Input of `setKubernetesResource`.
#[derive(InputObject)]
pub struct SetKubernetesResourceInput {
    /// Where.
    pub application_id: ID,
    /// The whole object: apiVersion, kind, metadata.name and the rest, 256 KiB at most. Status, namespace and what the API
    /// server adds are left out. The entries of a Secret are sealed and never shown.
    #[graphql(secret)]
    pub manifest: Json,
}

/// Input of `removeKubernetesResource`.
#[derive(InputObject)]
pub struct RemoveKubernetesResourceInput {
    /// Which.
    pub kubernetes_resource_id: ID,
}

connection! {
    /// A page of Kubernetes resources.
    KubernetesResourceConnection, KubernetesResourceEdge, KubernetesResource
}

payload! {
    /// Answer of `setKubernetesResource`.
    SetKubernetesResourcePayload {
        /// The resource as it shall be.
        kubernetes_resource: KubernetesResource,
    }
}

payload! {
    /// Answer of `removeKubernetesResource`.
    RemoveKubernetesResourcePayload {
        /// The resource that is removed.
        kubernetes_resource: KubernetesResource,
    }
}

/// Another object of an application.
#[Object]
impl KubernetesResource {
    /// Its global id.
    pub async fn id(&self) -> ID {
        id::encode(self.row.id)
    }

    /// Its identity: the same in the versions that are published of it, unless it came from a template.
    async fn key(&self) -> ID {
        ID(self.row.key.0.to_string())
    }

    /// Such as `policy/v1`.
    async fn api_version(&self) -> &str {
        &self.row.api_version
    }

    /// Such as `PodDisruptionBudget`.
    async fn kind(&self) -> &str {
        &self.row.kind
    }

    /// Its name in the cluster.
    async fn name(&self) -> &str {
        &self.row.name
    }

    /// The object as it shall be, without the entries of a Secret.
    #[graphql(complexity = "super::limits::LARGE")]
    async fn manifest(&self) -> Json {
        edit::resource_spec(&self.row).map_or(Json::Null, |spec| Json::Object(spec.manifest.clone()))
    }

    /// The names of a Secret's entries, whose values are in no answer.
    async fn secret_names(&self) -> Vec<&str> {
        let entries = edit::resource_spec(&self.row).map(|spec| spec.secret_data.as_slice()).unwrap_or_default();
        entries.iter().map(|entry| entry.name.as_str()).collect()
    }

    /// Whether it is removed with the next deployment.
    async fn is_removed(&self) -> bool {
        self.row.desired.is_none()
    }

    /// How it is now.
    async fn status(&self, ctx: &Context<'_>) -> async_graphql::Result<RunState> {
        self.condition(ctx).await.map(|condition| condition.state.into()).graphql()
    }

    /// Why it is not as wanted.
    async fn status_reason(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<String>> {
        self.condition(ctx).await.map(|condition| condition.reason).graphql()
    }
}

#[Object]
impl ResourceMutation {
    /// Creates or replaces another object of an application, by apiVersion, kind and name. It is applied with the next
    /// deployment. For developers of the team.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn set_kubernetes_resource(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The object.")] input: SetKubernetesResourceInput,
    ) -> async_graphql::Result<SetKubernetesResourcePayload> {
        let result = async {
            let actor = actor(ctx)?;
            let id = id::decode(&input.application_id, "applicationId")?;
            let Json::Object(manifest) = input.manifest else {
                return Err(Error::invalid("INVALID_MANIFEST", ["manifest"], "an object is needed"));
            };
            set_kubernetes_resource::set_kubernetes_resource(app(ctx), actor, id, manifest).await
        };
        answer(result.await, |row| SetKubernetesResourcePayload {
            kubernetes_resource: Some(row.into()),
            errors: Vec::new(),
        })
    }

    /// Removes another object of an application: with the next deployment, if it is in the cluster. For developers of the
    /// team.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn remove_kubernetes_resource(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] input: RemoveKubernetesResourceInput,
    ) -> async_graphql::Result<RemoveKubernetesResourcePayload> {
        let result = async {
            let actor = actor(ctx)?;
            let id = id::decode(&input.kubernetes_resource_id, "kubernetesResourceId")?;
            remove_kubernetes_resource::remove_kubernetes_resource(app(ctx), actor, id).await
        };
        answer(result.await, |row| RemoveKubernetesResourcePayload {
            kubernetes_resource: Some(row.into()),
            errors: Vec::new(),
        })
    }
}

impl KubernetesResource {
    /// Those of an application, by name.
    pub(super) async fn all(ctx: &Context<'_>, application: ApplicationId) -> Result<Vec<Self>> {
        let rows = load(ctx, ResourcesKey(application)).await?.unwrap_or_default();
        Ok(rows.into_iter().filter(|row| edit::resource_spec(row).is_some()).map(Into::into).collect())
    }

    pub(super) fn row(&self) -> &rows::KubernetesResource {
        &self.row
    }

    async fn condition(&self, ctx: &Context<'_>) -> Result<Condition> {
        let all = load(ctx, ResourceConditionsKey(self.row.application_id)).await?;
        let condition = all.and_then(|all| all.get(&self.row.key.0.0).cloned());
        condition.ok_or(Error::NotFound("the Kubernetes resource"))
    }
}

/// A Kubernetes resource by id.
pub(super) async fn find(ctx: &Context<'_>, id: ResourceId) -> async_graphql::Result<KubernetesResource> {
    let result = async { find_application::find_resource(app(ctx), actor(ctx)?, id).await };
    result.await.map(Into::into).graphql()
}

impl From<rows::KubernetesResource> for KubernetesResource {
    fn from(row: rows::KubernetesResource) -> Self {
        Self { row }
    }
}

impl Loader<ResourcesKey> for Rows {
    type Value = Vec<rows::KubernetesResource>;
    type Error = Shared;

    async fn load(&self, keys: &[ResourcesKey]) -> Result<HashMap<ResourcesKey, Self::Value>, Shared> {
        let ids: Vec<ApplicationId> = keys.iter().map(|key| key.0).collect();
        let found = find_application::load_resources(&self.app, &ids).await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|(id, rows)| (ResourcesKey(id), rows)).collect())
    }
}

impl Loader<ResourceConditionsKey> for Rows {
    type Value = Arc<HashMap<Uuid, Condition>>;
    type Error = Shared;

    async fn load(
        &self,
        keys: &[ResourceConditionsKey],
    ) -> Result<HashMap<ResourceConditionsKey, Self::Value>, Shared> {
        let ids: Vec<ApplicationId> = keys.iter().map(|key| key.0).collect();
        let found = live_state::observe_resources(&self.app, &ids).await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|(id, conditions)| (ResourceConditionsKey(id), conditions)).collect())
    }
}
