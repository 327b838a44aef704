//! What every cluster has from its start: namespaces, nodes, storage classes, the API's own service.

use serde_json::json;

use crate::clock;
use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::status::Status;
use crate::store::{Key, State};
use crate::write::{Part, Writer, change, create};

/// The provisioner of disks, which have one writer.
pub(crate) const DISK: &str = "disk.playground.ropeway.dev";
/// The provisioner of shared files.
pub(crate) const FILES: &str = "files.playground.ropeway.dev";
/// The parameter of a storage class below which claims are refused.
pub(crate) const MINIMUM: &str = "minimum";

/// Makes the first objects.
pub(crate) fn seed(cluster: &Cluster) -> Result<(), Status> {
    cluster.store.write(|state| {
        let writer = Writer::controller("kube-apiserver");
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            create(state, Kind::Namespace, "", body, &writer)?;
            super::namespace::furnish(state, name)?;
        }
        classes(state, &writer)?;
        for node in &cluster.options.nodes {
            let body = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node.name, "labels": {
                "kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": node.architecture,
                "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": node.architecture,
                "topology.kubernetes.io/region": "region-0", "topology.kubernetes.io/zone": node.zone,
            }}});
            create(state, Kind::Node, "", body, &writer)?;
            let (major, minor) = cluster.options.kubernetes_version;
            let room = json!({"cpu": "64", "memory": "256Gi", "pods": "5k", "ephemeral-storage": "1Ti"});
            let now = clock::timestamp();
            let status = json!({
                "capacity": room, "allocatable": room,
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady",
                    "message": "kubelet is posting ready status", "lastHeartbeatTime": now, "lastTransitionTime": now}],
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": node.name}],
                "nodeInfo": {"operatingSystem": "linux", "architecture": node.architecture,
                    "kubeletVersion": format!("v{major}.{minor}.0+playground"), "osImage": "playground",
                    "containerRuntimeVersion": "playground://1", "kernelVersion": "", "kubeProxyVersion": "",
                    "machineID": "", "systemUUID": "", "bootID": ""},
            });
            change(state, &Key::new(Kind::Node, "", &node.name), Part::Status, &writer, |node| {
                let mut node = node.clone();
                node["status"] = status;
                Ok(node)
            })?;
        }
        let body = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443, "targetPort": 6443}]},
        });
        create(state, Kind::Service, "default", body, &writer)?;
        Ok(())
    })
}

fn classes(state: &mut State, writer: &Writer) -> Result<(), Status> {
    let disk = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": "disk", "annotations": {crate::admission::DEFAULT_CLASS: "true"}},
        "provisioner": DISK, "parameters": {MINIMUM: "1Gi"}, "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": true,
    });
    let files = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "files"},
        "provisioner": FILES, "volumeBindingMode": "Immediate", "allowVolumeExpansion": true,
    });
    for class in [disk, files] {
        create(state, Kind::StorageClass, "", class, writer)?;
    }
    Ok(())
}
