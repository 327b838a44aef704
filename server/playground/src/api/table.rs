//! Tables: what `kubectl get` shows.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::clock;
use crate::kind::Kind;
use crate::object::{annotation, at, deleting, items, name, number, text};

/// The objects as a table, with their metadata in each row.
pub(crate) fn of(kind: Kind, objects: &[Value], metadata: &Value) -> Value {
    let names = columns(kind);
    let columns: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(index, (column, wide))| {
            let format = if index == 0 { "name" } else { "" };
            json!({"name": column, "type": "string", "format": format, "description": "", "priority": i32::from(*wide)})
        })
        .collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells: Vec<Value> = names.iter().map(|(column, _)| json!(cell(kind, column, object))).collect();
            let mut metadata = object["metadata"].clone();
            if let Some(fields) = metadata.as_object_mut() {
                fields.remove("managedFields");
            }
            let partial =
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata});
            json!({"cells": cells, "object": partial})
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": columns, "rows": rows,
    })
}

/// The columns of a kind, and whether only `-o wide` shows them.
fn columns(kind: Kind) -> Vec<(&'static str, bool)> {
    let names: &[&str] = match kind {
        Kind::Pod => &["Name", "Ready", "Status", "Restarts", "Age"],
        Kind::Deployment => &["Name", "Ready", "Up-to-date", "Available", "Age"],
        Kind::ReplicaSet => &["Name", "Desired", "Current", "Ready", "Age"],
        Kind::StatefulSet => &["Name", "Ready", "Age"],
        Kind::Job => &["Name", "Status", "Completions", "Age"],
        Kind::Service => &["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age"],
        Kind::Namespace => &["Name", "Status", "Age"],
        Kind::Node => &["Name", "Status", "Age", "Version"],
        Kind::PersistentVolumeClaim => &["Name", "Status", "Volume", "Capacity", "Access Modes", "StorageClass", "Age"],
        Kind::PersistentVolume => &["Name", "Capacity", "Access Modes", "Status", "Claim", "StorageClass", "Age"],
        Kind::StorageClass => &["Name", "Provisioner", "VolumeBindingMode", "AllowVolumeExpansion", "Age"],
        Kind::Event => &["Last Seen", "Type", "Reason", "Object", "Message"],
        Kind::ConfigMap => &["Name", "Data", "Age"],
        Kind::Secret => &["Name", "Type", "Data", "Age"],
        _ => &["Name", "Age"],
    };
    let wide: &[&str] = match kind {
        Kind::Pod => &["IP", "Node"],
        Kind::Deployment | Kind::ReplicaSet => &["Images"],
        _ => &[],
    };
    names.iter().map(|name| (*name, false)).chain(wide.iter().map(|name| (*name, true))).collect()
}

fn cell(kind: Kind, column: &str, object: &Value) -> String {
    let part = |ready: &str, all: &str| format!("{}/{}", number(object, ready), number(object, all));
    match (kind, column) {
        (_, "Name") => name(object).to_owned(),
        (_, "Age") => age(text(object, "/metadata/creationTimestamp")),
        (Kind::Pod, "Ready") => {
            let all = items(object, "/spec/containers").len();
            let ready = items(object, "/status/containerStatuses").iter().filter(|one| one["ready"] == true).count();
            format!("{ready}/{all}")
        }
        (Kind::Pod, "Status") => pod_status(object),
        (Kind::Pod, "Restarts") => items(object, "/status/containerStatuses")
            .iter()
            .map(|one| number(one, "/restartCount"))
            .sum::<i64>()
            .to_string(),
        (Kind::Pod, "IP") => or_none(text(object, "/status/podIP")),
        (Kind::Pod, "Node") => or_none(text(object, "/spec/nodeName")),
        (Kind::Deployment | Kind::StatefulSet, "Ready") => part("/status/readyReplicas", "/spec/replicas"),
        (Kind::Deployment, "Up-to-date") => number(object, "/status/updatedReplicas").to_string(),
        (Kind::Deployment, "Available") => number(object, "/status/availableReplicas").to_string(),
        (Kind::ReplicaSet, "Desired") => number(object, "/spec/replicas").to_string(),
        (Kind::ReplicaSet, "Current") => number(object, "/status/replicas").to_string(),
        (Kind::ReplicaSet, "Ready") => number(object, "/status/readyReplicas").to_string(),
        (_, "Images") => {
            let containers = items(object, "/spec/template/spec/containers").iter();
            containers.map(|one| text(one, "/image")).collect::<Vec<_>>().join(",")
        }
        (Kind::Job, "Status") => ["Complete", "Failed"]
            .into_iter()
            .find(|kind| crate::object::is_condition(object, kind))
            .unwrap_or("Running")
            .to_owned(),
        (Kind::Job, "Completions") => part("/status/succeeded", "/spec/completions"),
        (Kind::Service, "Type") => text(object, "/spec/type").to_owned(),
        (Kind::Service, "Cluster-IP") => or_none(text(object, "/spec/clusterIP")),
        (Kind::Service, "External-IP") => or_none(text(object, "/status/loadBalancer/ingress/0/ip")),
        (Kind::Service, "Port(s)") => items(object, "/spec/ports")
            .iter()
            .map(|port| format!("{}/{}", port["port"], text(port, "/protocol")))
            .collect::<Vec<_>>()
            .join(","),
        (Kind::Node, "Status") => {
            if crate::object::is_condition(object, "Ready") { "Ready" } else { "NotReady" }.to_owned()
        }
        (Kind::Node, "Version") => text(object, "/status/nodeInfo/kubeletVersion").to_owned(),
        (_, "Status") if deleting(object) => "Terminating".to_owned(),
        (_, "Status") => text(object, "/status/phase").to_owned(),
        (Kind::PersistentVolumeClaim, "Volume") => text(object, "/spec/volumeName").to_owned(),
        (Kind::PersistentVolumeClaim, "Capacity") => text(object, "/status/capacity/storage").to_owned(),
        (Kind::PersistentVolume, "Capacity") => text(object, "/spec/capacity/storage").to_owned(),
        (Kind::PersistentVolume, "Claim") => {
            format!("{}/{}", text(object, "/spec/claimRef/namespace"), text(object, "/spec/claimRef/name"))
        }
        (_, "Access Modes") => items(object, "/spec/accessModes")
            .iter()
            .map(|mode| match mode.as_str() {
                Some("ReadWriteOnce") => "RWO",
                Some("ReadWriteMany") => "RWX",
                Some("ReadOnlyMany") => "ROX",
                _ => "RWOP",
            })
            .collect::<Vec<_>>()
            .join(","),
        (_, "StorageClass") => text(object, "/spec/storageClassName").to_owned(),
        (Kind::StorageClass, "Provisioner") => {
            let default = annotation(object, crate::admission::DEFAULT_CLASS) == "true";
            format!("{}{}", text(object, "/provisioner"), if default { " (default)" } else { "" })
        }
        (Kind::StorageClass, "VolumeBindingMode") => text(object, "/volumeBindingMode").to_owned(),
        (Kind::StorageClass, "AllowVolumeExpansion") => (object["allowVolumeExpansion"] == true).to_string(),
        (Kind::Event, "Last Seen") => age(text(object, "/lastTimestamp")),
        (Kind::Event | Kind::Secret, "Type") => text(object, "/type").to_owned(),
        (Kind::Event, "Reason") => text(object, "/reason").to_owned(),
        (Kind::Event, "Object") => {
            format!("{}/{}", text(object, "/involvedObject/kind").to_lowercase(), text(object, "/involvedObject/name"))
        }
        (Kind::Event, "Message") => text(object, "/message").to_owned(),
        (_, "Data") => at(object, "/data").as_object().map_or(0, serde_json::Map::len).to_string(),
        _ => String::new(),
    }
}

fn pod_status(pod: &Value) -> String {
    if deleting(pod) {
        return "Terminating".to_owned();
    }
    let reason = items(pod, "/status/containerStatuses").iter().find_map(|one| {
        let waiting = one["state"]["waiting"]["reason"].as_str();
        waiting.or_else(|| one["state"]["terminated"]["reason"].as_str())
    });
    reason.unwrap_or_else(|| text(pod, "/status/phase")).to_owned()
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "<none>".to_owned() } else { text.to_owned() }
}

fn age(since: &str) -> String {
    let Ok(since) = since.parse::<DateTime<Utc>>() else { return "<unknown>".to_owned() };
    let seconds = (clock::now() - since).num_seconds().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}
