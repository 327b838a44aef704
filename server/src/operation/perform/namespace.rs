//! Makes a team's namespace and the Secret with which images are pulled into it.

use super::secrets;
use crate::{
    app::App,
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
    let values = secrets::open(app, step.operation().enterprise_id, [secret.password].into()).await?;
    let password = values.get(&secret.password).ok_or_else(secrets::missing)?;
    let content = docker_config_json(&secret.registry, &secret.username, password.expose());
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
