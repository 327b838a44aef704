//! Templates: the library's published applications.

use super::{
    actor, app, asked,
    enterprise::Enterprise,
    error::{IntoGraphql as _, answer},
    id,
    loader::{Rows, Shared, by_limit, load},
    page::{self, Cursor, Page, PageRequest},
    team::{Team, TeamKey},
    version::{TemplateVersion, TemplateVersionConnection},
};
use crate::{
    connection,
    error::{Error, Result},
    id::{EnterpriseId, TemplateId},
    payload,
    service::{
        create_template::{self, CreateTemplate},
        delete_template,
        list_templates::{self, Wanted},
        read_version,
        template::data_url,
        update_template::{self, UpdateTemplate},
    },
    store::{
        template::{self as rows, Scope},
        version,
    },
};
use async_graphql::{Context, Enum, ID, InputObject, Object, dataloader::Loader};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{collections::HashMap, sync::Arc};

/// A published application: versions of it can be installed on any cluster.
#[derive(Debug, Clone)]
pub struct AppTemplate {
    row: rows::Template,
}

/// Who sees a template.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "Scope")]
pub enum TemplateScope {
    /// Its team, and the enterprise's administrators.
    Team,
    /// The whole enterprise.
    Enterprise,
}

/// Queries of templates.
#[derive(Default)]
pub struct TemplateQuery;

/// Mutations of templates.
#[derive(Default)]
pub struct TemplateMutation;

/// Loads a template. Whoever uses it knows that it may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TemplateKey(pub TemplateId);

/// Loads the categories of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CategoriesKey(pub TemplateId);

/// Loads the version of a template with the greatest number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LatestKey(pub TemplateId);

/// Loads the first versions of a template, the greatest number first: so many at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FirstVersionsKey {
    /// Which template.
    pub template: TemplateId,
    /// How many.
    pub limit: i64,
}

/// Loads how many numbers a template has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VersionCountKey(pub TemplateId);

/// Input of `createTemplate`.
#[derive(InputObject)]
pub struct CreateTemplateInput {
    /// Which enterprise.
    pub enterprise_id: ID,
    /// The team that it belongs to. Needed for scope TEAM; without one it is the administrators'.
    pub team_id: Option<ID>,
    /// The default name of applications installed from it, 1 to 100 characters.
    pub name: String,
    /// Who sees it.
    pub scope: TemplateScope,
    /// Free tags, such as the architecture, the industry or the kind of deployment: 20 at most, of at most 40 characters.
    pub categories: Option<Vec<String>>,
    /// For people, 10 KiB at most.
    pub description: Option<String>,
    /// A PNG, JPEG or WebP image of at most 256 KiB, as `data:image/png;base64,...`.
    pub logo: Option<String>,
}

/// Input of `updateTemplate`. What is left out stays.
#[derive(InputObject)]
pub struct UpdateTemplateInput {
    /// Which template.
    pub template_id: ID,
    /// The default name of applications installed from it, 1 to 100 characters.
    pub name: Option<String>,
    /// Who sees it. TEAM is refused while other teams have it installed.
    pub scope: Option<TemplateScope>,
    /// The team that it belongs to from now on.
    pub team_id: Option<ID>,
    /// All of its categories.
    pub categories: Option<Vec<String>>,
    /// For people, 10 KiB at most.
    pub description: Option<String>,
    /// A PNG, JPEG or WebP image of at most 256 KiB, as `data:image/png;base64,...`; empty: none any more.
    pub logo: Option<String>,
}

/// Input of `deleteTemplate`.
#[derive(InputObject)]
pub struct DeleteTemplateInput {
    /// Which template. One that is used is refused, naming the users.
    pub template_id: ID,
}

connection! {
    /// A page of templates.
    AppTemplateConnection, AppTemplateEdge, AppTemplate
}

payload! {
    /// Answer of `createTemplate`.
    CreateTemplatePayload {
        /// The new template.
        template: AppTemplate,
    }
}

payload! {
    /// Answer of `updateTemplate`.
    UpdateTemplatePayload {
        /// The template as it is now.
        template: AppTemplate,
    }
}

payload! {
    /// Answer of `deleteTemplate`.
    DeleteTemplatePayload {
        /// The global id that it had.
        template_id: ID,
    }
}

/// A published application: versions of it can be installed on any cluster.
#[Object]
impl AppTemplate {
    /// Its global id.
    pub async fn id(&self) -> ID {
        id::encode(self.row.id)
    }

    /// The default name of applications installed from it.
    async fn name(&self) -> &str {
        &self.row.name
    }

    /// Who sees it.
    async fn scope(&self) -> TemplateScope {
        self.row.scope.0.into()
    }

    /// The team that it belongs to; of enterprise scope it may have none. Null for those who may not see that team.
    async fn team(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Team>> {
        match self.row.team_id {
            Some(id) => load(ctx, TeamKey(id)).await.graphql(),
            None => Ok(None),
        }
    }

    /// Free tags, in order.
    async fn categories(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<String>> {
        load(ctx, CategoriesKey(self.row.id)).await.map(Option::unwrap_or_default).graphql()
    }

    /// For people.
    async fn description(&self) -> &str {
        &self.row.description
    }

    /// Its logo, as a `data:` URL.
    #[graphql(complexity = "super::limits::LARGE")]
    async fn logo(&self) -> Option<String> {
        data_url(&self.row)
    }

    /// The current revision of each of its numbers, the greatest number first.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn versions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, up to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<Cursor>,
    ) -> async_graphql::Result<TemplateVersionConnection> {
        let result = async {
            let page: PageRequest<String> = PageRequest::new(ctx, "TemplateVersion", first, after.as_ref())?;
            let after = page.after.as_deref().map(decode_sort_key).transpose()?;
            let by_key = PageRequest { list: page.list, first: page.first, after, count: page.count };
            let rows = if by_key.after.is_some() {
                list_templates::list_versions(app(ctx), self.row.id, &by_key).await?
            } else {
                let key = FirstVersionsKey { template: self.row.id, limit: page.limit() };
                load(ctx, key).await?.unwrap_or_default()
            };
            let count = if page.count { load(ctx, VersionCountKey(self.row.id)).await? } else { None };
            Ok::<_, Error>(Page::of(&page, rows, count.unwrap_or_default(), |row| encode_sort_key(&row.sort_key)))
        };
        result.await.map(Into::into).graphql()
    }

    /// The current revision of its greatest number.
    async fn latest(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<TemplateVersion>> {
        load(ctx, LatestKey(self.row.id)).await.map(|row| row.map(Into::into)).graphql()
    }

    /// Whose library it is in.
    async fn enterprise(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Enterprise>> {
        load(ctx, super::enterprise::EnterpriseKey(self.row.enterprise_id)).await.graphql()
    }
}

#[Object]
impl TemplateQuery {
    /// One template. Of team scope it exists for its team and for administrators only.
    async fn template(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> async_graphql::Result<Option<AppTemplate>> {
        find(ctx, asked(ctx, &id)?).await.map(Some)
    }
}

#[Object]
impl TemplateMutation {
    /// Creates a template, to which versions are published then. For developers of its team; without a team, for
    /// administrators.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn create_template(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is created.")] input: CreateTemplateInput,
    ) -> async_graphql::Result<CreateTemplatePayload> {
        let result = async {
            let actor = actor(ctx)?;
            let input = CreateTemplate {
                enterprise_id: id::decode(&input.enterprise_id, "enterpriseId")?,
                team_id: id::decode_option(input.team_id.as_ref(), "teamId")?,
                name: input.name,
                scope: input.scope.into(),
                categories: input.categories.unwrap_or_default(),
                description: input.description.unwrap_or_default(),
                logo: input.logo,
            };
            create_template::create_template(app(ctx), actor, &input).await
        };
        answer(result.await, |row| CreateTemplatePayload { template: Some(row.into()), errors: Vec::new() })
    }

    /// Changes what is said of a template, and who sees it.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn update_template(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is changed.")] input: UpdateTemplateInput,
    ) -> async_graphql::Result<UpdateTemplatePayload> {
        let result = async {
            let actor = actor(ctx)?;
            let input = UpdateTemplate {
                template_id: id::decode(&input.template_id, "templateId")?,
                name: input.name,
                scope: input.scope.map(Into::into),
                team_id: id::decode_option(input.team_id.as_ref(), "teamId")?,
                categories: input.categories,
                description: input.description,
                logo: input.logo,
            };
            update_template::update_template(app(ctx), actor, &input).await
        };
        answer(result.await, |row| UpdateTemplatePayload { template: Some(row.into()), errors: Vec::new() })
    }

    /// Deletes a template with its versions, unless something uses it. Images stay in the library's registry.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn delete_template(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is deleted.")] input: DeleteTemplateInput,
    ) -> async_graphql::Result<DeleteTemplatePayload> {
        let result = async {
            let actor = actor(ctx)?;
            let id = id::decode(&input.template_id, "templateId")?;
            delete_template::delete_template(app(ctx), actor, id).await
        };
        answer(result.await, |row| DeleteTemplatePayload { template_id: Some(id::encode(row.id)), errors: Vec::new() })
    }
}

impl From<rows::Template> for AppTemplate {
    fn from(row: rows::Template) -> Self {
        Self { row }
    }
}

impl Loader<TemplateKey> for Rows {
    type Value = rows::Template;
    type Error = Shared;

    async fn load(&self, keys: &[TemplateKey]) -> Result<HashMap<TemplateKey, rows::Template>, Shared> {
        let ids: Vec<TemplateId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(rows::by_ids(&mut conn, &ids).await?)
        };
        let found = found.await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|row| (TemplateKey(row.id), row)).collect())
    }
}

impl Loader<CategoriesKey> for Rows {
    type Value = Vec<String>;
    type Error = Shared;

    async fn load(&self, keys: &[CategoriesKey]) -> Result<HashMap<CategoriesKey, Vec<String>>, Shared> {
        let ids: Vec<TemplateId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(rows::categories(&mut conn, &ids).await?)
        };
        let mut of: HashMap<CategoriesKey, Vec<String>> = HashMap::new();
        for (id, category) in found.await.map_err(Arc::new)? {
            of.entry(CategoriesKey(id)).or_default().push(category);
        }
        Ok(of)
    }
}

impl Loader<LatestKey> for Rows {
    type Value = version::Version;
    type Error = Shared;

    async fn load(&self, keys: &[LatestKey]) -> Result<HashMap<LatestKey, version::Version>, Shared> {
        let ids: Vec<TemplateId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(version::latest(&mut conn, &ids).await?)
        };
        let found = found.await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|row| (LatestKey(row.template_id), row)).collect())
    }
}

impl Loader<FirstVersionsKey> for Rows {
    type Value = Vec<version::Version>;
    type Error = Shared;

    async fn load(&self, keys: &[FirstVersionsKey]) -> Result<HashMap<FirstVersionsKey, Self::Value>, Shared> {
        let found = async {
            let mut versions: HashMap<FirstVersionsKey, Self::Value> = HashMap::new();
            let mut conn = self.app.database.read().await?;
            for (limit, templates) in by_limit(keys.iter().map(|key| (key.limit, key.template))) {
                for row in version::first_pages(&mut conn, &templates, limit).await? {
                    versions.entry(FirstVersionsKey { template: row.template_id, limit }).or_default().push(row);
                }
            }
            Ok::<_, Error>(versions)
        };
        found.await.map_err(Arc::new)
    }
}

impl Loader<VersionCountKey> for Rows {
    type Value = i64;
    type Error = Shared;

    async fn load(&self, keys: &[VersionCountKey]) -> Result<HashMap<VersionCountKey, i64>, Shared> {
        let ids: Vec<TemplateId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(version::counts(&mut conn, &ids).await?)
        };
        let found = found.await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|(id, count)| (VersionCountKey(id), count)).collect())
    }
}

/// A template by id.
pub(super) async fn find(ctx: &Context<'_>, id: TemplateId) -> async_graphql::Result<AppTemplate> {
    let result = async { read_version::read_template(app(ctx), actor(ctx)?, id).await };
    result.await.map(Into::into).graphql()
}

/// The templates of an enterprise that one may see, by name.
pub(super) async fn of_enterprise(
    ctx: &Context<'_>,
    id: EnterpriseId,
    first: Option<i32>,
    after: Option<&Cursor>,
    wanted: Wanted,
) -> Result<AppTemplateConnection> {
    let page = PageRequest::new(ctx, "AppTemplate", first, after)?;
    list_templates::list_templates(app(ctx), actor(ctx)?, id, wanted, page).await.map(Into::into)
}

/// The categories in use among the templates of an enterprise that one may see.
pub(super) async fn categories_of_enterprise(ctx: &Context<'_>, id: EnterpriseId) -> Result<Vec<String>> {
    list_templates::list_categories(app(ctx), actor(ctx)?, id).await
}

/// Sort keys are bytes; cursors hold texts.
fn encode_sort_key(key: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

fn decode_sort_key(text: &str) -> Result<Vec<u8>> {
    let message = "this is no cursor of this list; use one that the server gave";
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Error::invalid("INVALID_CURSOR", ["after"], message))
}
