//! Pods: from created to scheduled to what their node makes of them.

use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;

use super::{Next, Queue, kubelet, scheduler};
use crate::FAULT;
use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::object::{annotation, deleting, items, text, uid};
use crate::status::Status;
use crate::store::{Key, State};
use crate::write::event;

/// The annotation under which a real control plane with played nodes knows the same faults.
const OTHER_FAULT: &str = "controlplane.test/fault";
const FAULTS: [&str; 4] = ["ImagePullBackOff", "CrashLoopBackOff", "NotReady", "Failed"];

/// Moves a pod on by one step.
pub(super) fn reconcile(
    cluster: &Arc<Cluster>,
    queue: &mut Queue,
    state: &mut State,
    key: &Key,
    pod: &Value,
) -> Result<Next, Status> {
    if deleting(pod) {
        end(state, key, pod);
        return Ok(Next::Done);
    }
    if matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") {
        return Ok(Next::Done);
    }
    if text(pod, "/spec/nodeName").is_empty() {
        scheduler::schedule(state, key, pod)?;
        return Ok(Next::Done);
    }
    if pod["status"].get("startTime").is_none() {
        queue.started.insert(uid(pod).to_owned(), Instant::now());
        kubelet::describe(cluster, state, key, "ContainerCreating", "", None)?;
        return Ok(Next::After(cluster.options.pod_delay));
    }
    if let Some(started) = queue.started.get(uid(pod)) {
        let passed = started.elapsed();
        if passed < cluster.options.pod_delay {
            return Ok(Next::After(cluster.options.pod_delay.saturating_sub(passed)));
        }
    }
    let fault = [FAULT, OTHER_FAULT].into_iter().map(|key| annotation(pod, key)).find(|fault| FAULTS.contains(fault));
    if let Some(fault) = fault {
        if kubelet::state_of(pod) != fault {
            kubelet::describe(cluster, state, key, fault, &format!("asked for by {FAULT}"), None)?;
        }
        return Ok(Next::Done);
    }
    if kubelet::state_of(pod) == "Running" {
        return Ok(Next::Done);
    }
    if let Some(missing) = missing_volume(state, key, pod) {
        event(state, (Kind::Pod, pod), "kubelet", "Warning", "FailedMount", &missing);
        return Ok(Next::Done);
    }
    Ok(Next::Pull(Box::new(kubelet::Pull::of(state, key, pod))))
}

/// Lets go of a pod that is being deleted: there is no container to wait for.
fn end(state: &mut State, key: &Key, pod: &Value) {
    if items(pod, "/metadata/finalizers").is_empty() {
        state.remove(key, None);
        return;
    }
    if pod["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) > 0 {
        let mut last = pod.clone();
        last["metadata"]["deletionGracePeriodSeconds"] = serde_json::json!(0);
        state.put(Kind::Pod, last);
    }
}

/// The first volume whose ConfigMap or Secret is not there.
fn missing_volume(state: &State, key: &Key, pod: &Value) -> Option<String> {
    for volume in items(pod, "/spec/volumes") {
        let whole = [(Kind::ConfigMap, &volume["configMap"], "name"), (Kind::Secret, &volume["secret"], "secretName")];
        let parts = items(volume, "/projected/sources").iter().flat_map(|source| {
            [(Kind::ConfigMap, &source["configMap"], "name"), (Kind::Secret, &source["secret"], "name")]
        });
        for (kind, source, field) in whole.into_iter().chain(parts) {
            let called = text(source, &format!("/{field}"));
            if called.is_empty() || source["optional"] == true {
                continue;
            }
            let Some(found) = state.get(&Key::new(kind, &key.namespace, called)) else {
                let (volume, word) = (text(volume, "/name"), kind.description().singular);
                return Some(format!(
                    "MountVolume.SetUp failed for volume \"{volume}\" : {word} \"{called}\" not found"
                ));
            };
            for item in items(source, "/items") {
                let wanted = text(item, "/key");
                if found["data"].get(wanted).is_none() && found["binaryData"].get(wanted).is_none() {
                    let volume = text(volume, "/name");
                    return Some(format!(
                        "MountVolume.SetUp failed for volume \"{volume}\" : references non-existent config key: {wanted}"
                    ));
                }
            }
        }
    }
    None
}
