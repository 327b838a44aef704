//! Pushes a version into the library, once all of its images are there.

use super::copy::repository;
use crate::{
    app::App,
    error::Error as ServiceError,
    operation::{Outcome, StepContext, action::PushArtifact},
    service::resolve_images::{explain, library_digest},
    store::publication,
};
use ropeway_domain::{VersionContent, model::Image};
use ropeway_library::{Error as RegistryError, Registry, Tag, artifact};

/// Makes sure that the library has every image of the content, as it is configured now; then pushes the content.
pub(super) async fn push(app: &App, step: &StepContext, action: &PushArtifact) -> Result<(), Outcome> {
    let mut conn = app.database.read().await.map_err(ServiceError::from)?;
    let found = publication::find(&mut conn, action.publication_id).await.map_err(ServiceError::from)?;
    drop(conn);
    let publication = found.ok_or_else(|| Outcome::failed("the publication was deleted meanwhile"))?;
    let content: VersionContent = serde_json::from_slice(&publication.content).map_err(ServiceError::internal)?;

    let library = app.library(action.enterprise_id).await?;
    let registry = app.library_registry(&library).await?;
    verify(&registry, &content).await?;
    let tag: Tag =
        action.tag.parse().map_err(|error: ropeway_library::name::InvalidName| ServiceError::internal(error))?;
    let name = repository(&action.repository)?;
    let digest = artifact::push_version(&registry, &name, &tag, &publication.content, action.annotations.clone())
        .await
        .map_err(|error| failed(&error))?;
    step.note_artifact(action.publication_id, &digest.to_string()).await?;
    Ok(())
}

/// Asks for every image by its digest.
async fn verify(registry: &Registry, content: &VersionContent) -> Result<(), Outcome> {
    for component in &content.components {
        let Image::Library { repository: name, digest } = &component.image else {
            return Err(Outcome::failed(format!("the image of {} is not in the library", component.name)));
        };
        let there = registry
            .head_manifest(&repository(name)?, &library_digest(digest))
            .await
            .map_err(|error| failed(&error))?;
        if !there {
            let message = format!("the library does not have the image {name}@{digest} of {}", component.name);
            return Err(Outcome::failed(message));
        }
    }
    Ok(())
}

fn failed(error: &RegistryError) -> Outcome {
    Outcome::Failed { message: explain(error), retryable: error.retryable() }
}
