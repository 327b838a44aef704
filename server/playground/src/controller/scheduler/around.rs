//! What a pod finds: the nodes, and the pods that are on them.

use serde_json::Value;

use crate::kind::Kind;
use crate::object::{label, name, text};
use crate::store::{Object, State};

/// The nodes of a cluster and the pods that have one.
pub(super) struct Around {
    /// All nodes.
    pub(super) nodes: Vec<Object>,
    /// The pods that are on a node and not at their end.
    pub(super) pods: Vec<Object>,
    /// All namespaces.
    pub(super) namespaces: Vec<Object>,
}

impl Around {
    /// Looks around.
    pub(super) fn of(state: &State) -> Self {
        let mut pods = state.list(Kind::Pod, None);
        pods.retain(|pod| {
            !text(pod, "/spec/nodeName").is_empty() && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
        });
        Self { nodes: state.list(Kind::Node, None), pods, namespaces: state.list(Kind::Namespace, None) }
    }

    /// The pods on a node.
    pub(super) fn on(&self, node: &Value) -> impl Iterator<Item = &Object> {
        self.pods.iter().filter(move |pod| pod["spec"]["nodeName"] == node["metadata"]["name"])
    }

    /// How many pods are on a node.
    pub(super) fn load(&self, node: &Value) -> usize {
        self.on(node).count()
    }

    /// The node of a pod.
    pub(super) fn node_of(&self, pod: &Value) -> Option<&Object> {
        self.nodes.iter().find(|node| name(node) == text(pod, "/spec/nodeName"))
    }

    /// Where a pod is in a topology, empty where its node is in no part of it.
    pub(super) fn place<'a>(&'a self, pod: &Value, topology: &str) -> &'a str {
        self.node_of(pod).map_or("", |node| label(node, topology))
    }
}
