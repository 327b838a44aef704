//! A secret is found nowhere but where it belongs.

use anyhow::{Context as _, ensure};
use ropeway::demo::{
    acts::{compose, install, publish, sample, upgrade},
    client::text,
};
use ropeway_tests::{app::TestApp, cluster::TestCluster, log};
use serde_json::json;
use std::path::Path;

const UPDATE: &str = "
    mutation($input: UpdateComponentInput!) {
      updateComponent(input: $input) {
        component { environment { name value } configFiles { content } } errors { code message path }
      }
    }";

const VERSION: &str = "
    query($id: ID!) {
      templateVersion(id: $id) {
        components {
          name environment { name value decision } connectionInfo { name value } configFiles { path content } attributes
        }
        kubernetesResources { manifest } asks { name description }
      }
    }";

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_appears_in_no_version_plan_event_error_log_database_or_registry() -> anyhow::Result<()> {
    const CANARY: &str = "canary4f1d9b7c3e5a2680winged";
    let clusters = TestCluster::two_playgrounds().await?;
    TestApp::run(async |app| {
        let scene = app.scene(&clusters, "canary").await?;
        let composed = compose::compose(&scene).await?;

        // The canary as a variable, in connection info, and in an error about something else.
        let api = composed.components.get(sample::API).context("there is an api")?;
        let input = json!({ "componentId": api, "settings": { "environment": [
        { "name": sample::VARIABLE, "value": "info" },
        { "name": sample::ASKED, "secret": true, "value": CANARY },
    ] } });
        let mut said = vec![scene.client.change(UPDATE, input).await?.to_string()];
        let wrong = json!({ "input": { "componentId": api, "settings": { "environment": [
        { "name": "not a name", "secret": true, "value": CANARY },
    ] } } });
        said.push(scene.client.send(UPDATE, wrong).await?.to_string());
        let view = compose::deploy(&scene, &composed.application).await?;
        said.push(view.0.to_string());
        ensure!(
            clusters[0].secret_values(&scene.first_team).await?.iter().any(|value| value == CANARY),
            "the secret did not even reach its cluster"
        );

        let template = publish::create_template(&scene).await?;
        let version = publish::publish(&scene, &composed.application, &template, "2.9").await?;
        said.push(scene.client.ask(VERSION, json!({ "id": version.version })).await?.to_string());
        let (mut input, digest) = install::prepare(&scene, &version.version).await?;
        input["planDigest"] = json!(digest);
        for value in input["values"].as_array_mut().context("there are values")? {
            value["value"] = json!(CANARY);
        }
        // Another value is another plan: it is refused, and the new plan is shown.
        let again = scene.client.send(install::INSTALL, json!({ "input": input })).await?;
        said.push(again.to_string());
        input["planDigest"] = json!(null);
        if text(&again, "/data/installTemplate/installation/id").is_err() {
            let payload = scene.client.change(install::INSTALL, input).await?;
            let operation = text(&payload, "/operation/id")?;
            let ended = scene.client.follow(operation, |event| said.push(event.to_string())).await?;
            said.push(ended.to_string());
            let installed = install::finish(&scene, text(&payload, "/installation/id")?).await?;
            said.push(installed.view.0.to_string());
            said.push(
                upgrade::plan(&scene, &installed.installation, &version.version)
                    .await
                    .map_or_else(|error| format!("{error:?}"), |plan| plan.to_string()),
            );
        } else {
            let operation = text(&again, "/data/installTemplate/operation/id")?;
            scene.client.follow(operation, |event| said.push(event.to_string())).await?;
        }

        for answer in &said {
            ensure!(!answer.contains(CANARY), "the API says it: {answer}");
        }
        let logged = log::lines_with(CANARY);
        ensure!(logged.is_empty(), "the log says it: {logged:?}");
        let folder = app.folder().to_owned();
        let mut files = 0;
        for found in files_in(&folder)? {
            files += 1;
            let bytes = std::fs::read(&found)?;
            let holds = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
            ensure!(!holds, "{} holds it", found.display());
        }
        ensure!(files > 10, "only {files} files were searched: the database and the registry are elsewhere");
        Ok(())
    })
    .await
}

fn files_in(folder: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(files_in(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    Ok(files)
}
