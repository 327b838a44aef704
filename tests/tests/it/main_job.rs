//! The main job, end to end, through the public API.

use crate::both::{on_playgrounds, on_real_clusters};
use anyhow::ensure;
use ropeway::demo::acts::{Scene, change, compose, install, publish, rollback, upgrade};
use ropeway_tests::{app::TestApp, cluster::TestCluster};

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_composed_published_installed_upgraded_and_rolled_back() -> anyhow::Result<()> {
    const NAME: &str = "main_job::an_application_is_composed_published_installed_upgraded_and_rolled_back";
    on_playgrounds(NAME, async |app, clusters| four_acts(app, clusters, "acts").await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_holds_on_real_control_planes_with_postgresql_and_docker_registry() -> anyhow::Result<()> {
    const NAME: &str = "main_job::the_same_holds_on_real_control_planes_with_postgresql_and_docker_registry";
    on_real_clusters(NAME, async |app, clusters| four_acts(app, clusters, "real-acts").await).await
}

/// The four acts, and what can be seen of them in the clusters themselves.
async fn four_acts(app: &TestApp, clusters: &[TestCluster; 2], name: &str) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let mut composed = compose::compose(&scene).await?;
    ensure!(!clusters[1].has_namespace(&scene.second_team).await?, "composing touched the second cluster");
    let template = publish::create_template(&scene).await?;
    let first = publish::publish(&scene, &composed.application, &template, "2.9").await?;
    let installed = install::install(&scene, &first.version).await?;

    let library = app.library_host()?;
    let workloads = clusters[1].workloads(&scene.second_team).await?;
    ensure!(workloads.len() == 4, "these workloads run: {:?}", workloads.keys());
    for (name, workload) in &workloads {
        ensure!(workload.is_ready, "{name} is not ready");
        let from_library =
            workload.images.iter().all(|image| image.starts_with(&library) && image.contains("@sha256:"));
        ensure!(from_library, "{name} runs {:?}, not by digest from {library}", workload.images);
    }
    ensure!(workloads["shop-api"].replicas == 2, "the minimum of replicas runs");
    secrets_differ(clusters, &scene).await?;

    change::change(&scene, &mut composed).await?;
    let untouched = clusters[1].workloads(&scene.second_team).await?;
    ensure!(untouched == workloads, "changing the source touched the installation");
    let second = publish::publish(&scene, &composed.application, &template, "3.0").await?;
    let upgraded = upgrade::upgrade(&scene, &installed, &second.version).await?;
    let newer = clusters[1].workloads(&scene.second_team).await?;
    ensure!(newer.len() == 5 && newer["shop-api"].images != workloads["shop-api"].images, "{newer:?}");
    ensure!(newer["shop-database"] == workloads["shop-database"], "the database was touched");

    rollback::roll_back(&scene, &installed, &upgraded).await?;
    let back = clusters[1].workloads(&scene.second_team).await?;
    for (name, workload) in &workloads {
        ensure!(back.get(name) == Some(workload), "{name} is now {:?}", back.get(name));
    }
    ensure!(back["shop-worker"].is_ready, "what the upgrade added does not run any more");
    Ok(())
}

/// What one installation generated is found in no other.
async fn secrets_differ(clusters: &[TestCluster; 2], scene: &Scene) -> anyhow::Result<()> {
    let ours = clusters[0].secret_values(&scene.first_team).await?;
    let theirs = clusters[1].secret_values(&scene.second_team).await?;
    ensure!(!ours.is_empty(), "there are no secrets");
    ensure!(theirs.iter().any(|value| value == install::SUPPLIED), "what was supplied did not arrive");
    let shared: Vec<_> = ours.iter().filter(|value| theirs.contains(value)).collect();
    ensure!(shared.is_empty(), "{} secrets are the same in both clusters", shared.len());
    Ok(())
}
