//! A cluster under test, with plain requests: status and body are what the tests look at.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use ropeway_playground::{Options, Playground};
use serde_json::{Value, json};

use crate::registry::Registry;

/// How long a condition may take to come true.
const DEADLINE: Duration = Duration::from_secs(40);

pub(crate) struct Subject {
    pub(crate) client: kube::Client,
    pub(crate) registry: Registry,
    pub(crate) playground: Option<Playground>,
}

/// The real control plane lives as long as this process: it ends when its standard input closes.
struct Real {
    kubeconfig: String,
    _process: Child,
}

impl Subject {
    pub(crate) async fn playground() -> Result<Self> {
        let playground = Playground::start(Options::new("test", "a-token")).await?;
        let client = client(Kubeconfig::from_yaml(&playground.kubeconfig())?).await?;
        Ok(Self { client, registry: Registry::start().await?, playground: Some(playground) })
    }

    /// The real control plane, where it was asked for. None where it is not there: that is noted.
    pub(crate) async fn real(test: &str) -> Result<Option<Self>> {
        static REAL: OnceLock<Option<Real>> = OnceLock::new();
        if variable("ROPEWAY_TEST_CLUSTERS").is_some_and(|chosen| chosen == "playground") {
            return Ok(None);
        }
        if variable("ROPEWAY_TEST_CONTROLPLANE").is_none() {
            skip(test, "ROPEWAY_TEST_CONTROLPLANE names no control plane");
            return Ok(None);
        }
        let real = tokio::task::spawn_blocking(|| REAL.get_or_init(start_real).as_ref()).await?;
        let Some(real) = real else { return Ok(None) };
        let client = client(Kubeconfig::read_from(&real.kubeconfig)?).await?;
        Ok(Some(Self { client, registry: Registry::start().await?, playground: None }))
    }

    /// A namespace of its own for a test, furnished.
    pub(crate) async fn namespace(&self) -> Result<String> {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "test-"}});
        let made = self.create("/api/v1/namespaces", &body).await?;
        let name = made["metadata"]["name"].as_str().context("the namespace has no name")?.to_owned();
        self.until(&format!("/api/v1/namespaces/{name}/serviceaccounts/default"), |_| true).await?;
        self.until(&format!("/api/v1/namespaces/{name}/configmaps/kube-root-ca.crt"), |_| true).await?;
        Ok(name)
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        content: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value)> {
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content)
            .header("accept", "application/json")
            .header("user-agent", "tester/1");
        let response = self.client.send(request.body(kube::client::Body::from(bytes))?).await?;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect_bytes().await?;
        Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }

    pub(crate) async fn get(&self, path: &str) -> Result<(u16, Value)> {
        self.call("GET", path, "application/json", None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<(u16, Value)> {
        self.call("POST", path, "application/json", Some(body)).await
    }

    pub(crate) async fn create(&self, path: &str, body: &Value) -> Result<Value> {
        // A new namespace may not have its account yet, a cluster not its quota: such refusals are final elsewhere.
        let (status, answer) = self.post(path, body).await?;
        if status != 201 {
            bail!("creating at {path}: {status} {answer}");
        }
        Ok(answer)
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<(u16, Value)> {
        self.call("PUT", path, "application/json", Some(body)).await
    }

    pub(crate) async fn merge(&self, path: &str, body: &Value) -> Result<(u16, Value)> {
        self.call("PATCH", path, "application/merge-patch+json", Some(body)).await
    }

    pub(crate) async fn apply(&self, path: &str, manager: &str, body: &Value) -> Result<(u16, Value)> {
        let join = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{join}fieldManager={manager}");
        self.call("PATCH", &path, "application/apply-patch+yaml", Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str, options: &Value) -> Result<(u16, Value)> {
        self.call("DELETE", path, "application/json", Some(options)).await
    }

    /// Waits until an object is as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let end = Instant::now() + DEADLINE;
        loop {
            let (status, object) = self.get(path).await?;
            if status == 200 && wanted(&object) {
                return Ok(object);
            }
            if Instant::now() > end {
                bail!("{path} did not become as wanted: {status} {object:#}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until an object is gone.
    pub(crate) async fn until_gone(&self, path: &str) -> Result<()> {
        let end = Instant::now() + DEADLINE;
        loop {
            let (status, object) = self.get(path).await?;
            if status == 404 {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("{path} did not go: {status} {object:#}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The causes of a failure: reason and field of each.
pub(crate) fn causes(status: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let causes = status["details"]["causes"].as_array();
    causes.into_iter().flatten().map(|cause| (text(&cause["reason"]), text(&cause["field"]))).collect()
}

async fn client(kubeconfig: Kubeconfig) -> Result<kube::Client> {
    let _present = rustls::crypto::ring::default_provider().install_default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(kube::Client::try_from(config)?)
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Notes that a test is skipped, for the last lines of the test command. In continuous integration it fails.
fn skip(test: &str, reason: &str) {
    assert!(variable("CI").is_none(), "{test} is skipped, which must not be here: {reason}");
    eprintln!("skipped: {test}: {reason}");
    if let Some(path) = variable("ROPEWAY_TEST_SKIPPED") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        let written = file.and_then(|mut file| writeln!(file, "ropeway-playground {test}: {reason}"));
        written.expect("the list of skipped tests can be written");
    }
}

fn start_real() -> Option<Real> {
    let program = variable("ROPEWAY_TEST_CONTROLPLANE")?;
    let data = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("controlplane");
    if data.exists() {
        std::fs::remove_dir_all(&data).expect("the folder of an earlier run can be removed");
    }
    let mut process = Command::new(program)
        .args(["up", "--data"])
        .arg(&data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the control plane starts");
    let mut line = String::new();
    let output = process.stdout.take().expect("its output is piped");
    BufReader::new(output).read_line(&mut line).expect("it says when it is ready");
    let ready: Value = serde_json::from_str(&line).expect("it says so in JSON");
    let kubeconfig = ready["kubeconfig"].as_str().expect("it names its kubeconfig").to_owned();
    Some(Real { kubeconfig, _process: process })
}
