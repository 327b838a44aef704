//! Versions of templates, and what they contain.

use super::{
    actor, app, asked,
    error::{IntoGraphql as _, answer},
    id,
    loader::{Rows, Shared, load},
    plan::AskedValue,
    scalar::ByteCount,
    template::{AppTemplate, TemplateKey},
    workload::{
        ConfigFile, EnvironmentVariable, Names, Port, Probe, Resources, ScaleRule, Volume, WorkloadKind, config_files,
        texts, variables, volumes,
    },
};
use crate::{
    connection,
    error::{Error, Result},
    id::VersionId,
    payload,
    service::{contents, delete_version, read_version},
    store::version as rows,
};
use async_graphql::{Context, ID, InputObject, Object, SimpleObject, dataloader::Loader};
use chrono::{DateTime, Utc};
use ropeway_domain::{
    PublishedValue, VersionContent,
    model::{Component, Image, Resource},
};
use serde_json::Value as Json;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// One revision of a version. Lists show the current revision of each number; installations and records name the one
/// that they mean.
#[derive(Debug, Clone)]
pub struct TemplateVersion {
    row: rows::Version,
}

/// A component as a version contains it. Where a text names the host of a sibling, that stands as `{name}`.
#[derive(Debug, Clone, SimpleObject)]
pub struct TemplateComponent {
    /// Its identity in the template: upgrades match by it alone.
    pub key: ID,
    /// What people call it.
    pub name: String,
    /// What the names of its objects end with.
    pub slug: String,
    /// Which kind of workload it is.
    pub kind: WorkloadKind,
    /// Its image: in the library, by digest. In a plan, where it was not found, as it was written.
    pub image: String,
    /// The digest of its image; empty in a plan whose image was not found.
    pub image_digest: String,
    /// Instead of the image's entry point; empty: the image's own.
    pub command: Vec<String>,
    /// Instead of the image's arguments; empty: the image's own.
    pub arguments: Vec<String>,
    /// Its own environment. Secrets are generated or asked for.
    pub environment: Vec<EnvironmentVariable>,
    /// What it offers to the environment of those that depend on it.
    pub connection_info: Vec<EnvironmentVariable>,
    /// What it listens on.
    pub ports: Vec<Port>,
    /// What it mounts. The class of storage is each cluster's own.
    pub volumes: Vec<Volume>,
    /// What it finds as files.
    pub config_files: Vec<ConfigFile>,
    /// Its health checks.
    pub probes: Vec<Probe>,
    /// What a replica asks for and may use.
    pub resources: Resources,
    /// Between which numbers of replicas it may be scaled; an installation starts the minimum.
    pub scale_rule: ScaleRule,
    /// The keys of the components that must be healthy before it starts.
    pub dependencies: Vec<ID>,
    /// Other attributes of its pods.
    pub attributes: Json,
}

/// A Kubernetes resource as a version contains it.
#[derive(Debug, Clone, SimpleObject)]
pub struct TemplateResource {
    /// Its identity in the template.
    pub key: ID,
    /// Such as `policy/v1`.
    pub api_version: String,
    /// Such as `PodDisruptionBudget`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The object, without the entries of a Secret.
    pub manifest: Json,
    /// The entries of a Secret: how an installation comes by them.
    pub secret_data: Vec<EnvironmentVariable>,
}

/// An image of a version, in the library.
#[derive(Debug, Clone, SimpleObject)]
pub struct LibraryImage {
    /// What people call the component that runs it.
    pub component: Option<String>,
    /// The repository within the library's registry.
    pub reference: String,
    /// Which image of it.
    pub digest: String,
    /// Of all its blobs.
    pub bytes: ByteCount,
    /// What it runs on, such as `linux/amd64`.
    pub platforms: Vec<String>,
}

/// Queries of versions.
#[derive(Default)]
pub struct VersionQuery;

/// Mutations of versions.
#[derive(Default)]
pub struct VersionMutation;

/// Loads a revision. Whoever uses it knows that it may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VersionKey(pub VersionId);

/// Loads what a revision contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentKey(pub VersionId);

/// Loads the images of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VersionImagesKey(pub VersionId);

/// Input of `deleteVersion`.
#[derive(InputObject)]
pub struct DeleteVersionInput {
    /// Which version: its number is deleted, with all of its revisions.
    pub version_id: ID,
}

connection! {
    /// A page of versions.
    TemplateVersionConnection, TemplateVersionEdge, TemplateVersion
}

payload! {
    /// Answer of `deleteVersion`.
    DeleteVersionPayload {
        /// The template as it is now.
        template: AppTemplate,
    }
}

/// One revision of a version. Lists show the current revision of each number; installations and records name the one
/// that they mean.
#[Object]
impl TemplateVersion {
    /// Its global id.
    pub async fn id(&self) -> ID {
        id::encode(self.row.id)
    }

    /// Of which template it is.
    async fn template(&self, ctx: &Context<'_>) -> async_graphql::Result<AppTemplate> {
        let row = load(ctx, TemplateKey(self.row.template_id)).await.graphql()?;
        row.map(Into::into).ok_or(Error::NotFound("the template")).graphql()
    }

    /// Its number, as the publisher wrote it. Numbers decide upgrades.
    async fn number(&self) -> &str {
        &self.row.number
    }

    /// From 1: publishing other content under the same number makes another revision.
    async fn revision(&self) -> i32 {
        i32::try_from(self.row.revision).unwrap_or(i32::MAX)
    }

    /// Whether it is the newest revision of its number, and was not deleted.
    async fn is_current(&self) -> bool {
        self.row.is_current && !self.row.is_hidden
    }

    /// Such as "advanced edition".
    async fn alias(&self) -> Option<&str> {
        self.row.alias.as_deref()
    }

    /// For people.
    async fn description(&self) -> &str {
        &self.row.description
    }

    /// Of its canonical content: two revisions with the same digest install the same.
    async fn digest(&self) -> &str {
        &self.row.digest
    }

    /// The digest of its artifact in the library's registry.
    async fn artifact_digest(&self) -> Option<&str> {
        self.row.artifact_digest.as_deref()
    }

    /// When it was confirmed.
    async fn published_at(&self) -> DateTime<Utc> {
        self.row.published_at.0
    }

    /// Who confirmed it.
    async fn published_by(&self) -> &str {
        &self.row.published_by
    }

    /// The architectures for which all of its images are, such as `amd64`.
    async fn architectures(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<String>> {
        self.images_of(ctx).await.map(|images| architectures(&images)).graphql()
    }

    /// Its components, by key.
    #[graphql(complexity = "super::limits::several(child_complexity)")]
    async fn components(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<TemplateComponent>> {
        self.content(ctx).await.map(|content| template_components(&content)).graphql()
    }

    /// Its Kubernetes resources, by key.
    #[graphql(complexity = "super::limits::several(child_complexity)")]
    async fn kubernetes_resources(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<TemplateResource>> {
        self.content(ctx).await.map(|content| template_resources(&content)).graphql()
    }

    /// The images of its components, in the library.
    #[graphql(complexity = "super::limits::several(child_complexity)")]
    async fn images(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<LibraryImage>> {
        self.images_of(ctx).await.map(|images| images.into_iter().map(Into::into).collect()).graphql()
    }

    /// Values that an installer must supply.
    #[graphql(complexity = "super::limits::several(child_complexity)")]
    async fn asks(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<AskedValue>> {
        let content = self.content(ctx).await.graphql()?;
        Ok(read_version::asks(&content).into_iter().map(Into::into).collect())
    }
}

#[Object]
impl VersionQuery {
    /// One revision of a version, also one that is not current any more.
    async fn template_version(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> async_graphql::Result<Option<TemplateVersion>> {
        find(ctx, asked(ctx, &id)?).await.map(Some)
    }
}

#[Object]
impl VersionMutation {
    /// Deletes a number of a template: it is listed and can be installed no more. Revisions to which an installation or
    /// a record refers are only hidden. Images stay in the library's registry.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn delete_version(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is deleted.")] input: DeleteVersionInput,
    ) -> async_graphql::Result<DeleteVersionPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let id = id::decode(&input.version_id, "versionId")?;
            delete_version::delete_version(app(ctx), actor, id).await
        };
        answer(result.await, |row| DeleteVersionPayload { template: Some(row.into()), errors: Vec::new() })
    }
}

impl TemplateVersion {
    async fn content(&self, ctx: &Context<'_>) -> Result<Arc<VersionContent>> {
        let missing = || Error::internal(format!("the content of the version {} is missing", self.row.id));
        load(ctx, ContentKey(self.row.id)).await?.ok_or_else(missing)
    }

    async fn images_of(&self, ctx: &Context<'_>) -> Result<Vec<rows::VersionImage>> {
        load(ctx, VersionImagesKey(self.row.id)).await.map(Option::unwrap_or_default)
    }
}

impl From<rows::Version> for TemplateVersion {
    fn from(row: rows::Version) -> Self {
        Self { row }
    }
}

impl From<rows::VersionImage> for LibraryImage {
    fn from(row: rows::VersionImage) -> Self {
        Self {
            component: Some(row.component_name),
            reference: row.repository,
            digest: row.digest,
            bytes: u64::try_from(row.bytes).unwrap_or_default().into(),
            platforms: row.platforms.0,
        }
    }
}

impl Loader<VersionKey> for Rows {
    type Value = rows::Version;
    type Error = Shared;

    async fn load(&self, keys: &[VersionKey]) -> Result<HashMap<VersionKey, rows::Version>, Shared> {
        let ids: Vec<VersionId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(rows::by_ids(&mut conn, &ids).await?)
        };
        let found = found.await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|row| (VersionKey(row.id), row)).collect())
    }
}

impl Loader<ContentKey> for Rows {
    type Value = Arc<VersionContent>;
    type Error = Shared;

    async fn load(&self, keys: &[ContentKey]) -> Result<HashMap<ContentKey, Arc<VersionContent>>, Shared> {
        let ids: Vec<VersionId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            let rows = rows::contents(&mut conn, &ids).await?;
            let read = |(id, bytes): (VersionId, Vec<u8>)| Ok((ContentKey(id), Arc::new(contents::read(&bytes)?)));
            rows.into_iter().map(read).collect::<Result<HashMap<_, _>>>()
        };
        found.await.map_err(Arc::new)
    }
}

impl Loader<VersionImagesKey> for Rows {
    type Value = Vec<rows::VersionImage>;
    type Error = Shared;

    async fn load(&self, keys: &[VersionImagesKey]) -> Result<HashMap<VersionImagesKey, Self::Value>, Shared> {
        let ids: Vec<VersionId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(rows::images(&mut conn, &ids).await?)
        };
        let mut of: HashMap<VersionImagesKey, Self::Value> = HashMap::new();
        for row in found.await.map_err(Arc::new)? {
            of.entry(VersionImagesKey(row.version_id)).or_default().push(row);
        }
        Ok(of)
    }
}

/// A revision by id.
pub(super) async fn find(ctx: &Context<'_>, id: VersionId) -> async_graphql::Result<TemplateVersion> {
    let result = async { read_version::read_version(app(ctx), actor(ctx)?, id).await };
    result.await.map(Into::into).graphql()
}

/// The components of a content, as they are shown.
pub(super) fn template_components(content: &VersionContent) -> Vec<TemplateComponent> {
    let names: Names = content.components.iter().map(|one| (one.key, format!("{{{}}}", one.name))).collect();
    content.components.iter().map(|component| template_component(component, &names)).collect()
}

/// The Kubernetes resources of a content, as they are shown.
pub(super) fn template_resources(content: &VersionContent) -> Vec<TemplateResource> {
    let names: Names = content.components.iter().map(|one| (one.key, format!("{{{}}}", one.name))).collect();
    content.resources.iter().map(|resource| template_resource(resource, &names)).collect()
}

fn template_component(component: &Component<PublishedValue>, names: &Names) -> TemplateComponent {
    let (image, image_digest) = match &component.image {
        Image::Library { repository, digest } => (format!("{repository}@{digest}"), digest.to_string()),
        Image::Reference { reference } => (reference.clone(), String::new()),
    };
    TemplateComponent {
        key: ID(component.key.to_string()),
        name: component.name.clone(),
        slug: component.slug.to_string(),
        kind: component.kind.into(),
        image,
        image_digest,
        command: texts(&component.command, names),
        arguments: texts(&component.arguments, names),
        environment: variables(&component.environment, names),
        connection_info: variables(&component.connection_info, names),
        ports: component.ports.iter().map(Into::into).collect(),
        volumes: volumes(component, |key| Some(ID(key.to_string()))),
        config_files: config_files(component, names),
        probes: component.probes.iter().map(Into::into).collect(),
        resources: (&component.resources).into(),
        scale_rule: (&component.scale.rule).into(),
        dependencies: component.dependencies.iter().map(|key| ID(key.to_string())).collect(),
        attributes: Json::Object(component.attributes.clone()),
    }
}

fn template_resource(resource: &Resource<PublishedValue>, names: &Names) -> TemplateResource {
    TemplateResource {
        key: ID(resource.key.to_string()),
        api_version: resource.api_version.clone(),
        kind: resource.kind.clone(),
        name: resource.name.clone(),
        manifest: Json::Object(resource.manifest.clone()),
        secret_data: variables(&resource.secret_data, names),
    }
}

/// Those that all images have. One that says nothing of platforms runs nowhere for sure, and everywhere perhaps.
fn architectures(images: &[rows::VersionImage]) -> Vec<String> {
    let of = |image: &rows::VersionImage| -> BTreeSet<String> {
        image.platforms.0.iter().filter_map(|platform| platform.split('/').nth(1)).map(str::to_owned).collect()
    };
    let mut known = images.iter().map(of).filter(|architectures| !architectures.is_empty());
    let Some(first) = known.next() else { return Vec::new() };
    known.fold(first, |all, more| all.intersection(&more).cloned().collect()).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Key, Stored};
    use uuid::Uuid;

    #[test]
    fn a_version_runs_where_all_of_its_images_do() {
        let image = |platforms: &[&str]| rows::VersionImage {
            id: crate::id::ImageId::new(Uuid::nil()),
            version_id: VersionId::new(Uuid::nil()),
            component_key: Key(ropeway_domain::ComponentKey(Uuid::nil())),
            component_name: "web".into(),
            repository: "shop/web".into(),
            digest: String::new(),
            bytes: 1,
            platforms: Stored(platforms.iter().map(|platform| (*platform).to_owned()).collect()),
        };
        let both = image(&["linux/amd64", "linux/arm64", "linux/arm/v7"]);
        assert_eq!(architectures(&[both.clone(), image(&["linux/arm64"])]), ["arm64"]);
        assert_eq!(architectures(&[both.clone(), image(&[])]), ["amd64", "arm", "arm64"]);
        assert!(architectures(&[image(&["linux/amd64"]), image(&["linux/arm64"])]).is_empty());
        assert!(architectures(&[]).is_empty());
    }
}
