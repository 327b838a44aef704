//! What a cluster is and has: asked when it is registered, and again from time to time.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Cluster, Error, Kind, Resource, cluster::Ask, object::strip_managed_fields, quantity};

/// More nodes or classes than this are not read.
const MAX_NODES: usize = 10_000;
const MAX_CLASSES: usize = 500;

/// Extensions that change what an application can use, and the API by which each is recognised.
const CAPABILITIES: [(&str, &str); 8] = [
    ("autoscaling", "autoscaling/v2/HorizontalPodAutoscaler"),
    ("ingress", "networking.k8s.io/v1/Ingress"),
    ("network-policy", "networking.k8s.io/v1/NetworkPolicy"),
    ("gateway", "gateway.networking.k8s.io/v1/Gateway"),
    ("metrics", "metrics.k8s.io/v1beta1/PodMetrics"),
    ("volume-snapshots", "snapshot.storage.k8s.io/v1/VolumeSnapshot"),
    ("pod-disruption-budget", "policy/v1/PodDisruptionBudget"),
    ("cron-jobs", "batch/v1/CronJob"),
];

/// What is known about a cluster. What the credentials may not read is empty or None, never guessed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterFacts {
    /// Major and minor version, for example `1.36`.
    pub version: String,
    /// The full version, for example `v1.36.3`.
    pub git_version: String,
    /// Architectures of the nodes that are ready, for example `amd64`.
    pub architectures: BTreeSet<String>,
    /// Zones of the nodes that are ready.
    pub zones: BTreeSet<String>,
    /// The nodes; None if they may not be read.
    pub nodes: Option<NodeTotals>,
    /// Storage classes, by name; None if they may not be read.
    pub storage_classes: Option<Vec<StorageClass>>,
    /// Ingress classes, by name.
    pub ingress_classes: Vec<String>,
    /// The ingress class that is used when none is named. Two defaults are none.
    pub default_ingress_class: Option<String>,
    /// All kinds, as `group/version/Kind`, the core group as `v1/Kind`.
    pub api_resources: BTreeSet<String>,
    /// API versions that are registered and did not answer.
    pub unavailable_apis: Vec<String>,
    /// For example `autoscaling`, `ingress`, `metrics`.
    pub capabilities: BTreeSet<String>,
}

/// Sums over nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeTotals {
    /// All nodes.
    pub total: usize,
    /// Nodes that are ready.
    pub ready: usize,
    /// Memory that pods can use on nodes that are ready and take pods, in bytes.
    pub allocatable_memory_bytes: u64,
    /// CPU that pods can use there, in thousandths.
    pub allocatable_cpu_millis: u64,
    /// Memory that the pods there reserve, in bytes, as it was at most some minutes ago; None if that is not known.
    pub requested_memory_bytes: Option<u64>,
    /// CPU that the pods there reserve, in thousandths, as it was at most some minutes ago; None if that is not known.
    pub requested_cpu_millis: Option<u64>,
}

/// A storage class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StorageClass {
    /// Its name.
    pub name: String,
    /// For example `diskplugin.csi.alibabacloud.com`.
    pub provisioner: String,
    /// Whether it is used when none is named.
    pub is_default: bool,
    /// Whether its volumes can grow.
    pub allows_growth: bool,
    /// Whether a volume is made only when a pod needs it.
    pub waits_for_first_consumer: bool,
    /// The object, for drivers.
    pub raw: Value,
}

impl Cluster {
    /// Asks a cluster what it is and has. Fails if it cannot be reached or refuses the credentials; what these
    /// credentials may not read is left out. What pods reserve is summed only every ten minutes, and a cluster in which
    /// that fails is none the worse for it.
    pub async fn probe(&self) -> Result<ClusterFacts, Error> {
        let version = self.ask(Ask::get("/version".into(), "the version")).await?.value;
        // The version needs no credentials, so ask something that does.
        let (resources, unavailable_apis) = self.discover().await?;
        let text = |key: &str| version.get(key).and_then(Value::as_str).unwrap_or_default();
        let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
        let (nodes, storage, ingress) = tokio::join!(
            self.readable(Kind::new("v1", "Node"), MAX_NODES),
            self.readable(Kind::new("storage.k8s.io/v1", "StorageClass"), MAX_CLASSES),
            self.readable(Kind::new("networking.k8s.io/v1", "IngressClass"), MAX_CLASSES),
        );
        let (nodes, storage, ingress) = (nodes?, storage?, ingress?.unwrap_or_default());
        let ready: Vec<&Value> = nodes.iter().flatten().filter(|node| is_ready(node)).collect();
        let labels_of = |names: &[&str]| -> BTreeSet<String> {
            let found = |node: &&Value| names.iter().find_map(|name| crate::label(node, name)).map(str::to_owned);
            ready.iter().filter_map(found).collect()
        };
        let mut totals = None;
        if let Some(nodes) = &nodes {
            totals = Some(self.totals(nodes.len(), &ready).await);
        }
        let api_resources: BTreeSet<String> = resources.iter().map(name_of).collect();
        let is_default = |object: &Value, key: &str| {
            object.pointer("/metadata/annotations").and_then(|all| all.get(key)).and_then(Value::as_str) == Some("true")
        };
        let default = "ingressclass.kubernetes.io/is-default-class";
        let defaults: Vec<&Value> = ingress.iter().filter(|class| is_default(class, default)).collect();
        let storage_classes = storage.map(|classes| {
            let mut classes: Vec<StorageClass> = classes.into_iter().map(storage_class).collect();
            classes.sort_by(|a, b| a.name.cmp(&b.name));
            classes
        });
        let mut ingress_classes: Vec<String> = ingress.iter().map(name).collect();
        ingress_classes.sort();
        Ok(ClusterFacts {
            version: format!("{}.{}", digits(text("major")), digits(text("minor"))),
            git_version: crate::error::bounded_to(text("gitVersion"), 100),
            architectures: labels_of(&["kubernetes.io/arch"]),
            zones: labels_of(&["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"]),
            nodes: totals,
            storage_classes,
            ingress_classes,
            default_ingress_class: match defaults.as_slice() {
                [one] => Some(name(one)),
                _ => None,
            },
            capabilities: CAPABILITIES
                .iter()
                .filter(|(_, api)| api_resources.contains(*api))
                .map(|(name, _)| (*name).to_owned())
                .collect(),
            api_resources,
            unavailable_apis,
        })
    }

    /// All objects of a kind, at most so many; None if they may not be read or the kind is not there.
    async fn readable(&self, kind: Kind, most: usize) -> Result<Option<Vec<Value>>, Error> {
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            match self.list_page(&kind, None, None, 500, after.as_deref()).await {
                Ok(page) => {
                    found.extend(page.items);
                    after = page.next;
                }
                Err(Error::Forbidden { .. } | Error::UnknownKind { .. }) => return Ok(None),
                Err(other) => return Err(other),
            }
            if after.is_none() || found.len() >= most {
                found.truncate(most);
                return Ok(Some(found));
            }
        }
    }

    async fn totals(&self, total: usize, ready: &[&Value]) -> NodeTotals {
        let mut totals = NodeTotals { total, ready: ready.len(), ..NodeTotals::default() };
        let mut counted = BTreeSet::new();
        for node in ready {
            if node.pointer("/spec/unschedulable").and_then(Value::as_bool) == Some(true) {
                continue;
            }
            counted.insert(name(node));
            let allocatable = |key: &str| node.pointer("/status/allocatable").and_then(|all| all.get(key)?.as_str());
            totals.allocatable_memory_bytes = totals
                .allocatable_memory_bytes
                .saturating_add(allocatable("memory").and_then(quantity::whole).unwrap_or(0));
            totals.allocatable_cpu_millis = totals
                .allocatable_cpu_millis
                .saturating_add(allocatable("cpu").and_then(quantity::millis).unwrap_or(0));
        }
        if let Some(reserved) = self.reserved(&counted).await {
            totals.requested_memory_bytes = Some(reserved.memory_bytes);
            totals.requested_cpu_millis = Some(reserved.cpu_millis);
        }
        totals
    }
}

fn is_ready(node: &Value) -> bool {
    node.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten().any(|condition| {
        condition.get("type").and_then(Value::as_str) == Some("Ready")
            && condition.get("status").and_then(Value::as_str) == Some("True")
    })
}

fn name(object: &Value) -> String {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn name_of(resource: &Resource) -> String {
    format!("{}/{}", resource.kind.api_version, resource.kind.kind)
}

fn storage_class(mut raw: Value) -> StorageClass {
    strip_managed_fields(&mut raw);
    let annotated = |key: &str| {
        raw.pointer("/metadata/annotations").and_then(|all| all.get(key)).and_then(Value::as_str) == Some("true")
    };
    StorageClass {
        name: name(&raw),
        provisioner: raw.get("provisioner").and_then(Value::as_str).unwrap_or_default().to_owned(),
        is_default: annotated("storageclass.kubernetes.io/is-default-class")
            || annotated("storageclass.beta.kubernetes.io/is-default-class"),
        allows_growth: raw.get("allowVolumeExpansion").and_then(Value::as_bool).unwrap_or(false),
        waits_for_first_consumer: raw.get("volumeBindingMode").and_then(Value::as_str) == Some("WaitForFirstConsumer"),
        raw,
    }
}
