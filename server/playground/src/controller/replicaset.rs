//! ReplicaSets: as many pods as wanted.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Next, children};
use crate::kind::Kind;
use crate::object::{deleting, name, number, set_condition, text};
use crate::selector::Labels;
use crate::status::Status;
use crate::store::{Key, State};
use crate::write::event;

/// Pods that are created at once.
const BURST: usize = 500;

/// Creates or deletes pods, and reports.
pub(super) fn reconcile(state: &mut State, key: &Key, set: &Value) -> Result<Next, Status> {
    let pods = children::of(state, Kind::Pod, Kind::ReplicaSet, set)?;
    let mut failure = None;
    if !deleting(set) {
        let mut active: Vec<_> = pods.iter().filter(|pod| children::is_active(pod)).cloned().collect();
        let wanted = usize::try_from(number(set, "/spec/replicas")).unwrap_or(0);
        for _ in active.len()..wanted.min(active.len() + BURST) {
            match children::create_pod(state, Kind::ReplicaSet, set, |_| ()) {
                Ok(pod) => {
                    let message = format!("Created pod: {}", name(&pod));
                    let about = (Kind::ReplicaSet, set);
                    event(state, about, "replicaset-controller", "Normal", "SuccessfulCreate", &message);
                }
                Err(status) => {
                    let message = format!("Error creating: {}", status.message);
                    let about = (Kind::ReplicaSet, set);
                    event(state, about, "replicaset-controller", "Warning", "FailedCreate", &message);
                    failure = Some(status);
                    break;
                }
            }
        }
        if active.len() > wanted {
            // First those that are of least use: without a node, not ready, young.
            active.sort_by_key(|pod| {
                let assigned = !text(pod, "/spec/nodeName").is_empty();
                let age = std::cmp::Reverse(text(pod, "/metadata/creationTimestamp").to_owned());
                (assigned, children::is_ready(pod), age, name(pod).to_owned())
            });
            for pod in &active[..active.len() - wanted] {
                children::remove(state, Kind::Pod, pod)?;
                let message = format!("Deleted pod: {}", name(pod));
                event(state, (Kind::ReplicaSet, set), "replicaset-controller", "Normal", "SuccessfulDelete", &message);
            }
        }
    }
    let pause = report(state, key, set, failure.as_ref())?;
    match failure {
        Some(status) => Err(status),
        None => Ok(pause.map_or(Next::Done, Next::After)),
    }
}

fn report(state: &mut State, key: &Key, set: &Value, failure: Option<&Status>) -> Result<Option<Duration>, Status> {
    let pods = children::of(state, Kind::Pod, Kind::ReplicaSet, set)?;
    let labels = Labels::of(&json!({"matchLabels": set["spec"]["template"]["metadata"]["labels"]}));
    let minimum = number(set, "/spec/minReadySeconds");
    let (mut count, mut labelled, mut ready, mut available, mut terminating) = (0, 0, 0, 0, 0);
    let mut pause = None;
    for pod in &pods {
        if deleting(pod) {
            terminating += 1;
        }
        if !children::is_active(pod) {
            continue;
        }
        count += 1;
        labelled += i64::from(labels.matches(pod));
        if let Some(seconds) = children::seconds_to_available(pod, minimum) {
            ready += 1;
            if seconds == 0 {
                available += 1;
            } else {
                let seconds = Duration::from_secs(seconds.unsigned_abs());
                pause = Some(pause.map_or(seconds, |pause: Duration| pause.min(seconds)));
            }
        }
    }
    let mut status = json!({"replicas": count, "observedGeneration": set["metadata"]["generation"]});
    status["terminatingReplicas"] = json!(terminating);
    for (field, value) in
        [("fullyLabeledReplicas", labelled), ("readyReplicas", ready), ("availableReplicas", available)]
    {
        if value > 0 {
            status[field] = json!(value);
        }
    }
    if let Some(failure) = failure {
        if let Some(conditions) = set["status"].get("conditions") {
            status["conditions"] = conditions.clone();
        }
        let message = &failure.message;
        let condition =
            json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message});
        set_condition(&mut status, condition);
    }
    children::write_status(state, key, status)?;
    Ok(pause)
}
