//! Clusters to test with.

mod control_plane;

pub use control_plane::ControlPlane;

use crate::environment;
use anyhow::Context as _;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{Namespace, Secret},
};
use kube::{
    Api, Client, Config,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use ropeway_playground::{Options, Playground};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};
use tokio::sync::Mutex as AsyncMutex;

/// A cluster.
pub struct TestCluster {
    /// Under which it is registered.
    pub name: String,
    /// How it is reached.
    pub kubeconfig: String,
    /// It, where it is an embedded one.
    pub playground: Option<Playground>,
    _plane: Option<Arc<ControlPlane>>,
}

/// The control planes that tests share, while one of them runs.
static SHARED: Mutex<[Weak<ControlPlane>; 2]> = Mutex::new([Weak::new(), Weak::new()]);
/// Two tests do not start them at the same time.
static STARTING: AsyncMutex<()> = AsyncMutex::const_new(());

impl TestCluster {
    /// An embedded cluster of this test's own, with nodes of one architecture.
    pub async fn playground(name: &str) -> anyhow::Result<Self> {
        Self::playground_with(Options::new(name, "token-of-a-test")).await
    }

    /// An embedded cluster as described.
    pub async fn playground_with(options: Options) -> anyhow::Result<Self> {
        ropeway::process::install_tls();
        let name = options.name.clone();
        let playground = Playground::start(options).await?;
        Ok(Self { name, kubeconfig: playground.kubeconfig(), playground: Some(playground), _plane: None })
    }

    /// Two embedded clusters.
    pub async fn two_playgrounds() -> anyhow::Result<[Self; 2]> {
        Ok([Self::playground("alibaba-hangzhou").await?, Self::playground("tencent-guangzhou").await?])
    }

    /// The two real control planes that tests share; none where there is no executable for them. A test uses namespaces
    /// of its own.
    pub async fn two_real() -> anyhow::Result<Option<[Self; 2]>> {
        let Some(executable) = environment::control_plane() else { return Ok(None) };
        let _starting = STARTING.lock().await;
        let mut both = Vec::new();
        for place in 0..2 {
            let running = SHARED.lock().unwrap_or_else(PoisonError::into_inner)[place].upgrade();
            let plane = match running {
                Some(plane) => plane,
                None => {
                    let name = format!("real-{place}");
                    let executable = executable.clone();
                    let plane = tokio::task::spawn_blocking(move || ControlPlane::start(&executable, &name)).await??;
                    let plane = Arc::new(plane);
                    SHARED.lock().unwrap_or_else(PoisonError::into_inner)[place] = Arc::downgrade(&plane);
                    plane
                }
            };
            both.push(Self {
                name: plane.name.clone(),
                kubeconfig: plane.kubeconfig.clone(),
                playground: None,
                _plane: Some(plane),
            });
        }
        Ok(<[Self; 2]>::try_from(both).ok())
    }

    /// A client of it, to look at it without the server.
    pub async fn client(&self) -> anyhow::Result<Client> {
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig).context("reading a kubeconfig")?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }

    /// Whether it has a namespace.
    pub async fn has_namespace(&self, name: &str) -> anyhow::Result<bool> {
        Ok(Api::<Namespace>::all(self.client().await?).get_opt(name).await?.is_some())
    }

    /// The workloads of a namespace: by name, the images of their containers, and whether all of their replicas are
    /// ready.
    pub async fn workloads(&self, namespace: &str) -> anyhow::Result<BTreeMap<String, Workload>> {
        let client = self.client().await?;
        let all = ListParams::default();
        let mut found = BTreeMap::new();
        for one in Api::<Deployment>::namespaced(client.clone(), namespace).list(&all).await? {
            let spec = one.spec;
            let ready = one.status.and_then(|status| status.ready_replicas).unwrap_or(0);
            let pod = spec.template.spec.unwrap_or_default();
            let workload = Workload {
                uid: one.metadata.uid.unwrap_or_default(),
                images: pod.containers.into_iter().filter_map(|container| container.image).collect(),
                is_ready: ready == spec.replicas.unwrap_or(1),
                replicas: ready,
            };
            found.insert(one.metadata.name.unwrap_or_default(), workload);
        }
        for one in Api::<StatefulSet>::namespaced(client, namespace).list(&all).await? {
            let spec = one.spec;
            let ready = one.status.and_then(|status| status.ready_replicas).unwrap_or(0);
            let pod = spec.template.spec.unwrap_or_default();
            let workload = Workload {
                uid: one.metadata.uid.unwrap_or_default(),
                images: pod.containers.into_iter().filter_map(|container| container.image).collect(),
                is_ready: ready == spec.replicas.unwrap_or(1),
                replicas: ready,
            };
            found.insert(one.metadata.name.unwrap_or_default(), workload);
        }
        Ok(found)
    }

    /// The values of the Secrets of a namespace but for those with which images are pulled.
    pub async fn secret_values(&self, namespace: &str) -> anyhow::Result<Vec<String>> {
        let secrets = Api::<Secret>::namespaced(self.client().await?, namespace).list(&ListParams::default()).await?;
        let secrets = secrets.into_iter().filter(|secret| secret.type_.as_deref() == Some("Opaque"));
        let values = secrets.flat_map(|secret| secret.data.unwrap_or_default().into_values());
        Ok(values.map(|value| String::from_utf8_lossy(&value.0).into_owned()).collect())
    }
}

/// A Deployment or a StatefulSet, as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Which object it is.
    pub uid: String,
    /// Of its containers.
    pub images: Vec<String>,
    /// Whether as many replicas are ready as are wanted.
    pub is_ready: bool,
    /// How many are ready.
    pub replicas: i32,
}
