//! Connections to clusters, and the drivers that know them.

use crate::{
    app::App,
    config::ClustersConfig,
    error::{Error, Result},
    id::{ClusterId, EnterpriseId},
    seal::Secret,
    store::{
        self,
        cluster::{Cluster as Row, ClusterStatus, Sighting},
    },
};
use ropeway_clusters::{Access, Clock as BreakerClock, Cluster, ClusterFacts, Limits};
use ropeway_domain::{
    SecretId,
    preflight::{self, LibraryReach},
};
use ropeway_drivers::{Driver, Engine, Limits as DriverLimits, Target};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Connections to clusters, made when they are first needed, and drivers by their name.
pub struct Clusters {
    limits: Limits,
    drivers: BTreeMap<String, Driver>,
    open: Mutex<HashMap<ClusterId, (i64, Cluster)>>,
}

/// A cluster, as a service sees it.
pub struct Reached {
    /// Its row.
    pub row: Row,
    /// The connection to it.
    pub cluster: Cluster,
    /// The driver that knows it.
    pub driver: Driver,
}

impl Clusters {
    /// Compiles the drivers that are part of the product.
    pub async fn new(config: &ClustersConfig) -> anyhow::Result<Self> {
        let engine = Engine::new(DriverLimits::default())?;
        let kubernetes = Driver::built_in(&engine).await?;
        let request_timeout = Duration::from_secs(config.request_seconds);
        let limits = Limits {
            concurrent_requests: config.concurrent_requests,
            request_timeout,
            call_budget: request_timeout * 3,
            ..Limits::default()
        };
        let drivers = BTreeMap::from([(kubernetes.id().to_owned(), kubernetes)]);
        Ok(Self { limits, drivers, open: Mutex::default() })
    }

    /// The driver with this name.
    pub fn driver(&self, name: &str) -> Option<&Driver> {
        self.drivers.get(name)
    }

    /// All drivers.
    pub fn drivers(&self) -> impl Iterator<Item = &Driver> {
        self.drivers.values()
    }

    /// A connection that is not kept, to try a kubeconfig. Nothing is sent before the first call.
    pub async fn connect(
        &self,
        name: &str,
        kubeconfig: &Secret,
        context: Option<String>,
    ) -> Result<Cluster, ropeway_clusters::Error> {
        let access = Access::new(kubeconfig.expose(), context);
        Cluster::connect(name, &access, self.limits.clone(), BreakerClock::system()).await
    }

    fn kept(&self, row: &Row) -> Option<Cluster> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&row.id).filter(|(generation, _)| *generation == row.generation).map(|(_, cluster)| cluster.clone())
    }

    fn keep(&self, row: &Row, cluster: &Cluster) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(row.id, (row.generation, cluster.clone()));
    }
}

impl App {
    /// The connection to a cluster.
    pub async fn cluster(&self, id: ClusterId) -> Result<Cluster> {
        Ok(self.reach(id).await?.cluster)
    }

    /// A cluster's row, the connection to it and its driver.
    pub async fn reach(&self, id: ClusterId) -> Result<Reached> {
        let mut conn = self.database.read().await?;
        let row = store::cluster::find(&mut conn, id).await?.ok_or(Error::NotFound("the cluster"))?;
        let driver_row = store::driver::by_ids(&mut conn, &[row.driver_id]).await?.pop();
        let name = driver_row.map(|driver| driver.name).unwrap_or_default();
        let driver = self.clusters.driver(&name).cloned().ok_or_else(|| {
            Error::unavailable(format!("the driver {name} of the cluster {} is not loaded", row.name))
        })?;
        if let Some(cluster) = self.clusters.kept(&row) {
            return Ok(Reached { row, cluster, driver });
        }
        let kubeconfig = self.unseal(&mut conn, row.enterprise_id, row.kubeconfig.0).await?;
        drop(conn);
        let cluster = self
            .clusters
            .connect(&row.name, &kubeconfig, row.context.clone())
            .await
            .map_err(|error| cluster_error(&row.name, error))?;
        self.clusters.keep(&row, &cluster);
        Ok(Reached { row, cluster, driver })
    }

    /// The value of a sealed secret of an enterprise.
    pub async fn unseal(&self, conn: &mut store::Conn, enterprise: EnterpriseId, id: SecretId) -> Result<Secret> {
        let row = store::sealed_value::by_ids(conn, enterprise, &[id]).await?.pop();
        let row = row.ok_or_else(|| Error::internal(format!("the sealed value {id} is missing")))?;
        Ok(row.open(&self.sealer)?)
    }

    /// Seals a value under an id that a plan drew, within the caller's transaction.
    pub async fn seal(
        &self,
        conn: &mut store::Conn,
        enterprise: EnterpriseId,
        id: SecretId,
        value: &Secret,
    ) -> Result<()> {
        let row = store::sealed_value::SealedValue {
            id: store::Key(id),
            enterprise_id: enterprise,
            ciphertext: self.sealer.seal(id.0.as_bytes(), value)?,
            created_at: self.clock.now(),
        };
        store::sealed_value::insert(conn, &row).await?;
        Ok(())
    }

    /// Asks a cluster what it is.
    pub async fn sight(&self, row: &Row, cluster: &Cluster) -> Sighting {
        let found = cluster.probe().await;
        let at = self.clock.now();
        match found {
            _ if row.maintenance => {
                Sighting { status: ClusterStatus::Maintenance, message: None, facts: found.ok(), at }
            }
            Ok(facts) => {
                let message = weakness(&facts);
                let status = if message.is_some() { ClusterStatus::Degraded } else { ClusterStatus::Online };
                Sighting { status, message, facts: Some(facts), at }
            }
            Err(error) => {
                Sighting { status: ClusterStatus::Offline, message: Some(error.to_string()), facts: None, at }
            }
        }
    }
}

impl Reached {
    /// What the driver is told of the cluster, for one namespace.
    pub fn target(&self, namespace: &str) -> Target {
        let facts = self.row.facts.as_ref().map(|facts| &facts.0);
        Target {
            cluster: self.row.name.clone(),
            namespace: namespace.to_owned(),
            kubernetes_version: facts.map(|facts| facts.version.clone()).unwrap_or_default(),
            api_resources: facts.map(|facts| facts.api_resources.iter().cloned().collect()).unwrap_or_default(),
            storage_classes: facts
                .and_then(|facts| facts.storage_classes.as_ref())
                .map(|classes| classes.iter().map(|class| class.raw.clone()).collect())
                .unwrap_or_default(),
            config: self.row.config.0.clone(),
        }
    }

    /// What preflight is told of the cluster.
    pub fn facts(&self, library: LibraryReach) -> preflight::ClusterFacts {
        let mut known = preflight::ClusterFacts {
            name: self.row.display_name.clone(),
            features: self.driver.features().iter().cloned().collect(),
            library,
            ..preflight::ClusterFacts::default()
        };
        if let Some(facts) = self.row.facts.as_ref().map(|facts| &facts.0) {
            known.kubernetes_version.clone_from(&facts.git_version);
            known.architectures.clone_from(&facts.architectures);
            known.api_resources.clone_from(&facts.api_resources);
            known.free_memory = facts.nodes.as_ref().and_then(free_memory);
            let classes = facts.storage_classes.as_ref();
            known.storage_classes = classes.map(|classes| classes.iter().map(|class| class.name.clone()).collect());
        }
        known
    }
}

/// An error of a cluster, for the caller of a service.
pub fn cluster_error(name: &str, error: ropeway_clusters::Error) -> Error {
    Error::Unavailable { message: format!("the cluster {name}: {error}"), source: Some(error.into()) }
}

fn weakness(facts: &ClusterFacts) -> Option<String> {
    if !facts.unavailable_apis.is_empty() {
        let some: BTreeSet<_> = facts.unavailable_apis.iter().take(5).cloned().collect();
        return Some(format!("these APIs are registered and do not answer: {}", Vec::from_iter(some).join(", ")));
    }
    facts
        .nodes
        .as_ref()
        .filter(|nodes| nodes.ready == 0)
        .map(|nodes| format!("none of its {} nodes is ready", nodes.total))
}

fn free_memory(nodes: &ropeway_clusters::NodeTotals) -> Option<u64> {
    Some(nodes.allocatable_memory_bytes.saturating_sub(nodes.requested_memory_bytes?))
}
