//! Clusters for tests, and builders of objects. The only place of these tests that reads the environment.

use std::{
    any::Any,
    io::{BufRead, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::{authentication::v1::TokenRequest, core::v1::ServiceAccount};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, GroupVersionKind},
};
use ropeway_clusters::{Access, ApplyOptions, Clock, Cluster, Limits, ObjectRef, OwnerCheck, Scope, labels};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The application that the tests act for.
pub(crate) const APPLICATION: &str = "0197aaaa-0000-7000-8000-000000000001";

/// A cluster, and a namespace of its own for the test that asked.
pub(crate) struct TestCluster {
    pub(crate) cluster: Cluster,
    pub(crate) namespace: String,
    pub(crate) kubeconfig: String,
    /// What keeps it running.
    _alive: Arc<dyn Any + Send + Sync>,
}

/// A real control plane; it ends when its standard input is closed.
pub(crate) struct ControlPlane {
    child: Child,
    input: Option<ChildStdin>,
    _folder: TempDir,
    pids: PathBuf,
    pub(crate) kubeconfig: String,
}

static SHARED: Mutex<Weak<ControlPlane>> = Mutex::new(Weak::new());
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// One cluster of each sort that was asked for, each with a fresh namespace.
pub(crate) async fn clusters(test: &str) -> Vec<TestCluster> {
    let mut found = Vec::new();
    if let Some(cluster) = real_cluster(test).await {
        found.push(cluster);
    }
    if chosen("playground") {
        found.push(crate::played::own_playground(test).await.expect("chosen").1);
    }
    assert!(!found.is_empty(), "no cluster to test with: set ROPEWAY_TEST_CONTROLPLANE");
    found
}

/// A real control plane of its own, for what would disturb other tests. None if it was not asked for.
pub(crate) async fn own_control_plane(test: &str) -> Option<(Arc<ControlPlane>, TestCluster)> {
    if !wants_real(test) {
        return None;
    }
    let plane = Arc::new(ControlPlane::start());
    let cluster = real(Arc::clone(&plane), test).await;
    Some((plane, cluster))
}

pub(crate) fn chosen(sort: &str) -> bool {
    std::env::var_os("ROPEWAY_TEST_CLUSTERS").is_none_or(|chosen| chosen == "both" || chosen == sort)
}

/// The shared real control plane with a fresh namespace. None if it was not asked for.
pub(crate) async fn real_cluster(test: &str) -> Option<TestCluster> {
    if !wants_real(test) {
        return None;
    }
    Some(real(shared_control_plane(), test).await)
}

/// Whether a test runs against a real control plane. One that was asked for and is not there is noted.
fn wants_real(test: &str) -> bool {
    if !chosen("real") {
        return false;
    }
    let there = executable().is_some();
    if !there {
        skip(&format!("ropeway-clusters {test}"), "ROPEWAY_TEST_CONTROLPLANE names no control plane");
    }
    there
}

/// Notes that a test is skipped, for the last lines of the test command. In continuous integration it fails.
fn skip(test: &str, reason: &str) {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    assert!(variable("CI").is_none(), "{test} is skipped, which must not be here: {reason}");
    eprintln!("skipped: {test}: {reason}");
    if let Some(path) = variable("ROPEWAY_TEST_SKIPPED") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        let written = file.and_then(|mut file| writeln!(file, "{test}: {reason}"));
        written.expect("the list of skipped tests can be written");
    }
}

async fn real(plane: Arc<ControlPlane>, test: &str) -> TestCluster {
    let kubeconfig = plane.kubeconfig.clone();
    TestCluster::new(kubeconfig, test, plane).await
}

fn executable() -> Option<PathBuf> {
    std::env::var_os("ROPEWAY_TEST_CONTROLPLANE").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// One control plane serves all tests that run at the same time, and ends with the last of them.
fn shared_control_plane() -> Arc<ControlPlane> {
    let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(plane) = shared.upgrade() {
        return plane;
    }
    let plane = Arc::new(ControlPlane::start());
    *shared = Arc::downgrade(&plane);
    plane
}

impl ControlPlane {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let mut child = Command::new(executable().expect("path of the control plane"))
            .args(["up", "--trust", "--delay", "50ms", "--data"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the control plane starts");
        let input = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("output")).read_line(&mut line).expect("its first line");
        let started: Value = serde_json::from_str(&line).expect("the control plane tells where it is");
        let path = started["kubeconfig"].as_str().expect("path of the kubeconfig");
        let kubeconfig = inline(&std::fs::read_to_string(path).expect("kubeconfig"));
        let pids = PathBuf::from(started["pids"].as_str().expect("folder of the process ids"));
        Self { child, input, _folder: folder, pids, kubeconfig }
    }

    /// Ends the API server as a crash would; it is started again by its supervisor.
    pub(crate) fn kill_api_server(&self) {
        let pid = std::fs::read_to_string(self.pids.join("kube-apiserver.pid")).expect("pid");
        let killed = Command::new("kill").args(["-9", pid.trim()]).status().expect("kill");
        assert!(killed.success());
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ended = self.child.wait();
    }
}

/// Puts the content of files that a kubeconfig names into it.
fn inline(text: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let line_of = |line: &str| {
        let named = ["certificate-authority", "client-certificate", "client-key"].iter().find_map(|key| {
            let at = line.find(&format!("{key}: "))?;
            Some((*key, &line[..at], line[at + key.len() + 2..].trim().trim_matches(['"', '\''])))
        });
        let Some((key, before, path)) = named else { return line.to_owned() };
        let content = STANDARD.encode(std::fs::read(path).expect("file of the kubeconfig"));
        format!("{before}{key}-data: {content}")
    };
    let inlined: Vec<String> = text.lines().map(line_of).collect();
    inlined.join("\n")
}

impl TestCluster {
    pub(crate) async fn new(kubeconfig: String, test: &str, alive: Arc<dyn Any + Send + Sync>) -> Self {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let access = Access::new(kubeconfig.clone(), None);
        let cluster = Cluster::connect("test", &access, Limits::default(), Clock::system()).await.expect("connect");
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("{test}-{}-{number}", std::process::id());
        cluster.ensure_namespace(&namespace, &[].into()).await.expect("namespace");
        Self { cluster, namespace, kubeconfig, _alive: alive }
    }

    /// How our own objects are applied.
    pub(crate) fn options(&self, known_uid: Option<&str>) -> ApplyOptions {
        ApplyOptions {
            scope: Scope::namespace(&self.namespace),
            dry_run: false,
            force: false,
            owner: OwnerCheck {
                application: APPLICATION.into(),
                known_uid: known_uid.map(str::to_owned),
                may_create: known_uid.is_none(),
            },
        }
    }

    /// An object of the test's namespace that carries our label.
    pub(crate) fn object(&self, api_version: &str, kind: &str, name: &str, rest: &Value) -> Value {
        let mut object = json!({
            "apiVersion": api_version, "kind": kind,
            "metadata": {"name": name, "namespace": self.namespace, "labels": {labels::APPLICATION: APPLICATION}},
        });
        for (key, value) in rest.as_object().expect("an object") {
            object[key] = value.clone();
        }
        object
    }

    pub(crate) fn config_map(&self, name: &str, data: &[(&str, &str)]) -> Value {
        let data: serde_json::Map<String, Value> =
            data.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
        self.object("v1", "ConfigMap", name, &json!({"data": data}))
    }

    /// A Deployment, whose pods stay in a state of failure where one is given.
    pub(crate) fn deployment(&self, name: &str, replicas: u32, fault: Option<&str>) -> Value {
        let mut deployment = self.object(
            "apps/v1",
            "Deployment",
            name,
            &json!({"spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [{"name": "main", "image": "registry.example/web:1"}]},
                },
            }}),
        );
        if let Some(fault) = fault {
            let annotations = json!({"controlplane.test/fault": fault, "playground.ropeway.dev/fault": fault});
            deployment["spec"]["template"]["metadata"]["annotations"] = annotations;
        }
        deployment
    }

    pub(crate) fn reference(&self, api_version: &str, kind: &str, name: &str) -> ObjectRef {
        ObjectRef::namespaced(api_version, kind, &self.namespace, name)
    }

    /// The same cluster for a service account without any permission.
    pub(crate) async fn powerless(&self) -> Cluster {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await, &self.namespace);
        let account: ServiceAccount =
            serde_json::from_value(json!({"metadata": {"name": "powerless"}})).expect("account");
        accounts.create(&PostParams::default(), &account).await.expect("account");
        let request: TokenRequest = serde_json::from_value(json!({"spec": {"audiences": []}})).expect("request");
        let token = accounts.create_token_request("powerless", &PostParams::default(), &request).await.expect("token");
        let mut config = Kubeconfig::from_yaml(&self.kubeconfig).expect("kubeconfig");
        for named in &mut config.auth_infos {
            let token = token.status.as_ref().expect("status").token.clone();
            named.auth_info = serde_json::from_value(json!({"token": token})).expect("user");
        }
        let access = Access::new(serde_json::to_string(&config).expect("kubeconfig"), None);
        Cluster::connect("powerless", &access, Limits::default(), Clock::system()).await.expect("connect")
    }

    /// The cluster as others use it.
    pub(crate) async fn others(&self, api_version: &str, kind: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client().await, &self.namespace, &resource)
    }

    async fn client(&self) -> Client {
        let config = Kubeconfig::from_yaml(&self.kubeconfig).expect("kubeconfig");
        let mut config =
            kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await.expect("config");
        config.proxy_url = None;
        Client::try_from(config).expect("client")
    }

    /// Somebody else applies an object with a field manager of their own.
    pub(crate) async fn applied_by(&self, manager: &str, object: &Value) {
        let api = self.others(text(object, "/apiVersion"), text(object, "/kind")).await;
        let how = PatchParams::apply(manager).force();
        api.patch(text(object, "/metadata/name"), &how, &Patch::Apply(object)).await.expect("applied by others");
    }

    /// Somebody else makes an object.
    pub(crate) async fn created_by_others(&self, object: &Value) {
        let api = self.others(text(object, "/apiVersion"), text(object, "/kind")).await;
        let object = serde_json::from_value(object.clone()).expect("object");
        api.create(&PostParams::default(), &object).await.expect("created by others");
    }

    /// Waits until an object is as it should be.
    pub(crate) async fn until(&self, reference: &ObjectRef, what: impl Fn(Option<&Value>) -> bool) {
        let watch = ropeway_clusters::Watch {
            references: vec![reference.clone()],
            namespace: self.namespace.clone(),
            selector: None,
            details: false,
        };
        let judge = |seen: Arc<[ropeway_clusters::Observed]>| {
            let done = what(seen[0].object.as_ref());
            async move {
                if done {
                    ropeway_clusters::Verdict::Done(())
                } else {
                    ropeway_clusters::Verdict::Continue("not yet".into())
                }
            }
        };
        self.cluster.watch_until(&watch, soon(30), judge).await.expect("the state that the test waits for");
    }
}

/// So many seconds from now.
pub(crate) fn soon(seconds: u64) -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs(seconds)
}

pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
