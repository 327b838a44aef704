//! Removing components.
//!
//! An edit never deletes a claim, and neither does the deployment that carries it out: the volumes of a removed
//! component stay until the application is deleted together with its volumes.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result, UserError},
    graphql::id::encode_text,
    id::ComponentId,
    service::{
        audit::{Act, Subject, audited},
        edit,
        state::ApplicationState,
        update_component::{application_of, hide},
    },
    store::component::{self, Component as Row},
};
use ropeway_domain::ComponentKey;

/// Removes a component: at once where nothing of it is in the cluster, else with the next deployment.
pub async fn remove_component(app: &App, actor: &Actor, id: ComponentId, delete_volumes: bool) -> Result<Row> {
    let application = application_of(app, id).await?;
    let subject = application.map_or(Subject::Nothing, Subject::Application);
    audited(app, actor, Act::new("removeComponent", subject, encode_text(id)), async || {
        let application = application.ok_or(Error::NotFound("the component"))?;
        let state = edit::observe(app, actor, application).await.map_err(hide)?;
        let row = state.component(id).ok_or(Error::NotFound("the component"))?;
        check_unused(&state, row.key.0)?;
        let mut conn = app.database.read().await?;
        let stays = edit::is_in_cluster(&mut conn, application, row.key.0.0, row.deployed.is_some()).await?;
        drop(conn);
        if stays && delete_volumes {
            let message = "the volumes of a component outlive it: remove it without deleteVolumes, and delete its claims \
                           in the cluster, or delete the whole application with its volumes";
            return Err(Error::invalid("VOLUMES_STAY", ["deleteVolumes"], message));
        }
        let removed = Row { desired: None, ..row.clone() };
        let now = app.clock.now();
        let mut conn = app.database.write().await?;
        conn.transaction(async |conn| {
            edit::begin(conn, &state, &[]).await?;
            if stays {
                component::update_desired(conn, &removed).await?;
            } else {
                component::delete(conn, id).await?;
            }
            edit::end(conn, actor, now, "removeComponent", &state, row.installation_id).await
        })
        .await?;
        drop(conn);
        edit::tell(app, application);
        Ok(removed)
    })
    .await
}

/// Refuses as long as others need the component, naming them.
fn check_unused(state: &ApplicationState, key: ComponentKey) -> Result<()> {
    let users = state
        .components
        .values()
        .filter(|row| row.key.0 != key)
        .filter_map(|row| Some((row, row.desired.as_ref()?.0.need_of(key)?)));
    let users: Vec<_> = users.collect();
    if users.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = users.iter().map(|(row, why)| format!("{} {why} it", row.name)).collect();
    let message = format!("others need this component: {}; change them first", names.join(", "));
    let error = UserError::new("COMPONENT_IN_USE", message).at(["componentId"]);
    Err(users.iter().fold(error, |error, (row, _)| error.naming(encode_text(row.id))).into())
}
