//! Removing Kubernetes resources.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result},
    graphql::id::encode_text,
    id::ResourceId,
    service::{
        audit::{Act, Subject, audited},
        edit,
    },
    store::resource::{self, KubernetesResource as Row},
};

/// Removes a Kubernetes resource: at once where it is not in the cluster, else with the next deployment, which keeps
/// claims.
pub async fn remove_kubernetes_resource(app: &App, actor: &Actor, id: ResourceId) -> Result<Row> {
    let mut conn = app.database.read().await?;
    let application = resource::find(&mut conn, id).await?.map(|row| row.application_id);
    drop(conn);
    let subject = application.map_or(Subject::Nothing, Subject::Application);
    audited(app, actor, Act::new("removeKubernetesResource", subject, encode_text(id)), async || {
        let missing = || Error::NotFound("the Kubernetes resource");
        let application = application.ok_or_else(missing)?;
        let state = edit::observe(app, actor, application).await.map_err(|error| match error {
            Error::NotFound(_) => missing(),
            error => error,
        })?;
        let row = state.resource(id).ok_or_else(missing)?;
        let mut conn = app.database.read().await?;
        let stays = edit::is_in_cluster(&mut conn, application, row.key.0.0, row.deployed.is_some()).await?;
        drop(conn);
        let removed = Row { desired: None, ..row.clone() };
        let now = app.clock.now();
        let mut conn = app.database.write().await?;
        conn.transaction(async |conn| {
            edit::begin(conn, &state, &[]).await?;
            if stays {
                resource::update_desired(conn, &removed).await?;
            } else {
                resource::delete(conn, id).await?;
            }
            edit::end(conn, actor, now, "removeKubernetesResource", &state, row.installation_id).await
        })
        .await?;
        drop(conn);
        edit::tell(app, application);
        Ok(removed)
    })
    .await
}
