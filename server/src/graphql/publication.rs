//! Publications: the acts that make versions.

mod input;
mod load;
mod plan;

pub use input::{
    ComponentKeyInput, PublishComponentInput, PublishConfigFileInput, PublishResourceInput, SubmitPublicationInput,
};
pub use load::{AuthorKey, FirstPublicationsKey, PublicationCountKey, PublicationImagesKey, PublicationKey};
pub use plan::{PublicationPlan, UndecidedSecret};

use super::{
    actor, app,
    application::{Application, WholeKey},
    asked,
    error::{IntoGraphql as _, UserError, answer},
    id,
    loader::load,
    operation::{Operation, OperationKey, StepState},
    page::{Cursor, Page, PageRequest},
    scalar::ByteCount,
    template::{AppTemplate, TemplateKey},
    version::{TemplateVersion, VersionKey},
};
use crate::{
    connection,
    error::{self, Error, Result},
    id::{ApplicationId, PublicationId},
    payload,
    service::{
        abandon_publication, confirm_publication, list_publications, plan_publication, retry_publication,
        submit_publication::{self, Submitted},
    },
    store::publication as rows,
};
use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use ropeway_domain::operation as domain;

/// Where a publication is.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "domain::PublicationState")]
pub enum PublicationState {
    /// Submitted; the sync has not begun.
    Draft,
    /// Its images are being copied into the library.
    Syncing,
    /// The library has all of its images: it waits to be confirmed.
    Synced,
    /// Confirmed: its version can be installed.
    Published,
    /// An image could not be copied; retrying copies only what is missing.
    Failed,
    /// Given up.
    Abandoned,
}

/// The act that makes a version. Until it is confirmed it is its author's alone, and nobody can install the version.
#[derive(Debug, Clone)]
pub struct Publication {
    row: rows::Publication,
}

/// An image that a publication brings into the library.
#[derive(Debug, Clone, SimpleObject)]
pub struct ImageSync {
    /// What people call the component that runs it.
    pub component: Option<String>,
    /// Where it comes from, by digest; within the library's registry where that has it already.
    pub source: String,
    /// The repository within the library's registry.
    pub target: String,
    /// The digest that it has there.
    pub digest: Option<String>,
    /// Where its copy is.
    pub state: StepState,
    /// Bytes that the library has, or that are on their way.
    pub bytes_done: ByteCount,
    /// Bytes altogether.
    pub bytes_total: ByteCount,
    /// Why its copy failed.
    pub error: Option<String>,
}

/// Queries of publications.
#[derive(Default)]
pub struct PublicationQuery;

/// Mutations of publications.
#[derive(Default)]
pub struct PublicationMutation;

/// Input of `retryPublication`.
#[derive(InputObject)]
pub struct RetryPublicationInput {
    /// Which: one of one's own that failed.
    pub publication_id: ID,
}

/// Input of `confirmPublication`.
#[derive(InputObject)]
pub struct ConfirmPublicationInput {
    /// Which: one of one's own whose images the library has.
    pub publication_id: ID,
}

/// Input of `abandonPublication`.
#[derive(InputObject)]
pub struct AbandonPublicationInput {
    /// Which: one of one's own that is not published.
    pub publication_id: ID,
}

connection! {
    /// A page of publications.
    PublicationConnection, PublicationEdge, Publication
}

payload! {
    /// Answer of `submitPublication`.
    SubmitPublicationPayload {
        /// The new publication.
        publication: Publication,
        /// The sync of its images.
        operation: Operation,
        /// Where the plan that was named does not hold any more: the new one.
        plan: PublicationPlan,
    }
}

payload! {
    /// Answer of `retryPublication`.
    RetryPublicationPayload {
        /// The publication as it is now.
        publication: Publication,
        /// The sync of what was missing.
        operation: Operation,
    }
}

payload! {
    /// Answer of `confirmPublication`.
    ConfirmPublicationPayload {
        /// The publication as it is now.
        publication: Publication,
    }
}

payload! {
    /// Answer of `abandonPublication`.
    AbandonPublicationPayload {
        /// The publication as it is now.
        publication: Publication,
    }
}

/// The act that makes a version. Until it is confirmed it is its author's alone, and nobody can install the version.
#[Object]
impl Publication {
    /// Its global id.
    pub async fn id(&self) -> ID {
        id::encode(self.row.id)
    }

    /// Of which application it is.
    async fn application(&self, ctx: &Context<'_>) -> async_graphql::Result<Application> {
        let whole = load(ctx, WholeKey(self.row.application_id)).await.graphql()?;
        let whole = whole.ok_or(Error::NotFound("the application")).graphql()?;
        Ok(whole.application.clone().into())
    }

    /// To which template it publishes.
    async fn template(&self, ctx: &Context<'_>) -> async_graphql::Result<AppTemplate> {
        let row = load(ctx, TemplateKey(self.row.template_id)).await.graphql()?;
        row.map(Into::into).ok_or(Error::NotFound("the template")).graphql()
    }

    /// The number of its version.
    async fn number(&self) -> &str {
        &self.row.number
    }

    /// Such as "advanced edition".
    async fn alias(&self) -> Option<&str> {
        self.row.alias.as_deref()
    }

    /// Where it is.
    async fn state(&self) -> PublicationState {
        self.row.state.0.into()
    }

    /// What was said when it was submitted.
    async fn warnings(&self) -> &[String] {
        &self.row.warnings.0
    }

    /// The digest of its content.
    async fn digest(&self) -> &str {
        &self.row.digest
    }

    /// Its images and how far their copies are.
    #[graphql(complexity = "super::limits::several(child_complexity)")]
    async fn images(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<ImageSync>> {
        let rows = load(ctx, PublicationImagesKey(self.row.id)).await.map(Option::unwrap_or_default).graphql()?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// The sync of its images, the last one where it was retried.
    async fn operation(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Operation>> {
        match self.row.operation_id {
            Some(id) => load(ctx, OperationKey(id)).await.graphql(),
            None => Ok(None),
        }
    }

    /// The revision that it made, or whose content it had; null until it is confirmed, and after that was deleted.
    async fn version(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<TemplateVersion>> {
        match self.row.version_id {
            Some(id) => load(ctx, VersionKey(id)).await.map(|row| row.map(Into::into)).graphql(),
            None => Ok(None),
        }
    }

    /// When it was submitted.
    async fn created_at(&self) -> DateTime<Utc> {
        self.row.created_at.0
    }

    /// Who submitted it.
    async fn created_by(&self, ctx: &Context<'_>) -> async_graphql::Result<String> {
        load(ctx, AuthorKey(self.row.created_by)).await.map(Option::unwrap_or_default).graphql()
    }
}

#[Object]
impl PublicationQuery {
    /// One publication: one's own, or one of one's teams that was confirmed.
    async fn publication(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> async_graphql::Result<Option<Publication>> {
        find(ctx, asked(ctx, &id)?).await.map(Some)
    }

    /// Everything that a publication would contain, to be reviewed and edited before it is submitted. The cluster and the
    /// registries of all images are asked now.
    #[graphql(complexity = "super::limits::PLAN + child_complexity")]
    async fn plan_publication(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What would be published.")] input: SubmitPublicationInput,
    ) -> async_graphql::Result<PublicationPlan> {
        let result = async { plan_publication::plan_publication(app(ctx), actor(ctx)?, &input.read()?).await };
        result.await.map(Into::into).graphql()
    }
}

#[Object]
impl PublicationMutation {
    /// Stores the publication and begins the sync of its images. Refused, with every reason at once, while anything
    /// stands in its way or any secret is undecided.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn submit_publication(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is published.")] input: SubmitPublicationInput,
    ) -> async_graphql::Result<SubmitPublicationPayload> {
        let result = async { submit_publication::submit_publication(app(ctx), actor(ctx)?, &input.read()?).await };
        answer(result.await, |submitted| match submitted {
            Submitted::Begun { publication, operation } => SubmitPublicationPayload {
                publication: Some(publication.into()),
                operation: Some(operation.into()),
                plan: None,
                errors: Vec::new(),
            },
            Submitted::Stale(plan) => SubmitPublicationPayload {
                publication: None,
                operation: None,
                plan: Some((*plan).into()),
                errors: vec![stale()],
            },
        })
    }

    /// Copies again what is missing of a publication that failed.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn retry_publication(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] input: RetryPublicationInput,
    ) -> async_graphql::Result<RetryPublicationPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let id = id::decode(&input.publication_id, "publicationId")?;
            retry_publication::retry_publication(app(ctx), actor, id).await
        };
        answer(result.await, |(publication, operation)| RetryPublicationPayload {
            publication: Some(publication.into()),
            operation: Some(operation.into()),
            errors: Vec::new(),
        })
    }

    /// Makes the version: from here on it can be installed by whoever sees the template.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn confirm_publication(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] input: ConfirmPublicationInput,
    ) -> async_graphql::Result<ConfirmPublicationPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let id = id::decode(&input.publication_id, "publicationId")?;
            confirm_publication::confirm_publication(app(ctx), actor, id).await
        };
        answer(result.await, |row| ConfirmPublicationPayload { publication: Some(row.into()), errors: Vec::new() })
    }

    /// Gives up a publication that is not published, and ends its sync. Nobody else's is touched.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn abandon_publication(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] input: AbandonPublicationInput,
    ) -> async_graphql::Result<AbandonPublicationPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let id = id::decode(&input.publication_id, "publicationId")?;
            abandon_publication::abandon_publication(app(ctx), actor, id).await
        };
        answer(result.await, |row| AbandonPublicationPayload { publication: Some(row.into()), errors: Vec::new() })
    }
}

impl From<rows::Publication> for Publication {
    fn from(row: rows::Publication) -> Self {
        Self { row }
    }
}

impl From<rows::PublicationImage> for ImageSync {
    fn from(row: rows::PublicationImage) -> Self {
        let bytes = |count: i64| u64::try_from(count).unwrap_or_default().into();
        Self {
            component: Some(row.component_name),
            source: row.source,
            target: row.repository,
            digest: Some(row.digest),
            state: row.state.0.into(),
            bytes_done: bytes(row.bytes_done),
            bytes_total: bytes(row.bytes_total),
            error: row.error,
        }
    }
}

/// A publication by id.
pub(super) async fn find(ctx: &Context<'_>, id: PublicationId) -> async_graphql::Result<Publication> {
    let result = async { list_publications::read_publication(app(ctx), actor(ctx)?, id).await };
    result.await.map(Into::into).graphql()
}

/// The publications of an application that one may see: one's own, and those that were confirmed.
pub(super) async fn of_application(
    ctx: &Context<'_>,
    id: ApplicationId,
    first: Option<i32>,
    after: Option<&Cursor>,
) -> Result<PublicationConnection> {
    let page = PageRequest::new(ctx, "Publication", first, after)?;
    let rows = if page.after.is_some() {
        list_publications::list_publications(app(ctx), actor(ctx)?, id, &page).await?
    } else {
        load(ctx, FirstPublicationsKey { application: id, limit: page.limit() }).await?.unwrap_or_default()
    };
    let count = if page.count { load(ctx, PublicationCountKey(id)).await? } else { None };
    Ok(Page::of(&page, rows, count.unwrap_or_default(), |row| (row.created_at, row.id)).into())
}

fn stale() -> UserError {
    let message = "the plan that was named does not hold any more; look at the new one";
    error::UserError::new("PLAN_STALE", message).at(["planDigest"]).into()
}
