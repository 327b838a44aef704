//! Pods and Kubernetes events, as a cluster has them.

use crate::connection;
use async_graphql::SimpleObject;
use chrono::{DateTime, Utc};
use serde_json::Value as Json;

/// A pod of a component.
#[derive(Debug, Clone, SimpleObject)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: String,
    /// Why it is not as wanted.
    pub reason: Option<String>,
    /// Where it runs.
    pub node: Option<String>,
    /// Whether it is ready.
    pub ready: bool,
    /// How often its containers were started again.
    pub restarts: i32,
    /// Its containers.
    pub containers: Vec<String>,
    /// When it was started.
    pub started_at: Option<DateTime<Utc>>,
}

/// An event, as Kubernetes reports it.
#[derive(Debug, Clone, SimpleObject)]
pub struct KubernetesEvent {
    /// Kind and name of the object that it is about.
    pub object: String,
    /// `Normal` or `Warning`.
    #[graphql(name = "type")]
    pub event_type: String,
    /// One word for programs.
    pub reason: String,
    /// For people.
    pub message: String,
    /// How often it was seen.
    pub count: i32,
    /// When it was seen last.
    pub last_seen_at: DateTime<Utc>,
    #[graphql(skip)]
    name: String,
}

connection! {
    /// A page of Kubernetes events.
    KubernetesEventConnection, KubernetesEventEdge, KubernetesEvent
}

impl KubernetesEvent {
    /// Its place in a list.
    pub fn place(&self) -> (String, String) {
        (self.last_seen_at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true), self.name.clone())
    }
}

/// Whether an event is about the objects of a component: those that are called after it, and its pods.
pub fn is_about(event: &Json, cluster_name: &str, pods: &[Pod]) -> bool {
    let involved =
        |field: &str| event.pointer(&format!("/involvedObject/{field}")).and_then(Json::as_str).unwrap_or_default();
    let (kind, name) = (involved("kind"), involved("name"));
    if name == cluster_name {
        return true;
    }
    let Some(suffix) = name.strip_prefix(cluster_name).and_then(|rest| rest.strip_prefix('-')) else { return false };
    match kind {
        "Pod" => pods.iter().any(|pod| pod.name == name) || is_pod_suffix(suffix),
        // Made by controllers: another component's name would have another dash, or be longer.
        "ReplicaSet" | "Job" => !suffix.contains('-') && suffix.len() <= 10,
        _ => false,
    }
}

/// `7d4b9c6f5b-x2x9k` of a Deployment, `0` of a StatefulSet.
fn is_pod_suffix(suffix: &str) -> bool {
    match suffix.split_once('-') {
        Some((set, pod)) => set.len() <= 10 && pod.len() == 5 && set.bytes().any(|b| b.is_ascii_digit()),
        None => suffix.bytes().all(|b| b.is_ascii_digit()),
    }
}

impl From<&Json> for Pod {
    fn from(pod: &Json) -> Self {
        let text = |pointer: &str| pod.pointer(pointer).and_then(Json::as_str).map(str::to_owned);
        let list = |pointer: &str| pod.pointer(pointer).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let statuses = || list("/status/initContainerStatuses").iter().chain(list("/status/containerStatuses"));
        let waiting = statuses().find_map(|status| {
            let reason = status.pointer("/state/waiting/reason").or_else(|| status.pointer("/state/terminated/reason"));
            reason?.as_str().filter(|reason| *reason != "Completed").map(str::to_owned)
        });
        let condition = |kind: &str| {
            let conditions = list("/status/conditions");
            conditions.iter().find(|one| one["type"] == kind).map(|one| one["status"] == "True")
        };
        let restarts: i64 = statuses().filter_map(|status| status.get("restartCount")?.as_i64()).sum();
        let is_leaving = pod.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null());
        Self {
            name: text("/metadata/name").unwrap_or_default(),
            phase: text("/status/phase").unwrap_or_else(|| "Unknown".to_owned()),
            reason: if is_leaving { Some("Terminating".to_owned()) } else { text("/status/reason").or(waiting) },
            node: text("/spec/nodeName"),
            ready: condition("Ready").unwrap_or(false),
            restarts: i32::try_from(restarts).unwrap_or(i32::MAX),
            containers: list("/spec/containers")
                .iter()
                .filter_map(|one| Some(one.get("name")?.as_str()?.to_owned()))
                .collect(),
            started_at: text("/status/startTime").and_then(|at| at.parse().ok()),
        }
    }
}

impl From<&Json> for KubernetesEvent {
    fn from(event: &Json) -> Self {
        let text = |pointer: &str| event.pointer(pointer).and_then(Json::as_str).filter(|text| !text.is_empty());
        let owned = |pointer: &str| text(pointer).unwrap_or_default().to_owned();
        let at = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
        let at = at.into_iter().find_map(|pointer| text(pointer)?.parse::<DateTime<Utc>>().ok());
        let count = event.pointer("/series/count").or_else(|| event.get("count")).and_then(Json::as_i64);
        Self {
            object: format!("{} {}", owned("/involvedObject/kind"), owned("/involvedObject/name")),
            event_type: owned("/type"),
            reason: owned("/reason"),
            message: owned("/message").chars().take(2000).collect(),
            count: i32::try_from(count.unwrap_or(1)).unwrap_or(i32::MAX),
            last_seen_at: at.unwrap_or_default(),
            name: owned("/metadata/name"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_of_another_component_with_a_longer_name_is_not_taken() {
        let about = |kind: &str, name: &str| {
            is_about(&json!({"involvedObject": {"kind": kind, "name": name}}), "shop-web", &[])
        };
        assert!(about("Deployment", "shop-web"));
        assert!(about("ReplicaSet", "shop-web-7d4b9c6f5b"));
        assert!(about("Pod", "shop-web-7d4b9c6f5b-x2x9k"));
        assert!(about("Pod", "shop-web-0"));
        assert!(!about("Deployment", "shop-web-api"));
        assert!(!about("ReplicaSet", "shop-web-api-7d4b9c6f5b"));
        assert!(!about("Pod", "shop-web-api-7d4b9c6f5b-x2x9k"));
        assert!(!about("Pod", "shop-webs-0"));
    }
}
