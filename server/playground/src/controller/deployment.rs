//! Deployments: a ReplicaSet for each pod template, and the way from one to the next.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::rollout::{Count, Slack, grow, shrink};
use super::{Next, children};
use crate::clock;
use crate::kind::Kind;
use crate::object::{
    annotation, condition, controller_reference, deleting, map_mut, name, number, set_condition, text,
};
use crate::status::Status;
use crate::store::{Key, Object, State};
use crate::write::{Part, change, create, event};

const REVISION: &str = "deployment.kubernetes.io/revision";
const HASH: &str = "pod-template-hash";

/// Moves a deployment on by one step, and reports.
pub(super) fn reconcile(state: &mut State, key: &Key, deployment: &Value) -> Result<Next, Status> {
    let mut sets = children::of(state, Kind::ReplicaSet, Kind::Deployment, deployment)?;
    sets.sort_by_key(|set| (text(set, "/metadata/creationTimestamp").to_owned(), revision(set)));
    if deleting(deployment) {
        return Ok(Next::Done);
    }
    let wanted = number(deployment, "/spec/replicas");
    let at = sets.iter().position(|set| template(set) == template(deployment));
    let paused = deployment["spec"]["paused"] == true;
    let mut old = sets;
    let found = at.map(|at| old.remove(at));
    let recreate = deployment["spec"]["strategy"]["type"] == "Recreate";
    let mut made = false;
    let new = match found {
        Some(new) => Some(renew(state, deployment, new, &old)?),
        None if paused => None,
        None if recreate && lingering(state, deployment, &old)? => None,
        None => {
            made = true;
            Some(begin(state, deployment, &old, if recreate { wanted } else { 0 })?)
        }
    };
    let slack = Slack::of(deployment);
    match &new {
        Some(new) if !recreate => {
            let olds: Vec<Count> = old.iter().map(|set| count(set)).collect();
            let size = if paused && wanted > number(new, "/spec/replicas") && !olds.iter().all(|one| one.wanted == 0) {
                number(new, "/spec/replicas")
            } else {
                grow(wanted, count(new), &olds, slack)
            };
            let new = scale(state, deployment, new, size)?;
            if !paused {
                for (set, size) in old.iter().zip(shrink(wanted, count(&new), &olds, slack)) {
                    scale(state, deployment, set, size)?;
                }
            }
        }
        Some(new) if !lingering(state, deployment, &old)? => {
            scale(state, deployment, new, wanted)?;
        }
        _ => {}
    }
    if recreate && !paused {
        for set in &old {
            scale(state, deployment, set, 0)?;
        }
    }
    report(state, key, new.as_ref(), made)
}

/// Whether pods of old ReplicaSets are still there.
fn lingering(state: &mut State, deployment: &Value, old: &[Object]) -> Result<bool, Status> {
    let mut left = false;
    for set in old {
        scale(state, deployment, set, 0)?;
        let pods = children::of(state, Kind::Pod, Kind::ReplicaSet, set)?;
        left |= pods.iter().any(|pod| !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed"));
    }
    Ok(left)
}

fn begin(state: &mut State, deployment: &Value, old: &[Object], size: i64) -> Result<Object, Status> {
    let collision = number(deployment, "/status/collisionCount");
    let hash = children::hash(&json!([deployment["spec"]["template"], collision]));
    let mut labels = deployment["spec"]["template"]["metadata"]["labels"].clone();
    labels[HASH] = json!(hash);
    let mut selector = deployment["spec"]["selector"].clone();
    map_mut(&mut selector, &["matchLabels"]).insert(HASH.to_owned(), json!(hash));
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"] = labels.clone();
    let wanted = number(deployment, "/spec/replicas");
    let slack = Slack::of(deployment);
    let size = if size > 0 {
        size
    } else {
        let olds: Vec<Count> = old.iter().map(|set| count(set)).collect();
        grow(wanted, Count { wanted: 0, available: 0 }, &olds, slack)
    };
    let mut notes = deployment["metadata"]["annotations"].clone();
    if let Some(notes) = notes.as_object_mut() {
        notes.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    let latest = old.iter().map(|set| revision(set)).max().unwrap_or(0) + 1;
    let notes_map = map_mut(&mut notes, &[]);
    notes_map.insert(REVISION.to_owned(), json!(latest.to_string()));
    notes_map.insert("deployment.kubernetes.io/desired-replicas".to_owned(), json!(wanted.to_string()));
    notes_map.insert("deployment.kubernetes.io/max-replicas".to_owned(), json!((wanted + slack.surge).to_string()));
    let body = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", name(deployment)), "labels": labels, "annotations": notes,
            "ownerReferences": [controller_reference(Kind::Deployment, deployment)],
        },
        "spec": {
            "replicas": size, "minReadySeconds": deployment["spec"]["minReadySeconds"], "selector": selector,
            "template": template,
        },
    });
    let space = text(deployment, "/metadata/namespace").to_owned();
    let set = create(state, Kind::ReplicaSet, &space, body, &children::writer())?.object;
    let message = format!("Scaled up replica set {} from 0 to {size}", name(&set));
    let about = (Kind::Deployment, deployment);
    event(state, about, "deployment-controller", "Normal", "ScalingReplicaSet", &message);
    Ok(set)
}

/// The ReplicaSet of the present template has the latest revision, also when it comes back.
fn renew(state: &mut State, deployment: &Value, new: Object, old: &[Object]) -> Result<Object, Status> {
    let latest = old.iter().map(|set| revision(set)).max().unwrap_or(0) + 1;
    let wanted = revision(&new).max(latest);
    let minimum = number(deployment, "/spec/minReadySeconds");
    if wanted == revision(&new) && minimum == number(&new, "/spec/minReadySeconds") {
        return Ok(new);
    }
    let written = change(state, &Key::of(Kind::ReplicaSet, &new), Part::Main, &children::writer(), |set| {
        let mut set = set.clone();
        map_mut(&mut set, &["metadata", "annotations"]).insert(REVISION.to_owned(), json!(wanted.to_string()));
        set["spec"]["minReadySeconds"] = if minimum > 0 { json!(minimum) } else { Value::Null };
        Ok(set)
    })?;
    Ok(written.object)
}

fn scale(state: &mut State, deployment: &Value, set: &Value, size: i64) -> Result<Object, Status> {
    let before = number(set, "/spec/replicas");
    let wanted = number(deployment, "/spec/replicas");
    let most = wanted + Slack::of(deployment).surge;
    let written = change(state, &Key::of(Kind::ReplicaSet, set), Part::Main, &children::writer(), |set| {
        let mut set = set.clone();
        set["spec"]["replicas"] = json!(size);
        let notes = map_mut(&mut set, &["metadata", "annotations"]);
        notes.insert("deployment.kubernetes.io/desired-replicas".to_owned(), json!(wanted.to_string()));
        notes.insert("deployment.kubernetes.io/max-replicas".to_owned(), json!(most.to_string()));
        Ok(set)
    })?;
    if size != before {
        let way = if size > before { "up" } else { "down" };
        let message = format!("Scaled {way} replica set {} from {before} to {size}", name(set));
        let about = (Kind::Deployment, deployment);
        event(state, about, "deployment-controller", "Normal", "ScalingReplicaSet", &message);
    }
    Ok(written.object)
}

fn report(state: &mut State, key: &Key, new: Option<&Object>, made: bool) -> Result<Next, Status> {
    let deployment = state.require(key)?;
    let sets = children::of(state, Kind::ReplicaSet, Kind::Deployment, &deployment)?;
    let sum = |field: &str| sets.iter().map(|set| number(set, field)).sum::<i64>();
    let wanted = number(&deployment, "/spec/replicas");
    let (replicas, ready, available) =
        (sum("/status/replicas"), sum("/status/readyReplicas"), sum("/status/availableReplicas"));
    let new = new.and_then(|new| state.get(&Key::of(Kind::ReplicaSet, new)));
    let updated = new.as_ref().map_or(0, |new| number(new, "/status/replicas"));
    let asked = sum("/spec/replicas");
    let old = &deployment["status"];
    let mut status = json!({"observedGeneration": deployment["metadata"]["generation"]});
    status["terminatingReplicas"] = json!(sum("/status/terminatingReplicas"));
    for (field, value) in [
        ("replicas", replicas),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", available),
        ("unavailableReplicas", (asked - available).max(0)),
    ] {
        if value > 0 {
            status[field] = json!(value);
        }
    }
    if let Some(conditions) = old.get("conditions") {
        status["conditions"] = conditions.clone();
    }
    let now = clock::timestamp();
    let enough = available
        >= wanted
            - if deployment["spec"]["strategy"]["type"] == "Recreate" { 0 } else { Slack::of(&deployment).unavailable };
    let (value, reason, message) = if enough {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    put_condition(&mut status, &deployment, "Available", value, reason, message, &now);
    let complete = updated == wanted && replicas == wanted && available == wanted;
    let set_name = new.as_ref().map_or_else(String::new, |new| format!("ReplicaSet \"{}\" ", name(new)));
    let progress = condition(&deployment, "Progressing");
    let reason_now = progress.map_or("", |one| text(one, "/reason"));
    let moved = updated > number(old, "/updatedReplicas")
        || (replicas - updated) < number(old, "/replicas") - number(old, "/updatedReplicas")
        || ready > number(old, "/readyReplicas")
        || available > number(old, "/availableReplicas");
    let mut next = Next::Done;
    let deadline = number(&deployment, "/spec/progressDeadlineSeconds");
    if made {
        let message = format!("Created new replica set \"{}\"", new.as_ref().map_or("", |new| name(new)));
        put_condition(&mut status, &deployment, "Progressing", "True", "NewReplicaSetCreated", &message, &now);
    } else if complete && reason_now == "NewReplicaSetAvailable" && !moved {
        // It was reported.
    } else if complete {
        let message = format!("{set_name}has successfully progressed.");
        put_condition(&mut status, &deployment, "Progressing", "True", "NewReplicaSetAvailable", &message, &now);
    } else if moved || progress.is_none() || (reason_now == "NewReplicaSetAvailable" && updated < wanted) {
        let message = format!("{set_name}is progressing.");
        put_condition(&mut status, &deployment, "Progressing", "True", "ReplicaSetUpdated", &message, &now);
    } else if reason_now != "NewReplicaSetAvailable" && deployment["spec"]["paused"] != true {
        let since = progress.and_then(|one| text(one, "/lastUpdateTime").parse::<DateTime<Utc>>().ok());
        let passed = since.map_or(0, |since| (clock::now() - since).num_seconds());
        if passed >= deadline {
            let message = format!("{set_name}has timed out progressing.");
            put_condition(&mut status, &deployment, "Progressing", "False", "ProgressDeadlineExceeded", &message, &now);
        }
    }
    if !complete && deployment["spec"]["paused"] != true && reason_now != "ProgressDeadlineExceeded" {
        let since = items_time(&status);
        let left = since.map_or(deadline, |since| deadline - (clock::now() - since).num_seconds());
        next = Next::After(Duration::from_secs(left.clamp(1, deadline.max(1)).unsigned_abs()));
    }
    let failing = sets.iter().find_map(|set| condition(set, "ReplicaFailure"));
    match failing {
        Some(failing) => set_condition(&mut status, failing.clone()),
        None => crate::object::list_mut(&mut status, "conditions").retain(|one| one["type"] != "ReplicaFailure"),
    }
    let latest = new.as_ref().map_or(0, |new| revision(new));
    change(state, key, Part::Status, &children::writer(), |deployment| {
        let mut deployment = deployment.clone();
        if latest > 0 {
            map_mut(&mut deployment, &["metadata", "annotations"])
                .insert(REVISION.to_owned(), json!(latest.to_string()));
        }
        deployment["status"] = status;
        Ok(deployment)
    })?;
    if complete {
        tidy(state, &deployment, new.as_ref().map_or("", |new| name(new)))?;
    }
    Ok(next)
}

fn items_time(status: &Value) -> Option<DateTime<Utc>> {
    let holder = json!({"status": status});
    condition(&holder, "Progressing").and_then(|one| text(one, "/lastUpdateTime").parse().ok())
}

/// Deletes old ReplicaSets beyond the limit.
fn tidy(state: &mut State, deployment: &Value, keep: &str) -> Result<(), Status> {
    let mut sets = children::of(state, Kind::ReplicaSet, Kind::Deployment, deployment)?;
    sets.retain(|set| name(set) != keep && number(set, "/spec/replicas") == 0 && number(set, "/status/replicas") == 0);
    sets.sort_by_key(|set| revision(set));
    let limit = usize::try_from(number(deployment, "/spec/revisionHistoryLimit")).unwrap_or(0);
    let surplus = sets.len().saturating_sub(limit);
    for set in &sets[..surplus] {
        children::remove(state, Kind::ReplicaSet, set)?;
    }
    Ok(())
}

fn put_condition(
    status: &mut Value,
    deployment: &Value,
    kind: &str,
    value: &str,
    reason: &str,
    message: &str,
    now: &str,
) {
    let found = condition(deployment, kind);
    let same = found.is_some_and(|one| one["status"] == value && one["reason"] == reason);
    if same && kind == "Available" {
        return;
    }
    let condition = json!({"type": kind, "status": value, "reason": reason, "message": message, "lastUpdateTime": now});
    set_condition(status, condition);
}

fn count(set: &Value) -> Count {
    Count { wanted: number(set, "/spec/replicas"), available: number(set, "/status/availableReplicas") }
}

fn revision(set: &Value) -> i64 {
    annotation(set, REVISION).parse().unwrap_or(0)
}

/// The pod template without the hash.
fn template(object: &Value) -> Value {
    let mut template = object["spec"]["template"].clone();
    map_mut(&mut template, &["metadata", "labels"]).remove(HASH);
    template
}
