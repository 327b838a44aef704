//! Between the acts: the source application changes, for release 3.0.

use super::{ApplicationView, Scene, compose, compose::Composed, sample};
use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};

/// Changes a component.
pub const UPDATE_COMPONENT: &str = "
    mutation($input: UpdateComponentInput!) {
      updateComponent(input: $input) { component { id } errors { code message path } }
    }";

/// Adds a component, changes an image, a probe, a variable and a file, adds a variable, and deploys all of it.
pub async fn change(scene: &Scene, composed: &mut Composed) -> anyhow::Result<ApplicationView> {
    let ids = &composed.components;
    let api = ids.get(sample::API).context("there is no api")?;
    let web = ids.get("web").context("there is no web")?;
    let image = |name| sample::image(&scene.source, name, "3.0");
    update(scene, json!({ "componentId": api, "image": image("api"), "settings": sample::api_settings(1) })).await?;
    update(scene, json!({ "componentId": web, "image": image("web") })).await?;
    let worker = compose::add_sample_component(scene, &composed.application, sample::WORKER, ids).await?;
    composed.components.insert(sample::WORKER.to_owned(), worker);
    scene.progress.done("changed it: a worker, two images, a probe, a new variable, a value, a configuration file");

    let view = compose::deploy(scene, &composed.application).await?;
    let value = view.variable(sample::API, sample::VARIABLE)?;
    ensure!(value.as_deref() == Some(sample::VARIABLE_VALUES[1]), "the value did not change: {value:?}");
    ensure!(view.image(sample::API)? != composed.view.image(sample::API)?, "the image did not change");
    scene.progress.done(format!("deployed it in the first cluster; all {} components run", view.components()?.len()));
    Ok(view)
}

async fn update(scene: &Scene, input: Json) -> anyhow::Result<()> {
    scene.client.change(UPDATE_COMPONENT, input).await.context("changing a component")?;
    Ok(())
}
