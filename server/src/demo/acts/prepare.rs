//! Before the acts: somebody signs in, registers the clusters, and lets them try whether they reach the library.

use super::super::{
    client::{Client, list, text},
    progress::Progress,
};
use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};

const SIGN_IN: &str = "
    mutation($input: SignInInput!) {
      signIn(input: $input) { token viewer { name mustChangePassword } errors { code message path } }
    }";

const CHANGE_PASSWORD: &str = "
    mutation($input: ChangePasswordInput!) {
      changePassword(input: $input) { viewer { mustChangePassword } errors { code message path } }
    }";

const ENTERPRISES: &str = "query { enterprises(first: 2) { nodes { id name } } }";

const REGISTER_CLUSTER: &str = "
    mutation($input: RegisterClusterInput!) {
      registerCluster(input: $input) {
        cluster { id name status statusMessage kubernetesVersion architectures }
        errors { code message path }
      }
    }";

const CHECK_LIBRARY: &str = "
    mutation($input: CheckLibraryInput!) {
      checkLibrary(input: $input) { operation { id } errors { code message path } }
    }";

const LIBRARY: &str = "
    query($id: ID!) {
      enterprise(id: $id) {
        library {
          url publicUrl embedded reachable message
          reachability { cluster { id name } reachable message }
        }
      }
    }";

/// Signs in; the client of whoever did.
pub async fn sign_in(client: &Client, name: &str, password: &str) -> anyhow::Result<Client> {
    let payload = client.change(SIGN_IN, json!({ "name": name, "password": password })).await.context("signing in")?;
    Ok(client.with_token(Some(text(&payload, "/token")?.to_owned())))
}

/// Signs in for the first time, changes the one-time password, and signs in with the new one.
pub async fn first_sign_in(client: &Client, name: &str, one_time: &str, password: &str) -> anyhow::Result<Client> {
    let first = sign_in(client, name, one_time).await?;
    first
        .change(CHANGE_PASSWORD, json!({ "current": one_time, "new": password }))
        .await
        .context("changing the one-time password")?;
    sign_in(client, name, password).await
}

/// The global id of the one enterprise that one belongs to.
pub async fn enterprise(client: &Client) -> anyhow::Result<String> {
    let data = client.ask(ENTERPRISES, json!({})).await?;
    Ok(text(&data, "/enterprises/nodes/0/id")?.to_owned())
}

/// Registers a cluster that must be reachable; what the API shows of it.
pub async fn register_cluster(client: &Client, enterprise: &str, name: &str, kubeconfig: &str) -> anyhow::Result<Json> {
    let input = json!({ "enterpriseId": enterprise, "name": name, "driver": "kubernetes", "kubeconfig": kubeconfig });
    let mut payload =
        client.change(REGISTER_CLUSTER, input).await.with_context(|| format!("registering the cluster {name}"))?;
    let cluster = payload["cluster"].take();
    let message = cluster["statusMessage"].as_str().unwrap_or_default();
    ensure!(cluster["status"] == "ONLINE", "the cluster {name} is {}: {message}", cluster["status"]);
    Ok(cluster)
}

/// Lets every cluster pull from the library, and fails unless each can.
pub async fn check_library(client: &Client, progress: &Progress, enterprise: &str) -> anyhow::Result<Json> {
    let payload = client.change(CHECK_LIBRARY, json!({ "enterpriseId": enterprise })).await?;
    if let Ok(operation) = text(&payload, "/operation/id") {
        progress.follow(client, operation, "pulling from the library").await?;
    }
    let mut data = client.ask(LIBRARY, json!({ "id": enterprise })).await?;
    let library = data["enterprise"]["library"].take();
    ensure!(library["reachable"] == true, "the server does not reach the library: {}", library["message"]);
    for reach in list(&library, "/reachability")? {
        let name = text(reach, "/cluster/name")?;
        ensure!(reach["reachable"] == true, "{name} does not reach the library: {}", reach["message"]);
    }
    Ok(library)
}
