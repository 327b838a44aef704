//! An object that gets another owner within the application is handed over, and not deleted with the one that had it.

use crate::both::on_both;
use anyhow::ensure;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use ropeway::demo::{
    acts::{compose, sample},
    client::text,
};
use ropeway_tests::{app::TestApp, cluster::TestCluster};
use serde_json::json;

on_both!(a_service_that_a_component_takes_over_stays);

const REMOVE_RESOURCE: &str = "
    mutation($input: RemoveKubernetesResourceInput!) {
      removeKubernetesResource(input: $input) { kubernetesResource { id } errors { code message path } }
    }";

async fn a_service_that_a_component_takes_over_stays(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let team = compose::create_team(&scene, &scene.first_team).await?;
    let application = compose::create_application(&scene, &team, sample::NAME).await?;
    let port = json!({ "number": 6379, "protocol": "TCP", "name": "redis", "isOpen": true });
    let cache = json!({ "kind": "DEPLOYMENT", "image": sample::image(&scene.source, "cache", "7") });
    compose::add_component(&scene, &application, "other", cache.clone()).await?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "shop-cache" },
        "spec": { "ports": [{ "port": 6379 }], "selector": { "app": "elsewhere" } },
    });
    let input = json!({ "applicationId": application, "manifest": service });
    let set = scene.client.change(compose::SET_RESOURCE, input).await?;
    compose::deploy(&scene, &application).await?;
    let services: Api<Service> = Api::namespaced(clusters[0].client().await?, &scene.first_team);
    let before = services.get("shop-cache").await?;

    let id = text(&set, "/kubernetesResource/id")?;
    scene.client.change(REMOVE_RESOURCE, json!({ "kubernetesResourceId": id })).await?;
    let mut cache = cache;
    cache["settings"] = json!({ "ports": [port] });
    compose::add_component(&scene, &application, "cache", cache).await?;
    compose::deploy(&scene, &application).await?;
    let after = services.get("shop-cache").await?;
    ensure!(after.metadata.uid == before.metadata.uid, "the Service was deleted with what had it before");
    ensure!(after.spec.and_then(|spec| spec.selector) != before.spec.and_then(|spec| spec.selector));
    Ok(())
}
