//! What becomes true in the store when a step has succeeded.

use crate::{
    id::ApplicationId,
    on,
    operation::action::Effect,
    store::{
        Conn, Key, Stored, component, publication,
        schema::{components, kubernetes_resources},
    },
};
use diesel::{QueryResult, prelude::*};
use diesel_async::RunQueryDsl;

/// Writes one consequence. Rows that a person deleted in the meantime are not revived.
pub(super) async fn write(conn: &mut Conn, application: Option<ApplicationId>, effect: &Effect) -> QueryResult<()> {
    let Some(application) = application else { return Ok(()) };
    match effect {
        Effect::ComponentDeployed(spec) => {
            component::set_deployed(conn, application, spec).await?;
        }
        Effect::ComponentGone(key) => {
            let row = || components::application_id.eq(application).and(components::key.eq(Key(*key)));
            on!(conn, |c| diesel::delete(components::table.filter(row().and(components::desired.is_null())))
                .execute(c)
                .await)?;
            on!(conn, |c| diesel::update(components::table.filter(row()))
                .set(components::deployed.eq(None::<Vec<u8>>))
                .execute(c)
                .await)?;
        }
        Effect::ResourceDeployed(spec) => {
            let row = || {
                kubernetes_resources::application_id.eq(application).and(kubernetes_resources::key.eq(Key(spec.key)))
            };
            on!(conn, |c| diesel::update(kubernetes_resources::table.filter(row()))
                .set(kubernetes_resources::deployed.eq(Stored((**spec).clone())))
                .execute(c)
                .await)?;
        }
        Effect::ResourceGone(key) => {
            let row =
                || kubernetes_resources::application_id.eq(application).and(kubernetes_resources::key.eq(Key(*key)));
            on!(conn, |c| diesel::delete(
                kubernetes_resources::table.filter(row().and(kubernetes_resources::desired.is_null()))
            )
            .execute(c)
            .await)?;
            on!(conn, |c| diesel::update(kubernetes_resources::table.filter(row()))
                .set(kubernetes_resources::deployed.eq(None::<Vec<u8>>))
                .execute(c)
                .await)?;
        }
        Effect::ImagesCopied(images) => {
            publication::complete_images(conn, images).await?;
        }
    }
    Ok(())
}
