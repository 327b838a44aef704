//! A secret is found nowhere but where it belongs.

use crate::small::{self, INSTALL, Installed};
use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use ropeway::demo::{
    acts::{Scene, change::UPDATE_COMPONENT, compose, publish, rollback, sample, upgrade},
    client::{list, text},
};
use ropeway_playground::Options;
use ropeway_tests::{
    app::TestApp,
    cluster::TestCluster,
    database,
    environment::{self, skip},
    log,
};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

/// What every secret of these tests begins with.
const CANARY: &str = "canary4f1d9b7c3e5a2680winged";

/// The one that is generated.
const GENERATED: &str = "SALT_KEY";

const PLAN_PUBLICATION: &str = "
    query($input: SubmitPublicationInput!) {
      planPublication(input: $input) {
        digest contentDigest warnings blockers { code message } undecided { name where proposal }
        components {
          name environment { name value } connectionInfo { name value } configFiles { path content } attributes
        }
        kubernetesResources { name manifest secretData { name value } }
        drift { object path deployed live owner } undeployed { path before after reason }
      }
    }";

const PLAN: &str = "
  digest text warnings blockers { code message } changes { path before after reason } asks { owner name description }
  leftForPeople { name reason } steps { summary }";

const PUBLICATION: &str = "
    query($id: ID!) { template(id: $id) { versions(first: 5) { nodes {
      description digest
      components {
        name environment { name value decision } connectionInfo { name value } configFiles { path content } attributes
      }
      kubernetesResources { manifest secretData { name value } } asks { name description }
    } } } }";

const APPLICATION: &str = "
    query($id: ID!) {
      application(id: $id) {
        components(first: 10) { nodes {
          statusReason environment { name value } connectionInfo { name value } configFiles { path content } attributes
          events(first: 20) { nodes { message } } pods { reason }
        } }
        kubernetesResources(first: 10) { nodes { manifest statusReason } }
        undeployed { path before after reason } drift { object path deployed live }
        upgradeRecords(first: 5) { nodes { changes { before after reason } components { error } } }
        installations(first: 5) { nodes { keptChanges { before after reason } } }
      }
    }";

const AUDIT: &str = "
    query($id: ID!) { enterprise(id: $id) { auditLog(first: 100) { nodes { action object planDigest result } } } }";

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_appears_in_no_version_plan_event_error_log_database_or_registry() -> anyhow::Result<()> {
    const NAME: &str = "canary::a_secret_appears_in_no_version_plan_event_error_log_database_or_registry";
    if !environment::wants_playgrounds() {
        skip(NAME, "ROPEWAY_TEST_CLUSTERS leaves embedded clusters out");
        return Ok(());
    }
    let clusters = clusters().await?;
    TestApp::run(async |app| {
        let forms = live_a_life(app, &clusters, "canary").await?;
        let files = files_in(app.folder())?;
        ensure!(files.len() > 10, "only {} files: the database and the registry are elsewhere", files.len());
        for file in files {
            let bytes = std::fs::read(&file)?;
            let found = forms.iter().find(|form| bytes.windows(form.len()).any(|part| part == form.as_bytes()));
            ensure!(found.is_none(), "{} holds it as {found:?}", file.display());
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_appears_in_no_column_of_postgresql() -> anyhow::Result<()> {
    const NAME: &str = "canary::a_secret_appears_in_no_column_of_postgresql";
    let clusters = clusters().await?;
    let app = match TestApp::start_big().await? {
        Ok(app) => app,
        Err(reason) => {
            skip(NAME, reason);
            return Ok(());
        }
    };
    app.run_this(async |app| {
        let forms = live_a_life(app, &clusters, "canary-pg").await?;
        let rows = database::rows(app.database_url()).await?;
        ensure!(rows.len() > 50, "only {} rows were searched", rows.len());
        for row in rows {
            let found = forms.iter().find(|form| row.contains(*form));
            ensure!(found.is_none(), "a row holds it as {found:?}: {row}");
        }
        Ok(())
    })
    .await
}

/// Secrets of every kind are edited, refused, deployed, published, installed, upgraded and rolled back; then all that the
/// API and the log said is searched. It returns what else is to be searched for them.
async fn live_a_life(app: &TestApp, clusters: &[TestCluster; 2], name: &str) -> anyhow::Result<Vec<String>> {
    let scene = app.scene(clusters, name).await?;
    let mut said = Vec::new();
    let source = Source::compose(&scene, &mut said).await?;
    ensure!(reached(&clusters[0], &scene.first_team).await? == 5, "a secret did not even reach its cluster");
    let template = publish::create_template(&scene).await?;
    let first = source.publish(&scene, &template, "1", &mut said).await?;

    let installed = install(&scene, &first, &mut said).await?;
    ensure!(reached(&clusters[1], &scene.second_team).await? == 4, "a secret did not reach the second cluster");
    let image = sample::image(&scene.source, "web", "3.0");
    let edit = json!({ "componentId": source.api, "image": image, "settings": settings("again") });
    said.push(scene.client.change(UPDATE_COMPONENT, edit).await?);
    said.push(look(&scene, &source.application).await?);
    compose::deploy(&scene, &source.application).await?;
    let second = source.publish(&scene, &template, "2", &mut said).await?;

    let input = json!({ "installationId": installed.installation, "versionId": second });
    said.push(plan(&scene, "planUpgrade", "PlanUpgradeInput", &input).await?);
    let payload = scene.client.change(upgrade::UPGRADE, input).await?;
    follow(&scene, &payload, &mut said).await?;
    let input = json!({ "recordId": text(&payload, "/upgradeRecord/id")? });
    said.push(plan(&scene, "planRollback", "PlanRollbackInput", &input).await?);
    let payload = scene.client.change(rollback::ROLL_BACK, input).await?;
    follow(&scene, &payload, &mut said).await?;
    let input = json!({ "installationId": installed.installation });
    said.push(plan(&scene, "planUninstall", "UninstallInput", &input).await?);

    // Somebody changes the Secret behind our back: what differs is told, and what it is not.
    let secrets: Api<Secret> = Api::namespaced(clusters[0].client().await?, &scene.first_team);
    let edit = Patch::Merge(json!({ "stringData": { "key": format!("{CANARY}-drift") } }));
    secrets.patch("keys", &PatchParams::default(), &edit).await?;
    let plan = scene.client.ask(PLAN_PUBLICATION, json!({ "input": source.input(&template, "3") })).await?;
    let drift = list(&plan, "/planPublication/drift")?;
    ensure!(drift.iter().any(|one| one["object"].to_string().contains("keys")), "nothing differs: {drift:?}");
    said.push(plan);
    for application in [&source.application, &installed.application] {
        said.push(look(&scene, application).await?);
    }
    said.push(scene.client.ask(PUBLICATION, json!({ "id": template })).await?);
    said.push(scene.client.ask(AUDIT, json!({ "id": scene.enterprise })).await?);

    ensure!(!log::lines_with("serving").is_empty(), "there is no log to search");
    let generated = generated(&clusters[1], &scene.second_team).await?;
    let forms: Vec<String> = forms(CANARY).into_iter().chain(forms(&generated)).collect();
    for form in &forms {
        for answer in said.iter().map(Json::to_string) {
            ensure!(!answer.contains(form), "the API says it as {form}: {answer}");
        }
        let logged = log::lines_with(form);
        ensure!(logged.is_empty(), "the log says it as {form}: {logged:?}");
    }
    Ok(forms)
}

/// The value of the secret that is generated for each installation, as a pod gets it.
async fn generated(cluster: &TestCluster, namespace: &str) -> anyhow::Result<String> {
    let secrets = Api::<Secret>::namespaced(cluster.client().await?, namespace).list(&ListParams::default()).await?;
    let value = secrets.into_iter().find_map(|secret| secret.data?.remove(GENERATED)).context("it was generated")?;
    let value = String::from_utf8(value.0)?;
    ensure!(value.len() >= 22 && !value.starts_with(CANARY), "it has {} characters", value.len());
    Ok(value)
}

/// Two clusters whose tokens are such secrets.
async fn clusters() -> anyhow::Result<[TestCluster; 2]> {
    let cluster = async |name: &str| TestCluster::playground_with(Options::new(name, format!("{CANARY}-{name}"))).await;
    Ok([cluster("alibaba-hangzhou").await?, cluster("tencent-guangzhou").await?])
}

/// The application with a secret in its environment, its connection info, a file, and a Kubernetes resource.
struct Source {
    application: String,
    api: String,
    keys: String,
}

impl Source {
    async fn compose(scene: &Scene, said: &mut Vec<Json>) -> anyhow::Result<Self> {
        let application = small::application(scene).await?;
        let api = small::add(scene, &application, "api", settings("first")).await?;
        small::add(scene, &application, "web", json!({ "dependencies": [api] })).await?;
        let keys = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "keys" },
            "stringData": { "key": format!("{CANARY}-resource") },
        });
        let keys = small::set_resource(scene, &application, keys).await?;
        // An error about something else.
        let wrong = json!({ "input": { "componentId": api, "settings": { "environment": [
            { "name": "not a name", "secret": true, "value": format!("{CANARY}-wrong") },
        ] } } });
        said.push(scene.client.send(UPDATE_COMPONENT, wrong).await?);
        said.push(
            plan(scene, "planDeployment", "PlanDeploymentInput", &json!({ "applicationId": application })).await?,
        );
        said.push(compose::deploy(scene, &application).await?.0);
        Ok(Self { application, api, keys })
    }

    /// A publication that asks for every secret.
    fn input(&self, template: &str, number: &str) -> Json {
        let ask = |name: &str| json!([{ "name": name, "secret": true, "decision": "ASK", "description": name }]);
        let mut environment = ask("TOKEN");
        environment.as_array_mut().into_iter().for_each(|all| {
            all.push(
                json!({ "name": GENERATED, "secret": true, "decision": "GENERATE", "generate": { "length": 30 } }),
            );
        });
        json!({
            "applicationId": self.application, "templateId": template, "number": number,
            "components": [{
                "componentId": self.api, "environment": environment, "connectionInfo": ask("API_KEY"),
                "configFiles": [{ "path": "/etc/key.pem", "decision": "ASK" }],
            }],
            "kubernetesResources": [{ "kubernetesResourceId": self.keys, "data": ask("key") }],
        })
    }

    async fn publish(
        &self,
        scene: &Scene,
        template: &str,
        number: &str,
        said: &mut Vec<Json>,
    ) -> anyhow::Result<String> {
        let mut undecided = self.input(template, number);
        undecided["components"] = Json::Null;
        undecided["kubernetesResources"] = Json::Null;
        said.push(scene.client.send(publish::SUBMIT, json!({ "input": undecided })).await?);
        let input = self.input(template, number);
        said.push(scene.client.ask(PLAN_PUBLICATION, json!({ "input": input })).await?);
        small::publish(scene, input).await
    }
}

/// A secret variable, secret connection info, and a secret file.
fn settings(value: &str) -> Json {
    let secret = |name: &str| json!([{ "name": name, "secret": true, "value": format!("{CANARY}-{name}-{value}") }]);
    json!({
        "environment": [secret("TOKEN")[0], secret(GENERATED)[0]], "connectionInfo": secret("API_KEY"),
        "configFiles": [{ "path": "/etc/key.pem", "secret": true, "content": format!("{CANARY}-file-{value}") }],
    })
}

/// Installs with secrets of its own.
async fn install(scene: &Scene, version: &str, said: &mut Vec<Json>) -> anyhow::Result<Installed> {
    let mut input = small::for_a_new_team(scene, version);
    let asked = plan(scene, "planInstallation", "PlanInstallationInput", &input).await?;
    let supply = |ask: &Json| {
        let value = format!("{CANARY}-{}", ask["name"].as_str().unwrap_or_default());
        json!({ "owner": ask["owner"], "name": ask["name"], "value": value })
    };
    let asks = list(&asked, "/planInstallation/asks")?;
    ensure!(asks.len() == 4, "it asks for {asks:?}");
    input["values"] = asks.iter().map(supply).collect();
    said.push(asked);
    said.push(plan(scene, "planInstallation", "PlanInstallationInput", &input).await?);
    let wrong = json!({ "owner": scene.enterprise, "name": "x", "value": format!("{CANARY}-unknown") });
    let mut refused = input.clone();
    refused["values"].as_array_mut().context("there are values")?.push(wrong);
    said.push(scene.client.send(INSTALL, json!({ "input": refused })).await?);
    let (installed, operation) = small::begin(scene, input).await?;
    follow(scene, &json!({ "operation": { "id": operation } }), said).await?;
    scene.until_running(&installed.application).await?;
    Ok(installed)
}

/// Follows an operation to its success.
async fn follow(scene: &Scene, payload: &Json, said: &mut Vec<Json>) -> anyhow::Result<()> {
    let ended = scene.client.follow(text(payload, "/operation/id")?, |event| said.push(event.clone())).await?;
    ensure!(ended["state"] == "SUCCEEDED", "{ended}");
    said.push(ended);
    Ok(())
}

async fn plan(scene: &Scene, query: &str, kind: &str, input: &Json) -> anyhow::Result<Json> {
    let document = format!("query($input: {kind}!) {{ {query}(input: $input) {{ {PLAN} }} }}");
    scene.client.ask(&document, json!({ "input": input })).await
}

async fn look(scene: &Scene, application: &str) -> anyhow::Result<Json> {
    scene.client.ask(APPLICATION, json!({ "id": application })).await
}

/// How many different secrets of these tests are in the Secrets of a namespace.
async fn reached(cluster: &TestCluster, namespace: &str) -> anyhow::Result<usize> {
    let mut values = cluster.secret_values(namespace).await?;
    values.retain(|value| value.starts_with(CANARY));
    values.sort();
    values.dedup();
    Ok(values.len())
}

/// A secret as it is, in hexadecimal digits, and the part of its base64 that is the same wherever it begins.
fn forms(secret: &str) -> Vec<String> {
    let hex = hex::encode(secret);
    let base64 = |before: usize| {
        let text = STANDARD_NO_PAD.encode([vec![0; before], secret.into()].concat());
        text[(before * 4).div_ceil(3)..(before + secret.len()) * 4 / 3].to_owned()
    };
    [secret.to_owned(), hex].into_iter().chain((0..3).map(base64)).collect()
}

fn files_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
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
