//! What becomes true in the store when a step has succeeded.

use crate::{
    id::ApplicationId,
    operation::action::Effect,
    store::{Conn, component, publication, resource},
};
use diesel::QueryResult;

/// Writes one consequence. Rows that a person deleted in the meantime are not revived.
pub(super) async fn write(conn: &mut Conn, application: Option<ApplicationId>, effect: &Effect) -> QueryResult<()> {
    let Some(application) = application else { return Ok(()) };
    match effect {
        Effect::ComponentDeployed(spec) => {
            component::set_deployed(conn, application, spec).await?;
        }
        Effect::ComponentGone(key) => component::set_gone(conn, application, *key).await?,
        Effect::ResourceDeployed(spec) => resource::set_deployed(conn, application, spec).await?,
        Effect::ResourceGone(key) => resource::set_gone(conn, application, *key).await?,
        Effect::ImagesCopied(images) => {
            publication::complete_images(conn, images).await?;
        }
    }
    Ok(())
}
