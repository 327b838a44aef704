//! Act two: the application is published to the library, for the whole enterprise.

use super::{ApplicationView, Scene, sample};
use crate::demo::{
    client::{list, text},
    progress::mib,
};
use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};

const CREATE_TEMPLATE: &str = "
    mutation($input: CreateTemplateInput!) {
      createTemplate(input: $input) { template { id name } errors { code message path } }
    }";

/// What a publication would contain.
pub const PLAN_PUBLICATION: &str = "
    query($input: SubmitPublicationInput!) {
      planPublication(input: $input) {
        digest warnings
        components { key name image imageDigest }
        kubernetesResources { kind name }
        undecided { owner component name where proposal }
        blockers { code message }
        drift { object path }
        undeployed { path }
        replaces { number revision }
      }
    }";

/// Submits a publication.
pub const SUBMIT: &str = "
    mutation($input: SubmitPublicationInput!) {
      submitPublication(input: $input) {
        publication { id state } operation { id } errors { code message path }
      }
    }";

const PUBLICATION: &str = "
    query($id: ID!) {
      publication(id: $id) {
        id number state warnings
        images { component source target digest state bytesDone bytesTotal error }
        version { id number }
      }
    }";

const CONFIRM: &str = "
    mutation($input: ConfirmPublicationInput!) {
      confirmPublication(input: $input) {
        publication { id state version { id number revision digest architectures images { reference digest bytes } } }
        errors { code message path }
      }
    }";

const VERSIONS: &str = "
    query($id: ID!) { template(id: $id) { id name versions(first: 10) { nodes { id number revision isCurrent } } } }";

/// A version that was published.
#[derive(Debug, Clone)]
pub struct Published {
    /// The global id of its template.
    pub template: String,
    /// Its global id.
    pub version: String,
    /// As the API shows it.
    pub view: Json,
}

/// Creates a template for the whole enterprise.
pub async fn create_template(scene: &Scene) -> anyhow::Result<String> {
    let input = json!({
        "enterpriseId": scene.enterprise, "name": scene.template, "scope": "ENTERPRISE",
        "categories": ["demo", "retail"], "description": "A small shop, to show what Ropeway does.",
    });
    let payload = scene.client.change(CREATE_TEMPLATE, input).await.context("creating a template")?;
    Ok(text(&payload, "/template/id")?.to_owned())
}

/// Publishes an application under a number: decides about its secrets, follows the copying of its images, confirms.
pub async fn publish(scene: &Scene, application: &str, template: &str, number: &str) -> anyhow::Result<Published> {
    let mut input = json!({ "applicationId": application, "templateId": template, "number": number });
    let first = plan(scene, &input).await?;
    let undecided = list(&first, "/undecided")?;
    if !undecided.is_empty() {
        let names: Vec<&str> = undecided.iter().filter_map(|secret| secret["name"].as_str()).collect();
        scene.progress.done(format!("{} secrets need a decision: {}", names.len(), names.join(", ")));
        let view = scene.application(application).await?;
        input["components"] = decisions(&view, undecided)?;
    }
    let decided = plan(scene, &input).await?;
    ensure!(list(&decided, "/undecided")?.is_empty(), "secrets are still undecided: {}", decided["undecided"]);
    ensure!(list(&decided, "/blockers")?.is_empty(), "publishing is blocked: {}", decided["blockers"]);
    input["planDigest"] = decided["digest"].clone();

    let payload = scene.client.change(SUBMIT, input).await.context("submitting the publication")?;
    let publication = text(&payload, "/publication/id")?.to_owned();
    scene.follow(&payload, &format!("copying the images of {number}")).await?;
    let data = scene.client.ask(PUBLICATION, json!({ "id": publication })).await?;
    let synced = &data["publication"];
    ensure!(synced["state"] == "SYNCED", "the publication is {}", synced["state"]);
    ensure!(synced["version"].is_null(), "the version is visible before it was confirmed");
    let images = list(synced, "/images")?;
    let all_copied = !images.is_empty() && images.iter().all(|image| image["state"] == "SUCCEEDED");
    ensure!(all_copied, "not every image was copied: {images:?}");
    let bytes = images.iter().filter_map(|image| bytes_of(&image["bytesTotal"])).sum();
    scene.progress.done(format!("the library has its {} images, {} in all", images.len(), mib(bytes)));

    let mut payload =
        scene.client.change(CONFIRM, json!({ "publicationId": publication })).await.context("confirming")?;
    let confirmed = payload["publication"].take();
    ensure!(confirmed["state"] == "PUBLISHED", "the publication is {}", confirmed["state"]);
    let version = text(&confirmed, "/version/id")?.to_owned();
    let data = scene.client.ask(VERSIONS, json!({ "id": template })).await?;
    let versions = list(&data, "/template/versions/nodes")?;
    ensure!(versions.iter().any(|v| v["id"] == version.as_str()), "the template does not list {number}");
    scene.progress.done(format!("confirmed: {} {number} can be installed by every team", scene.template));
    Ok(Published { template: template.to_owned(), version, view: confirmed["version"].clone() })
}

async fn plan(scene: &Scene, input: &Json) -> anyhow::Result<Json> {
    let mut data = scene.client.ask(PLAN_PUBLICATION, json!({ "input": input })).await.context("previewing")?;
    let plan = data["planPublication"].take();
    ensure!(list(&plan, "/drift")?.is_empty(), "the cluster differs from what was deployed: {}", plan["drift"]);
    ensure!(list(&plan, "/undeployed")?.is_empty(), "edits are not deployed yet: {}", plan["undeployed"]);
    Ok(plan)
}

/// What becomes of the secrets without a decision: the payment token is asked for, the others are generated. The lists
/// are whole: what an application has and nobody decides about stays as it is.
pub fn decisions(view: &ApplicationView, undecided: &[Json]) -> anyhow::Result<Json> {
    let is_undecided = |component: &Json, name: &Json| {
        undecided.iter().any(|secret| {
            let owned = secret["owner"] == component["key"] || secret["component"] == component["name"];
            owned && secret["name"] == *name
        })
    };
    let mut edits = Vec::new();
    for component in view.components()? {
        let mut edit = json!({ "componentId": component["id"] });
        let mut any = false;
        for field in ["environment", "connectionInfo"] {
            let variables = list(component, &format!("/{field}"))?;
            if !variables.iter().any(|variable| is_undecided(component, &variable["name"])) {
                continue;
            }
            any = true;
            let decided = |variable: &Json| {
                let name = &variable["name"];
                if variable["isSecret"] != true && !is_undecided(component, name) {
                    json!({ "name": name, "value": variable["value"] })
                } else if *name == sample::ASKED {
                    json!({ "name": name, "secret": true, "decision": "ASK", "description": "The token of the payment provider" })
                } else if variable["decision"].is_string() {
                    json!({ "name": name, "secret": true, "decision": variable["decision"], "generate": variable["generate"] })
                } else {
                    json!({ "name": name, "secret": true, "decision": "GENERATE", "generate": { "length": 32 } })
                }
            };
            edit[field] = variables.iter().map(decided).collect();
        }
        if any {
            edits.push(edit);
        }
    }
    Ok(Json::Array(edits))
}

/// A `ByteCount`: a number, or a text where it is beyond what JSON's numbers hold safely.
fn bytes_of(value: &Json) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
