//! The acts, each through the public API alone. An act checks what it claims by asking the API afterwards.

pub mod change;
pub mod compose;
pub mod install;
pub mod prepare;
pub mod publish;
pub mod rollback;
pub mod sample;
pub mod upgrade;

use super::{
    client::{Client, list, text},
    progress::Progress,
};
use anyhow::{Context as _, bail, ensure};
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep};

/// How long it may take until what an operation did shows.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

const APPLICATION: &str = "
    query($id: ID!) {
      application(id: $id) {
        id name slug status namespace upgradableCount
        components(first: 100) { nodes {
          id key name slug status statusReason image imageDigest replicas readyReplicas
          version { number }
          environment { name value isSecret decision generate { length group } }
          connectionInfo { name value isSecret decision generate { length group } }
          configFiles { path content }
          probes { kind action { httpPath } }
        } }
        kubernetesResources(first: 100) { nodes { kind name } }
      }
    }";

/// Where the acts happen.
#[derive(Clone)]
pub struct Scene {
    /// Somebody who administers the enterprise.
    pub client: Client,
    /// Where people watch.
    pub progress: Progress,
    /// The global id of the enterprise.
    pub enterprise: String,
    /// The global id of the cluster in which the application is made.
    pub first_cluster: String,
    /// The global id of the cluster in which it is installed.
    pub second_cluster: String,
    /// `host:port` of the registry with the sample application's images.
    pub source: String,
    /// The slug of the team that makes the application, which is its namespace.
    pub first_team: String,
    /// The slug of the team that installs it.
    pub second_team: String,
    /// The name of the template.
    pub template: String,
}

/// An application as the API shows it.
#[derive(Debug, Clone)]
pub struct ApplicationView(pub Json);

impl Scene {
    /// Follows the operation that a payload names to its end.
    pub async fn follow(&self, payload: &Json, what: &str) -> anyhow::Result<Json> {
        let operation = text(payload, "/operation/id").with_context(|| format!("{what}: no operation began"))?;
        self.progress.follow(&self.client, operation, what).await
    }

    /// An application now.
    pub async fn application(&self, id: &str) -> anyhow::Result<ApplicationView> {
        let mut data = self.client.ask(APPLICATION, json!({ "id": id })).await?;
        ensure!(!data["application"].is_null(), "the application is gone");
        Ok(ApplicationView(data["application"].take()))
    }

    /// Waits until all of an application runs.
    pub async fn until_running(&self, id: &str) -> anyhow::Result<ApplicationView> {
        let began = Instant::now();
        loop {
            let view = self.application(id).await?;
            if view.is_running()? {
                return Ok(view);
            }
            if began.elapsed() > PATIENCE {
                bail!("it does not run after {} s: {}", PATIENCE.as_secs(), view.states()?);
            }
            sleep(PAUSE).await;
        }
    }
}

impl ApplicationView {
    /// The component with this slug.
    pub fn component(&self, slug: &str) -> anyhow::Result<&Json> {
        let found = self.components()?.iter().find(|component| component["slug"] == slug);
        found.with_context(|| format!("there is no component {slug}"))
    }

    /// All components.
    pub fn components(&self) -> anyhow::Result<&[Json]> {
        list(&self.0, "/components/nodes")
    }

    /// The global ids of the components, by slug.
    pub fn ids(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let pair = |c: &Json| Ok((text(c, "/slug")?.to_owned(), text(c, "/id")?.to_owned()));
        self.components()?.iter().map(pair).collect()
    }

    /// The value of an environment variable; none where it is a secret or is not there.
    pub fn variable(&self, component: &str, name: &str) -> anyhow::Result<Option<String>> {
        let environment = list(self.component(component)?, "/environment")?;
        let found = environment.iter().find(|variable| variable["name"] == name);
        Ok(found.and_then(|variable| variable["value"].as_str()).map(str::to_owned))
    }

    /// The content of a configuration file.
    pub fn file(&self, component: &str, path: &str) -> anyhow::Result<Option<String>> {
        let files = list(self.component(component)?, "/configFiles")?;
        let found = files.iter().find(|file| file["path"] == path);
        Ok(found.and_then(|file| file["content"].as_str()).map(str::to_owned))
    }

    /// What a component's image is known by: its digest, or its reference where nobody has asked for the digest.
    pub fn image(&self, component: &str) -> anyhow::Result<&str> {
        let component = self.component(component)?;
        text(component, "/imageDigest").or_else(|_| text(component, "/image"))
    }

    /// The path that a component's readiness probe asks.
    pub fn readiness_path(&self, component: &str) -> anyhow::Result<Option<&str>> {
        let probes = list(self.component(component)?, "/probes")?;
        let found = probes.iter().find(|probe| probe["kind"] == "READINESS");
        Ok(found.and_then(|probe| probe.pointer("/action/httpPath")?.as_str()))
    }

    /// Whether the application and each of its components runs.
    pub fn is_running(&self) -> anyhow::Result<bool> {
        let components = self.components()?;
        Ok(self.0["status"] == "RUNNING"
            && !components.is_empty()
            && components.iter().all(|c| c["status"] == "RUNNING"))
    }

    fn states(&self) -> anyhow::Result<String> {
        let of = |c: &Json| {
            let reason = c["statusReason"].as_str().map(|reason| format!(" ({reason})")).unwrap_or_default();
            format!("{} {}{reason}", c["slug"].as_str().unwrap_or("?"), c["status"].as_str().unwrap_or("?"))
        };
        let states: Vec<String> = self.components()?.iter().map(of).collect();
        Ok(format!("{}; {}", self.0["status"].as_str().unwrap_or("?"), states.join(", ")))
    }
}
