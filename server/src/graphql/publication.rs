//! Publications: the acts that make versions.

mod input;

pub use input::{
    ComponentKeyInput, PublishComponentInput, PublishConfigFileInput, PublishResourceInput, SubmitPublicationInput,
};

use super::{
    actor, app,
    application::{Application, Drift, WholeKey},
    error::UserError,
    error::{IntoGraphql as _, answer, graphql_error},
    id,
    loader::{Rows, Shared, load},
    operation::{Operation, OperationKey, StepState},
    page::{Cursor, PageRequest},
    plan::{Blocker, Change, owner_key},
    scalar::ByteCount,
    template::{AppTemplate, TemplateKey},
    version::{
        TemplateComponent, TemplateResource, TemplateVersion, VersionKey, template_components, template_resources,
    },
    workload::SecretDecision,
};
use crate::{
    connection,
    error::{self, Error, Result},
    id::{ApplicationId, PublicationId, UserId},
    payload,
    service::{
        abandon_publication, confirm_publication, list_publications, plan_publication, retry_publication,
        submit_publication::{self, Submitted},
    },
    store::{publication as rows, user},
};
use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject, dataloader::Loader};
use chrono::{DateTime, Utc};
use ropeway_domain::{model, operation as domain, publication::Undecided};
use std::{collections::HashMap, sync::Arc};

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
    pub component: String,
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

/// Everything that a publication would contain, to be reviewed and edited before it is submitted.
#[derive(Debug, Clone, SimpleObject)]
pub struct PublicationPlan {
    /// The components, as they would be published. Proposals stand where decisions are missing.
    pub components: Vec<TemplateComponent>,
    /// The Kubernetes resources, as they would be published.
    pub kubernetes_resources: Vec<TemplateResource>,
    /// Values that look like secrets and still need a decision, with a proposal.
    pub undecided: Vec<UndecidedSecret>,
    /// What publishing again under this number would replace. The revision is kept for those who run it.
    pub replaces: Option<TemplateVersion>,
    /// Where the cluster differs from what was deployed. It blocks until `onDrift` says what is published.
    pub drift: Vec<Drift>,
    /// Edits that are not deployed. They block until `onDrift` says what is published.
    pub undeployed: Vec<Change>,
    /// What must be settled before it can be submitted.
    pub blockers: Vec<Blocker>,
    /// What does not stop it.
    pub warnings: Vec<String>,
    /// The digest that the version would have: publishing the same again makes no new revision.
    pub content_digest: String,
    /// Over all that the plan rests on. Submitting it names it.
    pub digest: String,
}

/// A value that looks like a secret and needs a decision.
#[derive(Debug, Clone, SimpleObject)]
pub struct UndecidedSecret {
    /// The key of the component or Kubernetes resource in its application.
    pub owner: ID,
    /// What people call that.
    pub component: Option<String>,
    /// The name of the variable or entry, or the path of the file.
    pub name: String,
    /// In which list it is: `environment`, `connectionInfo`, `configFiles` or `secretData`, and its name there.
    #[graphql(name = "where")]
    pub place: String,
    /// What is proposed.
    pub proposal: SecretDecision,
}

/// Queries of publications.
#[derive(Default)]
pub struct PublicationQuery;

/// Mutations of publications.
#[derive(Default)]
pub struct PublicationMutation;

/// Loads a publication. Whoever uses it knows that it may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicationKey(pub PublicationId);

/// Loads the images of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicationImagesKey(pub PublicationId);

/// Loads what people call the author of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AuthorKey(pub UserId);

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
    #[graphql(complexity = "10 + 10 * child_complexity")]
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
        let id = id::decode(&id, "id").map_err(graphql_error)?;
        find(ctx, id).await.map(Some)
    }

    /// Everything that a publication would contain, to be reviewed and edited before it is submitted. The cluster and the
    /// registries of all images are asked now.
    #[graphql(complexity = "200 + child_complexity")]
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
    async fn retry_publication(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] input: RetryPublicationInput,
    ) -> async_graphql::Result<RetryPublicationPayload> {
        let result = async {
            let id = id::decode(&input.publication_id, "publicationId")?;
            retry_publication::retry_publication(app(ctx), actor(ctx)?, id).await
        };
        answer(result.await, |(publication, operation)| RetryPublicationPayload {
            publication: Some(publication.into()),
            operation: Some(operation.into()),
            errors: Vec::new(),
        })
    }

    /// Makes the version: from here on it can be installed by whoever sees the template.
    async fn confirm_publication(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] input: ConfirmPublicationInput,
    ) -> async_graphql::Result<ConfirmPublicationPayload> {
        let result = async {
            let id = id::decode(&input.publication_id, "publicationId")?;
            confirm_publication::confirm_publication(app(ctx), actor(ctx)?, id).await
        };
        answer(result.await, |row| ConfirmPublicationPayload { publication: Some(row.into()), errors: Vec::new() })
    }

    /// Gives up a publication that is not published, and ends its sync. Nobody else's is touched.
    async fn abandon_publication(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] input: AbandonPublicationInput,
    ) -> async_graphql::Result<AbandonPublicationPayload> {
        let result = async {
            let id = id::decode(&input.publication_id, "publicationId")?;
            abandon_publication::abandon_publication(app(ctx), actor(ctx)?, id).await
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
            component: row.component_name,
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

impl From<plan_publication::PublicationPlan> for PublicationPlan {
    fn from(plan: plan_publication::PublicationPlan) -> Self {
        let preview = plan.preview;
        Self {
            components: template_components(&preview.content),
            kubernetes_resources: template_resources(&preview.content),
            undecided: preview.undecided.into_iter().map(Into::into).collect(),
            replaces: plan.replaces.map(Into::into),
            drift: plan.drift.into_iter().map(Into::into).collect(),
            undeployed: plan.undeployed.into_iter().map(Into::into).collect(),
            blockers: preview.blockers.into_iter().map(Into::into).collect(),
            warnings: preview.warnings,
            content_digest: preview.digest.to_string(),
            digest: plan.digest.to_string(),
        }
    }
}

impl From<Undecided> for UndecidedSecret {
    fn from(item: Undecided) -> Self {
        Self {
            owner: owner_key(item.place.owner),
            component: Some(item.owner_name),
            name: item.name,
            place: item.place.path,
            proposal: match item.proposal {
                model::SecretDecision::Generate(_) => SecretDecision::Generate,
                model::SecretDecision::Ask => SecretDecision::Ask,
                model::SecretDecision::Public => SecretDecision::Public,
            },
        }
    }
}

impl Loader<PublicationKey> for Rows {
    type Value = rows::Publication;
    type Error = Shared;

    async fn load(&self, keys: &[PublicationKey]) -> Result<HashMap<PublicationKey, rows::Publication>, Shared> {
        let ids: Vec<PublicationId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(rows::by_ids(&mut conn, &ids).await?)
        };
        let found = found.await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|row| (PublicationKey(row.id), row)).collect())
    }
}

impl Loader<PublicationImagesKey> for Rows {
    type Value = Vec<rows::PublicationImage>;
    type Error = Shared;

    async fn load(&self, keys: &[PublicationImagesKey]) -> Result<HashMap<PublicationImagesKey, Self::Value>, Shared> {
        let ids: Vec<PublicationId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(rows::images(&mut conn, &ids).await?)
        };
        let mut of: HashMap<PublicationImagesKey, Self::Value> = HashMap::new();
        for row in found.await.map_err(Arc::new)? {
            of.entry(PublicationImagesKey(row.publication_id)).or_default().push(row);
        }
        Ok(of)
    }
}

impl Loader<AuthorKey> for Rows {
    type Value = String;
    type Error = Shared;

    async fn load(&self, keys: &[AuthorKey]) -> Result<HashMap<AuthorKey, String>, Shared> {
        let Some(actor) = &self.actor else { return Ok(HashMap::new()) };
        let ids: Vec<UserId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(user::by_ids(&mut conn, &ids, actor.user_id).await?)
        };
        let found = found.await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|row| (AuthorKey(row.id), row.display_name)).collect())
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
    let page = PageRequest::new(ctx, first, after)?;
    list_publications::list_publications(app(ctx), actor(ctx)?, id, page).await.map(Into::into)
}

fn stale() -> UserError {
    let message = "the plan that was named does not hold any more; look at the new one";
    error::UserError::new("PLAN_STALE", message).at(["planDigest"]).into()
}
