//! Pods: from created to scheduled to what their node makes of them.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::time::Instant;

use super::{Next, Queue, claim, garbage, job, kubelet, scheduler};
use crate::FAULT;
use crate::clock;
use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::object::{annotation, deleting, has_finalizer, is_condition, items, name, text, uid};
use crate::status::Status;
use crate::store::{Key, State};
use crate::write::event;

/// The annotation under which a real control plane with played nodes knows the same faults.
const OTHER_FAULT: &str = "controlplane.test/fault";
const FAULTS: [&str; 4] = ["ImagePullBackOff", "CrashLoopBackOff", "NotReady", "Failed"];
/// How long a pod runs before it fails by annotation. Whatever owns it makes a new one with the same annotation, and so
/// on; the pause keeps that from filling the cluster.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Moves a pod on by one step.
pub(super) fn reconcile(
    cluster: &Arc<Cluster>,
    queue: &mut Queue,
    state: &mut State,
    key: &Key,
    pod: &Value,
) -> Result<Next, Status> {
    if has_finalizer(pod, job::TRACKING) && job::is_lost(state, key, pod) {
        garbage::release(state, key, job::TRACKING)?;
        return Ok(Next::Done);
    }
    if deleting(pod) {
        end(cluster, state, key, pod)?;
        return Ok(Next::Done);
    }
    if matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") {
        return Ok(Next::Done);
    }
    let node = text(pod, "/spec/nodeName");
    if node.is_empty() {
        scheduler::schedule(state, key, pod)?;
        return Ok(Next::Done);
    }
    if state.get(&Key::new(Kind::Node, "", node)).is_none() {
        // A client named a node that is not there: nobody takes the pod.
        return Ok(Next::Done);
    }
    if pod["status"].get("startTime").is_none() {
        queue.started.insert(uid(pod).to_owned(), Instant::now());
        kubelet::describe(cluster, state, key, "ContainerCreating", "", None)?;
        return Ok(Next::After(cluster.options.pod_delay));
    }
    if let Some(left) = time_left(pod) {
        if left <= 0 {
            let message = "Pod was active on the node longer than the specified deadline";
            event(state, (Kind::Pod, pod), "kubelet", "Normal", "DeadlineExceeded", message);
            kubelet::describe(cluster, state, key, "Failed", message, None)?;
            kubelet::blame(state, key, "DeadlineExceeded", message)?;
            return Ok(Next::Done);
        }
        queue.push_after(key.clone(), Duration::from_secs(left.unsigned_abs()));
    }
    let asked = [FAULT, OTHER_FAULT].into_iter().map(|key| annotation(pod, key)).find(|fault| !fault.is_empty());
    let fault = asked.filter(|fault| FAULTS.contains(fault));
    let wait = match fault {
        Some("Failed") => cluster.options.pod_delay.max(FAILURE_PAUSE),
        _ => cluster.options.pod_delay,
    };
    if let Some(started) = queue.started.get(uid(pod)) {
        let passed = started.elapsed();
        if passed < wait {
            return Ok(Next::After(wait.saturating_sub(passed)));
        }
    }
    if let Some(asked) = asked.filter(|_| fault.is_none()) {
        let message = format!("no fault is named {asked:?}, it has no effect");
        event(state, (Kind::Pod, pod), "kubelet", "Warning", "UnknownFault", &message);
    }
    if let Some(fault) = fault {
        if kubelet::state_of(pod) != fault {
            kubelet::describe(cluster, state, key, fault, &format!("asked for by {FAULT}"), None)?;
        }
        return Ok(Next::Done);
    }
    if kubelet::state_of(pod) == "Running" {
        if pod["spec"]["restartPolicy"] == "Always" {
            kubelet::gate(state, key)?;
        } else {
            // It has done its work.
            kubelet::describe(cluster, state, key, "Completed", "", None)?;
        }
        return Ok(Next::Done);
    }
    if !is_condition(pod, kubelet::MOUNTED) {
        if let Some(other) = attached_elsewhere(state, key, pod) {
            event(state, (Kind::Pod, pod), "kubelet", "Warning", "FailedAttachVolume", &other);
            return Ok(Next::Done);
        }
        if let Some(missing) = missing_volume(state, key, pod) {
            event(state, (Kind::Pod, pod), "kubelet", "Warning", "FailedMount", &missing);
            return Ok(Next::Done);
        }
        // From now on the disks are with this node.
        kubelet::mount(state, key)?;
    }
    if let Some(image) = kubelet::never_pulled(pod) {
        let message = format!("container image {image:?} is not present with pull policy of Never");
        if kubelet::state_of(pod) != "ErrImageNeverPull" {
            kubelet::describe(cluster, state, key, "ErrImageNeverPull", &message, None)?;
            event(state, (Kind::Pod, pod), "kubelet", "Warning", "ErrImageNeverPull", &message);
        }
        return Ok(Next::Done);
    }
    Ok(Next::Pull(Box::new(kubelet::Pull::of(state, key, pod))))
}

/// Seconds that a pod may still be active, where it says for how long.
fn time_left(pod: &Value) -> Option<i64> {
    let limit = pod["spec"]["activeDeadlineSeconds"].as_i64()?;
    let since: DateTime<Utc> = text(pod, "/status/startTime").parse().ok()?;
    Some(limit - (clock::now() - since).num_seconds())
}

/// Lets go of a pod that is being deleted: there is no container to wait for. Where somebody waits for its end, it ends
/// before it goes.
fn end(cluster: &Arc<Cluster>, state: &mut State, key: &Key, pod: &Value) -> Result<(), Status> {
    if items(pod, "/metadata/finalizers").is_empty() {
        state.remove(key, None);
        return Ok(());
    }
    let assigned = !text(pod, "/spec/nodeName").is_empty();
    if assigned && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") {
        kubelet::describe(cluster, state, key, "Failed", "the pod was deleted", None)?;
    }
    let Some(pod) = state.get(key) else { return Ok(()) };
    if pod["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) > 0 {
        let mut last = Value::clone(&pod);
        last["metadata"]["deletionGracePeriodSeconds"] = serde_json::json!(0);
        state.put(Kind::Pod, last);
    }
    Ok(())
}

/// A disk of the pod, which one node at a time can have, that is with a pod of another node.
fn attached_elsewhere(state: &State, key: &Key, pod: &Value) -> Option<String> {
    let others = state.list(Kind::Pod, Some(&key.namespace));
    claim::of_pod(pod).into_iter().find_map(|called| {
        let found = state.get(&Key::new(Kind::PersistentVolumeClaim, &key.namespace, called))?;
        let other = others.iter().filter(|_| !claim::is_shared(&found)).find(|other| {
            other["spec"]["nodeName"] != pod["spec"]["nodeName"]
                && is_condition(other, kubelet::MOUNTED)
                && claim::of_pod(other).contains(&called)
        })?;
        let volume = text(&found, "/spec/volumeName");
        let other = name(other);
        Some(format!("Multi-Attach error for volume {volume:?} Volume is already used by pod(s) {other}"))
    })
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
