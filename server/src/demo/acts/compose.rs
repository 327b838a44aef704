//! Act one: an application is composed and runs in the first cluster.

use super::{ApplicationView, Scene, sample};
use crate::demo::client::text;
use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

const CREATE_TEAM: &str = "
    mutation($input: CreateTeamInput!) {
      createTeam(input: $input) { team { id slug } errors { code message path } }
    }";

const CREATE_APPLICATION: &str = "
    mutation($input: CreateApplicationInput!) {
      createApplication(input: $input) { application { id slug } errors { code message path } }
    }";

const ADD_COMPONENT: &str = "
    mutation($input: AddComponentInput!) {
      addComponent(input: $input) { component { id slug } errors { code message path } }
    }";

/// Adds a Kubernetes resource, or replaces it.
pub const SET_RESOURCE: &str = "
    mutation($input: SetKubernetesResourceInput!) {
      setKubernetesResource(input: $input) { kubernetesResource { id kind name } errors { code message path } }
    }";

const PLAN_DEPLOYMENT: &str = "
    query($input: PlanDeploymentInput!) {
      planDeployment(input: $input) { digest blockers { code message } steps { number summary } text }
    }";

/// Deploys.
pub const DEPLOY: &str = "
    mutation($input: DeployApplicationInput!) {
      deployApplication(input: $input) { operation { id } errors { code message path } }
    }";

/// An application that was composed.
#[derive(Debug, Clone)]
pub struct Composed {
    /// The global id of its team.
    pub team: String,
    /// Its global id.
    pub application: String,
    /// The global ids of its components, by slug.
    pub components: BTreeMap<String, String>,
    /// As it runs.
    pub view: ApplicationView,
}

/// Composes the sample application and deploys it.
pub async fn compose(scene: &Scene) -> anyhow::Result<Composed> {
    let team = create_team(scene, &scene.first_team).await?;
    let application = create_application(scene, &team, sample::NAME).await?;
    let mut components = BTreeMap::new();
    for slug in sample::PARTS {
        let id = add_sample_component(scene, &application, slug, &components).await?;
        components.insert(slug.to_owned(), id);
    }
    let input = json!({ "applicationId": application, "manifest": sample::network_policy() });
    scene.client.change(SET_RESOURCE, input).await.context("adding a Kubernetes resource")?;
    scene.progress.done("composed shop 2.9: web, api, database with a volume, cache, a NetworkPolicy");

    let view = deploy(scene, &application).await?;
    ensure!(view.components()?.len() == sample::PARTS.len(), "there are {} components", view.components()?.len());
    scene.progress.done(format!("deployed it; all {} components run", view.components()?.len()));
    Ok(Composed { team, application, components, view })
}

/// Creates a team on the first cluster.
pub async fn create_team(scene: &Scene, slug: &str) -> anyhow::Result<String> {
    let input = json!({
        "enterpriseId": scene.enterprise, "name": slug, "slug": slug, "clusterIds": [scene.first_cluster],
    });
    let payload = scene.client.change(CREATE_TEAM, input).await.context("creating a team")?;
    Ok(text(&payload, "/team/id")?.to_owned())
}

/// Creates an application in the first cluster.
pub async fn create_application(scene: &Scene, team: &str, name: &str) -> anyhow::Result<String> {
    let input = json!({ "teamId": team, "clusterId": scene.first_cluster, "name": name, "slug": name });
    let payload = scene.client.change(CREATE_APPLICATION, input).await.context("creating an application")?;
    Ok(text(&payload, "/application/id")?.to_owned())
}

/// Adds a component of the sample application.
pub async fn add_sample_component(
    scene: &Scene,
    application: &str,
    slug: &str,
    ids: &BTreeMap<String, String>,
) -> anyhow::Result<String> {
    let part = sample::part(slug, &scene.source, ids).with_context(|| format!("the sample has no part {slug}"))?;
    add_component(scene, application, part.slug, part.input).await
}

/// Adds a component; `input` has all but the application, the name and the slug.
pub async fn add_component(scene: &Scene, application: &str, slug: &str, mut input: Json) -> anyhow::Result<String> {
    input["applicationId"] = json!(application);
    input["name"] = json!(slug);
    input["slug"] = json!(slug);
    let payload = scene.client.change(ADD_COMPONENT, input).await.with_context(|| format!("adding {slug}"))?;
    Ok(text(&payload, "/component/id")?.to_owned())
}

/// Plans a deployment, executes that plan, and waits until all runs.
pub async fn deploy(scene: &Scene, application: &str) -> anyhow::Result<ApplicationView> {
    let digest = plan_deployment(scene, application).await?;
    let input = json!({ "applicationId": application, "planDigest": digest });
    let payload = scene.client.change(DEPLOY, input).await.context("deploying")?;
    scene.follow(&payload, "deploying").await?;
    scene.until_running(application).await
}

/// The digest of the plan of a deployment in whose way nothing stands.
pub async fn plan_deployment(scene: &Scene, application: &str) -> anyhow::Result<String> {
    let data = scene.client.ask(PLAN_DEPLOYMENT, json!({ "input": { "applicationId": application } })).await?;
    let plan = &data["planDeployment"];
    let blockers = plan["blockers"].as_array().is_none_or(Vec::is_empty);
    ensure!(blockers, "the deployment is blocked: {}", plan["blockers"]);
    Ok(text(plan, "/digest")?.to_owned())
}
