//! Enterprises.

use super::{
    actor, app, asked,
    audit::AuditEntryConnection,
    cluster::{Cluster, ClusterConnection},
    error::{IntoGraphql as _, answer},
    id,
    library::Library,
    loader::{Rows, Shared, load},
    member::MemberConnection,
    page::{self, Cursor, PageRequest},
    team::TeamConnection,
    template::{self, AppTemplateConnection, TemplateScope},
};
use crate::{
    connection,
    error::{Error, Result},
    id::EnterpriseId,
    payload,
    service::{create_enterprise, find, list, list_templates::Wanted},
    store::{enterprise as rows, member},
};
use async_graphql::{Context, ID, InputObject, Object, dataloader::Loader};
use ropeway_domain::access::EnterpriseRole;
use std::{collections::HashMap, sync::Arc};

/// The tenant: owns clusters, teams, the library and its members.
#[derive(Debug, Clone)]
pub struct Enterprise {
    row: rows::Enterprise,
}

/// Queries of enterprises.
#[derive(Default)]
pub struct EnterpriseQuery;

/// Mutations of enterprises.
#[derive(Default)]
pub struct EnterpriseMutation;

/// Loads what the person who asks is in an enterprise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RoleKey(pub EnterpriseId);

/// Loads an enterprise of which the person who asks is a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnterpriseKey(pub EnterpriseId);

/// Input of `createEnterprise`.
#[derive(InputObject)]
pub struct CreateEnterpriseInput {
    /// Its name, unique.
    pub name: String,
}

connection! {
    /// A page of enterprises.
    EnterpriseConnection, EnterpriseEdge, Enterprise
}

payload! {
    /// Answer of `createEnterprise`.
    CreateEnterprisePayload {
        /// The new enterprise.
        enterprise: Enterprise,
    }
}

/// The tenant: owns clusters, teams, the library and its members.
#[Object]
impl Enterprise {
    /// Its global id.
    pub async fn id(&self) -> ID {
        id::encode(self.row.id)
    }

    /// Its name, unique.
    async fn name(&self) -> &str {
        &self.row.name
    }

    /// Its clusters, by name. Members see those that accept teams.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn clusters(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, up to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<Cursor>,
    ) -> async_graphql::Result<Option<ClusterConnection>> {
        let result = async {
            let page = PageRequest::new(ctx, "Cluster", first, after.as_ref())?;
            let role = self.role(ctx).await?;
            let whole = role == EnterpriseRole::Administrator;
            let page = list::list_clusters(app(ctx), self.row.id, role, page).await?;
            Ok::<_, Error>(page.map(|row| Cluster::new(row, whole)))
        };
        result.await.map(|page| Some(page.into())).graphql()
    }

    /// Its teams, by slug. Members see their own.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn teams(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, up to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<Cursor>,
        #[graphql(desc = "Those whose name or slug contains this text.")] search: Option<String>,
    ) -> async_graphql::Result<TeamConnection> {
        let result = async {
            let page = PageRequest::new(ctx, "Team", first, after.as_ref())?;
            let role = self.role(ctx).await?;
            list::list_teams(app(ctx), actor(ctx)?, self.row.id, role, search.as_deref(), page).await
        };
        result.await.map(Into::into).graphql()
    }

    /// The templates of its library that one may see, by name.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn templates(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, up to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<Cursor>,
        #[graphql(desc = "Those whose name contains this text.")] search: Option<String>,
        #[graphql(desc = "Those of this category.")] category: Option<String>,
        #[graphql(desc = "Those of this scope.")] scope: Option<TemplateScope>,
    ) -> async_graphql::Result<AppTemplateConnection> {
        let wanted = Wanted { search, category, scope: scope.map(Into::into) };
        template::of_enterprise(ctx, self.row.id, first, after.as_ref(), wanted).await.graphql()
    }

    /// The categories in use among the templates that one may see, in order.
    #[graphql(complexity = "super::limits::QUERY")]
    async fn template_categories(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<String>> {
        template::categories_of_enterprise(ctx, self.row.id).await.graphql()
    }

    /// Its members, by name; null but for administrators.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn members(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, up to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<Cursor>,
    ) -> async_graphql::Result<Option<MemberConnection>> {
        let result = async {
            let page = PageRequest::new(ctx, "Member", first, after.as_ref())?;
            list::list_members(app(ctx), self.row.id, self.role(ctx).await?, page).await
        };
        result.await.map(|page| page.map(Into::into)).graphql()
    }

    /// Where it keeps its published images; null but for administrators.
    #[graphql(complexity = "super::limits::QUERY + child_complexity")]
    async fn library(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Library>> {
        let result = async { list::find_library(app(ctx), self.row.id, self.role(ctx).await?).await };
        result.await.map(|library| library.map(Into::into)).graphql()
    }

    /// Who asked for what, newest first; null but for administrators.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn audit_log(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, up to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<Cursor>,
    ) -> async_graphql::Result<Option<AuditEntryConnection>> {
        let result = async {
            let page = PageRequest::new(ctx, "AuditEntry", first, after.as_ref())?;
            list::list_audit(app(ctx), self.row.id, self.role(ctx).await?, page).await
        };
        result.await.map(|page| page.map(Into::into)).graphql()
    }
}

#[Object]
impl EnterpriseQuery {
    /// The enterprises of which one is a member, by name.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn enterprises(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, up to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<Cursor>,
    ) -> async_graphql::Result<EnterpriseConnection> {
        let result = async {
            let page = PageRequest::new(ctx, "Enterprise", first, after.as_ref())?;
            list::list_enterprises(app(ctx), actor(ctx)?, page).await
        };
        result.await.map(Into::into).graphql()
    }

    /// One enterprise.
    async fn enterprise(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> async_graphql::Result<Option<Enterprise>> {
        find(ctx, asked(ctx, &id)?).await.map(Some)
    }
}

#[Object]
impl EnterpriseMutation {
    /// Creates an enterprise and makes the person who asks its administrator. For those who administer one already.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn create_enterprise(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is created.")] input: CreateEnterpriseInput,
    ) -> async_graphql::Result<CreateEnterprisePayload> {
        let result = async { create_enterprise::create_enterprise(app(ctx), actor(ctx)?, &input.name).await };
        answer(result.await, |enterprise| CreateEnterprisePayload {
            enterprise: Some(enterprise.into()),
            errors: Vec::new(),
        })
    }
}

impl Enterprise {
    /// What the person who asks is in it.
    async fn role(&self, ctx: &Context<'_>) -> Result<EnterpriseRole> {
        load(ctx, RoleKey(self.row.id)).await?.ok_or(Error::NotFound("the enterprise"))
    }
}

impl From<rows::Enterprise> for Enterprise {
    fn from(row: rows::Enterprise) -> Self {
        Self { row }
    }
}

impl Loader<RoleKey> for Rows {
    type Value = EnterpriseRole;
    type Error = Shared;

    async fn load(&self, keys: &[RoleKey]) -> Result<HashMap<RoleKey, EnterpriseRole>, Shared> {
        let Some(actor) = &self.actor else { return Ok(HashMap::new()) };
        let roles = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(member::roles_of(&mut conn, actor.user_id).await?)
        };
        let roles = roles.await.map_err(Arc::new)?;
        let roles = roles.into_iter().map(|(id, role)| (RoleKey(id), role.0));
        Ok(roles.filter(|(key, _)| keys.contains(key)).collect())
    }
}

impl Loader<EnterpriseKey> for Rows {
    type Value = Enterprise;
    type Error = Shared;

    async fn load(&self, keys: &[EnterpriseKey]) -> Result<HashMap<EnterpriseKey, Enterprise>, Shared> {
        let Some(actor) = &self.actor else { return Ok(HashMap::new()) };
        let ids: Vec<EnterpriseId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(rows::by_ids(&mut conn, &ids, actor.user_id).await?)
        };
        let found = found.await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|row| (EnterpriseKey(row.id), row.into())).collect())
    }
}

/// An enterprise by id.
pub(super) async fn find(ctx: &Context<'_>, id: EnterpriseId) -> async_graphql::Result<Enterprise> {
    let result = async { find::find_enterprise(app(ctx), actor(ctx)?, id).await };
    result.await.map(Into::into).graphql()
}
