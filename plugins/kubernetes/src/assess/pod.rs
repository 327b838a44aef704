//! What keeps a pod from becoming ready.

use super::{Live, Verdict, condition, event, holds};
use crate::json::{list, number, text};
use serde_json::Value as Json;

/// Reasons for which a container waits that will not pass by themselves.
const STUCK: &[&str] = &[
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "PostStartHookError",
    "RegistryUnavailable",
    "RunContainerError",
    "SignatureValidationFailed",
];

/// The health of a pod that no controller owns.
pub(super) fn alone(live: &Live<'_>) -> Verdict {
    match text(&live.object, "/status/phase") {
        "Succeeded" => Verdict::healthy("Succeeded", "it ran to its end"),
        _ if holds(&live.object, "Ready") => Verdict::healthy("Ready", "it runs and is ready"),
        _ => trouble(live).unwrap_or_else(|| Verdict::progressing("Starting", "it is being started")),
    }
}

/// What keeps a pod from becoming ready, where that is known. None for a pod that is ready or about to end.
pub(super) fn trouble(live: &Live<'_>) -> Option<Verdict> {
    let pod = &live.object;
    let name = &live.reference.name;
    let ends = pod.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null());
    if ends || holds(pod, "Ready") || text(pod, "/status/phase") == "Succeeded" {
        return None;
    }
    let statuses = || list(pod, "/status/initContainerStatuses").iter().chain(list(pod, "/status/containerStatuses"));
    if let Some(verdict) = statuses().find_map(|status| stuck(name, status)) {
        return Some(verdict);
    }
    let scheduled = condition(pod, "PodScheduled");
    if let Some(condition) = scheduled.filter(|condition| condition["status"] == "False") {
        let message = format!("no node takes the pod {name}: {}", text(condition, "/message"));
        return Some(Verdict::degraded("FailedScheduling", message));
    }
    if text(pod, "/status/phase") == "Failed" {
        let reason = text(pod, "/status/reason");
        let reason = if reason.is_empty() { "PodFailed" } else { reason };
        return Some(Verdict::degraded(reason, format!("the pod {name} failed{}", ended(pod))));
    }
    // An event outlives what it tells of: one about scheduling is over once the pod has a node.
    let over: &[&str] = if scheduled.is_some() { &["FailedScheduling"] } else { &[] };
    if let Some(verdict) = event::verdict_but(&live.events, over) {
        return Some(Verdict { message: format!("pod {name}: {}", verdict.message), ..verdict });
    }
    let restarts: i64 = statuses().filter_map(|status| number(status, "/restartCount")).sum();
    if restarts > 0 {
        let message = format!("the pod {name} was started again {restarts} times{}", ended(pod));
        return Some(Verdict::progressing("Restarted", message));
    }
    None
}

fn stuck(pod: &str, status: &Json) -> Option<Verdict> {
    let reason = text(status, "/state/waiting/reason");
    if !STUCK.contains(&reason) {
        return None;
    }
    let container = text(status, "/name");
    let message = match reason {
        "CrashLoopBackOff" => {
            let last = status.pointer("/lastState/terminated").map(how_it_ended).unwrap_or_default();
            format!("the container {container} of the pod {pod} ends again and again{last}")
        }
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName" => format!(
            "the image {:?} of the pod {pod} cannot be pulled: {}",
            text(status, "/image"),
            text(status, "/state/waiting/message")
        ),
        _ => format!(
            "the container {container} of the pod {pod} cannot be started: {}",
            text(status, "/state/waiting/message")
        ),
    };
    Some(Verdict::degraded(reason, message))
}

/// How the first container that has ended did.
fn ended(pod: &Json) -> String {
    list(pod, "/status/containerStatuses")
        .iter()
        .find_map(|status| status.pointer("/state/terminated").or_else(|| status.pointer("/lastState/terminated")))
        .map(how_it_ended)
        .unwrap_or_default()
}

fn how_it_ended(terminated: &Json) -> String {
    let code = number(terminated, "/exitCode").unwrap_or_default();
    let reason = text(terminated, "/reason");
    let message = text(terminated, "/message");
    let message: String = message.chars().take(200).collect();
    let more = if message.is_empty() { String::new() } else { format!(": {message}") };
    match reason {
        "" | "Error" => format!(", last with status {code}{more}"),
        reason => format!(", last with status {code} ({reason}){more}"),
    }
}
