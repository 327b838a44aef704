//! Deployments, StatefulSets, DaemonSets and Jobs.

use super::{Live, Scene, Verdict, condition, controller, event, holds, pod};
use crate::json::{list, number, text};
use ropeway_driver_sdk::HealthState;
use serde_json::Value as Json;

/// The annotation that counts the roll-outs of a Deployment, on it and on its ReplicaSets.
const ROLLOUT: &str = "deployment.kubernetes.io/revision";

pub(super) fn deployment(scene: &Scene<'_>, live: &Live<'_>) -> Verdict {
    let object = &live.object;
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    if let Some(verdict) = unseen_or_stopped(object, wanted) {
        return verdict;
    }
    let count = |field: &str| number(object, &format!("/status/{field}")).unwrap_or(0);
    let (updated, available, all) = (count("updatedReplicas"), count("availableReplicas"), count("replicas"));
    let waiting = if updated < wanted {
        ("Updating", format!("{updated} of {wanted} replicas are of the new version"))
    } else if available < updated {
        ("Starting", format!("{available} of {wanted} replicas are available"))
    } else if all > updated {
        ("Updating", format!("{} replicas of the old version still end", all - updated))
    } else if all > wanted {
        ("Stopping", format!("{} replicas more than wanted still end", all - wanted))
    } else {
        return Verdict::healthy("Available", format!("{available} of {wanted} replicas are available"));
    };
    if let Some(verdict) = explain(scene, live) {
        return verdict;
    }
    if let Some(failure) = condition(object, "ReplicaFailure").filter(|failure| failure["status"] == "True") {
        return Verdict::of_condition(HealthState::Degraded, failure, "FailedCreate");
    }
    if let Some(progress) = condition(object, "Progressing")
        && progress["status"] == "False"
        && text(progress, "/reason") == "ProgressDeadlineExceeded"
    {
        let message = format!("it made no progress for too long; {}", waiting.1);
        return Verdict::degraded("ProgressDeadlineExceeded", message);
    }
    Verdict::progressing(waiting.0, waiting.1)
}

pub(super) fn stateful_set(scene: &Scene<'_>, live: &Live<'_>) -> Verdict {
    let object = &live.object;
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    if let Some(verdict) = unseen_or_stopped(object, wanted) {
        return verdict;
    }
    let count = |field: &str| number(object, &format!("/status/{field}")).unwrap_or(0);
    let ready = count("readyReplicas");
    let rolls = text(object, "/spec/updateStrategy/type") != "OnDelete";
    let partition = number(object, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
    let to_update = (wanted - partition).max(0);
    // Not by whether two revisions are told: a set that was made anew, or rolled back, names one revision twice while its
    // pods are still of another.
    let updated = count("updatedReplicas");
    let waiting = if rolls && updated < to_update {
        ("Updating", format!("{updated} of {to_update} replicas are of the new version"))
    } else if ready < wanted {
        ("Starting", format!("{ready} of {wanted} replicas are ready"))
    } else if count("replicas") > wanted {
        ("Stopping", format!("{} replicas more than wanted still end", count("replicas") - wanted))
    } else {
        return Verdict::healthy("Ready", format!("{ready} of {wanted} replicas are ready"));
    };
    explain(scene, live).unwrap_or_else(|| Verdict::progressing(waiting.0, waiting.1))
}

pub(super) fn daemon_set(scene: &Scene<'_>, live: &Live<'_>) -> Verdict {
    let object = &live.object;
    let count = |field: &str| number(object, &format!("/status/{field}")).unwrap_or(0);
    let wanted = count("desiredNumberScheduled");
    if let Some(verdict) = unseen_or_stopped(object, 1) {
        return verdict;
    }
    let (updated, available) = (count("updatedNumberScheduled"), count("numberAvailable"));
    let rolls = text(object, "/spec/updateStrategy/type") != "OnDelete";
    let waiting = if rolls && updated < wanted {
        ("Updating", format!("{updated} of {wanted} nodes run the new version"))
    } else if available < wanted {
        ("Starting", format!("it is available on {available} of {wanted} nodes"))
    } else {
        return Verdict::healthy("Available", format!("it is available on {available} of {wanted} nodes"));
    };
    explain(scene, live).unwrap_or_else(|| Verdict::progressing(waiting.0, waiting.1))
}

pub(super) fn job(scene: &Scene<'_>, live: &Live<'_>) -> Verdict {
    let object = &live.object;
    if holds(object, "Complete") || holds(object, "SuccessCriteriaMet") {
        return Verdict::healthy("Complete", "it ran to its end");
    }
    for kind in ["Failed", "FailureTarget"] {
        if let Some(failed) = condition(object, kind).filter(|failed| failed["status"] == "True") {
            let why = explain(scene, live).map(|verdict| format!("; {}", verdict.message)).unwrap_or_default();
            let verdict = Verdict::of_condition(HealthState::Degraded, failed, "Failed");
            return Verdict { message: format!("{}{why}", verdict.message), ..verdict };
        }
    }
    if object.pointer("/spec/suspend") == Some(&Json::Bool(true)) {
        return stopped(number(object, "/status/active").unwrap_or(0), "it is suspended, as wanted");
    }
    explain(scene, live).unwrap_or_else(|| {
        let (active, failed) = (number(object, "/status/active").unwrap_or(0), number(object, "/status/failed"));
        match failed {
            Some(failed) if failed > 0 => Verdict::progressing("Retrying", format!("{failed} attempts failed so far")),
            _ if active > 0 => Verdict::progressing("Running", "it runs"),
            _ => Verdict::progressing("Starting", "it is being started"),
        }
    })
}

/// What is to be said whatever the replicas are.
fn unseen_or_stopped(object: &Json, wanted: i64) -> Option<Verdict> {
    let observed = number(object, "/status/observedGeneration").unwrap_or(0);
    if observed < number(object, "/metadata/generation").unwrap_or(0) {
        return Some(Verdict::progressing("NotObserved", "its controller has not seen the last change yet"));
    }
    let left = number(object, "/status/replicas").unwrap_or(0);
    (wanted == 0).then(|| stopped(left, "it is stopped, as wanted"))
}

/// What is to run no more, and has so many pods left.
fn stopped(left: i64, message: &str) -> Verdict {
    if left > 0 {
        return Verdict::progressing("Stopping", format!("{left} replicas still end"));
    }
    Verdict::healthy("Stopped", message)
}

/// Why a workload is not ready, from its events and from its pods: the first that is stuck, else the first that is
/// delayed.
fn explain(scene: &Scene<'_>, workload: &Live<'_>) -> Option<Verdict> {
    let owned: Vec<&Live<'_>> = scene.live.iter().filter(|live| is_current(scene, workload, live)).collect();
    let pods = owned.iter().filter(|live| live.reference.kind == "Pod").filter_map(|live| pod::trouble(live));
    let makers = owned.iter().filter(|live| live.reference.kind != "Pod").map(|live| &live.events);
    let events = makers.chain([&workload.events]).filter_map(|events| event::verdict(events));
    let mut delayed = None;
    for verdict in pods.chain(events) {
        if verdict.state == HealthState::Degraded {
            return Some(verdict);
        }
        delayed.get_or_insert(verdict);
    }
    delayed
}

/// Whether an object is a pod or a ReplicaSet of a workload as it is wanted now. What an earlier version of a
/// Deployment left behind is being replaced, and explains nothing.
fn is_current(scene: &Scene<'_>, workload: &Live<'_>, live: &Live<'_>) -> bool {
    let Some((kind, name)) = controller(&live.object) else { return false };
    if workload.reference.kind == kind && workload.reference.name == name {
        return live.reference.kind != "ReplicaSet" || is_latest_rollout(workload, live);
    }
    if workload.reference.kind != "Deployment" || kind != "ReplicaSet" || live.reference.kind != "Pod" {
        return false;
    }
    let maker = scene.live.iter().find(|live| live.reference.kind == "ReplicaSet" && live.reference.name == name);
    match maker {
        Some(maker) => {
            controller(&maker.object) == Some(("Deployment", workload.reference.name.as_str()))
                && is_latest_rollout(workload, maker)
        }
        // Its ReplicaSet was not looked at: the pod itself shows of which version it is.
        None => is_selected(workload, live) && is_of_template(&workload.object, &live.object),
    }
}

fn is_latest_rollout(deployment: &Live<'_>, replica_set: &Live<'_>) -> bool {
    let rollout = |live: &Live<'_>| live.object.pointer("/metadata/annotations").map(|all| all[ROLLOUT].clone());
    match (rollout(deployment), rollout(replica_set)) {
        (Some(Json::String(wanted)), Some(Json::String(own))) => wanted == own,
        _ => true,
    }
}

fn is_selected(workload: &Live<'_>, pod: &Live<'_>) -> bool {
    let Some(Json::Object(wanted)) = workload.object.pointer("/spec/selector/matchLabels") else { return false };
    let labels = pod.object.pointer("/metadata/labels");
    !wanted.is_empty() && wanted.iter().all(|(key, value)| labels.is_some_and(|labels| &labels[key] == value))
}

fn is_of_template(workload: &Json, pod: &Json) -> bool {
    list(workload, "/spec/template/spec/containers").iter().all(|wanted| {
        let own = list(pod, "/spec/containers").iter().find(|own| own["name"] == wanted["name"]);
        own.is_some_and(|own| ["image", "command", "args", "env"].iter().all(|field| own[*field] == wanted[*field]))
    })
}
