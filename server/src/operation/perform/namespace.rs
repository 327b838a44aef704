//! Makes a team's namespace and the Secret with which images are pulled into it.

use crate::{
    app::App,
    error::Error as ServiceError,
    libraries::PullAccess,
    operation::{
        Outcome, StepContext,
        action::{EnsureNamespace, PullSecret},
    },
};
use ropeway_clusters::{
    ApplyOptions, Cluster, NamespaceState, OwnerCheck, PullSecretName, Scope, docker_config_json, labels, pull_secret,
};
use serde_json::Value as Json;

/// Makes both, or finds them made.
pub(super) async fn ensure(app: &App, step: &StepContext, action: &EnsureNamespace) -> Result<(), Outcome> {
    let cluster = app.cluster(action.cluster_id).await?;
    match cluster.ensure_namespace(&action.namespace, &action.labels).await? {
        NamespaceState::Made { .. } => step.tell(&format!("Made namespace {}", action.namespace)).await?,
        NamespaceState::Ours { .. } => {}
        NamespaceState::Foreign { .. } if action.is_named_by_administrator => {}
        NamespaceState::Foreign { .. } => {
            return Err(Outcome::failed(format!(
                "namespace {} exists and is not the team's; an administrator can name it for the team, or free it",
                action.namespace
            )));
        }
    }
    match &action.pull_secret {
        Some(secret) => ensure_pull_secret(app, step, &cluster, &action.namespace, secret).await,
        None => Ok(()),
    }
}

async fn ensure_pull_secret(
    app: &App,
    step: &StepContext,
    cluster: &Cluster,
    namespace: &str,
    secret: &PullSecret,
) -> Result<(), Outcome> {
    let library = app.library(step.operation().enterprise_id).await?;
    // Nothing to pull with any more: what is there is left.
    let Some(access) = PullAccess::of(&library) else { return Ok(()) };
    let mut conn = app.database.read().await.map_err(ServiceError::from)?;
    let password = app.unseal(&mut conn, library.enterprise_id, access.password).await?;
    drop(conn);
    let content = docker_config_json(&access.registry, &access.username, password.expose());
    let at = PullSecretName { namespace: namespace.to_owned(), name: secret.name.clone() };
    let mut object = pull_secret(&at, &content);
    object["metadata"]["labels"][labels::APPLICATION] = Json::from(secret.owner.as_str());
    let options = ApplyOptions {
        scope: Scope::namespace(namespace),
        dry_run: false,
        force: true,
        owner: OwnerCheck { application: secret.owner.clone(), known_uid: None, may_create: true },
    };
    cluster.apply(&object, &options).await?;
    Ok(())
}
