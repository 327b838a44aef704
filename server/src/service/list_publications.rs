//! Reading publications: one's own, and those that became versions.

use crate::{
    actor::Actor,
    app::App,
    error::Result,
    graphql::page::PageRequest,
    id::{ApplicationId, PublicationId},
    service::publication::visible,
    store::{
        Instant,
        publication::{self, Publication},
    },
};

/// A publication that somebody may see.
pub async fn read_publication(app: &App, actor: &Actor, id: PublicationId) -> Result<Publication> {
    let mut conn = app.database.read().await?;
    Ok(visible(&mut conn, actor, id).await?.0)
}

/// The publications of an application that somebody may see themselves, newest first, after one of them. Pages from the
/// beginning are gathered, see `graphql::publication`.
pub async fn list_publications(
    app: &App,
    actor: &Actor,
    id: ApplicationId,
    page: &PageRequest<(Instant, PublicationId)>,
) -> Result<Vec<Publication>> {
    let mut conn = app.database.read().await?;
    Ok(publication::page(&mut conn, id, actor.user_id, page.after, page.limit()).await?)
}
