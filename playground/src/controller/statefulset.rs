//! StatefulSets: pods with ordinals, each with claims of its own, one after the other.

use serde_json::{Value, json};

use super::{Next, children};
use crate::kind::Kind;
use crate::object::{deleting, items, label, list_mut, map_mut, name, number, text};
use crate::status::Status;
use crate::store::{Key, Object, State};
use crate::write::{create, event};

const REVISION: &str = "controller-revision-hash";

/// Moves a StatefulSet on by one step, and reports.
pub(super) fn reconcile(state: &mut State, key: &Key, set: &Value) -> Result<Next, Status> {
    let pods = children::of(state, Kind::Pod, Kind::StatefulSet, set)?;
    if deleting(set) {
        return Ok(Next::Done);
    }
    let hash = children::hash(&set["spec"]["template"]);
    let revision = format!("{}-{hash}", name(set));
    let current = match text(set, "/status/currentRevision") {
        "" => revision.clone(),
        current => current.to_owned(),
    };
    let result = step(state, set, &pods, &revision);
    report(state, key, set, &revision, &current)?;
    if let Err(status) = &result {
        let message = format!("create Pod in StatefulSet {} failed error: {}", name(set), status.message);
        event(state, (Kind::StatefulSet, set), "statefulset-controller", "Warning", "FailedCreate", &message);
    }
    result?;
    Ok(Next::Done)
}

fn step(state: &mut State, set: &Value, pods: &[Object], revision: &str) -> Result<(), Status> {
    let wanted = number(set, "/spec/replicas");
    let first = number(set, "/spec/ordinals/start");
    let ordered = set["spec"]["podManagementPolicy"] != "Parallel";
    let find = |ordinal: i64| pods.iter().find(|pod| self::ordinal(set, pod) == Some(ordinal));
    for ordinal in first..first + wanted {
        match find(ordinal) {
            None => {
                claims(state, set, ordinal)?;
                create_pod(state, set, ordinal, revision)?;
                if ordered {
                    return Ok(());
                }
            }
            Some(pod) if deleting(pod) => {
                if ordered {
                    return Ok(());
                }
            }
            Some(pod) if matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") => {
                children::remove(state, Kind::Pod, pod)?;
                if ordered {
                    return Ok(());
                }
            }
            Some(pod) => {
                if ordered && !children::is_ready(pod) {
                    // A broken pod of an old revision is not waited for when it is its turn to be replaced.
                    let surplus = pods.iter().any(|pod| self::ordinal(set, pod).is_none_or(|n| n >= first + wanted));
                    if surplus || label(pod, REVISION) == revision {
                        return Ok(());
                    }
                }
            }
        }
    }
    let mut surplus: Vec<&Object> = pods
        .iter()
        .filter(|pod| ordinal(set, pod).is_none_or(|ordinal| ordinal < first || ordinal >= first + wanted))
        .collect();
    surplus.sort_by_key(|pod| std::cmp::Reverse(ordinal(set, pod)));
    for pod in surplus {
        if !deleting(pod) {
            children::remove(state, Kind::Pod, pod)?;
            let message = format!("delete Pod {} in StatefulSet {} successful", name(pod), name(set));
            event(state, (Kind::StatefulSet, set), "statefulset-controller", "Normal", "SuccessfulDelete", &message);
        }
        if set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"] == "Delete" {
            release(state, set, pod)?;
        }
        if ordered {
            return Ok(());
        }
    }
    if set["spec"]["updateStrategy"]["type"] == "OnDelete" {
        return Ok(());
    }
    let partition = number(set, "/spec/updateStrategy/rollingUpdate/partition");
    for ordinal in (first.max(partition)..first + wanted).rev() {
        let Some(pod) = find(ordinal) else { return Ok(()) };
        if label(pod, REVISION) != revision && !deleting(pod) {
            children::remove(state, Kind::Pod, pod)?;
            return Ok(());
        }
        if deleting(pod) || !children::is_ready(pod) {
            return Ok(());
        }
    }
    Ok(())
}

fn create_pod(state: &mut State, set: &Value, ordinal: i64, revision: &str) -> Result<(), Status> {
    let called = format!("{}-{ordinal}", name(set));
    children::create_pod(state, Kind::StatefulSet, set, |pod| {
        let metadata = map_mut(pod, &["metadata"]);
        metadata.insert("generateName".to_owned(), json!(format!("{}-", name(set))));
        metadata.insert("name".to_owned(), json!(called));
        let labels = map_mut(pod, &["metadata", "labels"]);
        labels.insert(REVISION.to_owned(), json!(revision));
        labels.insert("statefulset.kubernetes.io/pod-name".to_owned(), json!(called));
        labels.insert("apps.kubernetes.io/pod-index".to_owned(), json!(ordinal.to_string()));
        pod["spec"]["hostname"] = json!(called);
        if !text(set, "/spec/serviceName").is_empty() {
            pod["spec"]["subdomain"] = set["spec"]["serviceName"].clone();
        }
        for template in items(set, "/spec/volumeClaimTemplates") {
            let volume = name(template);
            let list = list_mut(&mut pod["spec"], "volumes");
            list.retain(|one| one["name"] != volume);
            let claim = json!({"claimName": format!("{volume}-{called}")});
            list.push(json!({"name": volume, "persistentVolumeClaim": claim}));
        }
    })?;
    let message = format!("create Pod {called} in StatefulSet {} successful", name(set));
    event(state, (Kind::StatefulSet, set), "statefulset-controller", "Normal", "SuccessfulCreate", &message);
    Ok(())
}

/// Creates the claims of one pod, where they are not there yet.
fn claims(state: &mut State, set: &Value, ordinal: i64) -> Result<(), Status> {
    for template in items(set, "/spec/volumeClaimTemplates") {
        let called = format!("{}-{}-{ordinal}", name(template), name(set));
        let space = text(set, "/metadata/namespace").to_owned();
        if state.get(&Key::new(Kind::PersistentVolumeClaim, &space, &called)).is_some() {
            continue;
        }
        let mut metadata = json!({"name": called});
        if let Some(notes) = template["metadata"].get("annotations") {
            metadata["annotations"] = notes.clone();
        }
        let mut labels = template["metadata"].get("labels").cloned().unwrap_or_else(|| json!({}));
        for (key, value) in set["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten() {
            labels[key] = value.clone();
        }
        metadata["labels"] = labels;
        if set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Delete" {
            let reference = json!({
                "apiVersion": "apps/v1", "kind": "StatefulSet", "name": name(set), "uid": set["metadata"]["uid"],
                "controller": true, "blockOwnerDeletion": true,
            });
            metadata["ownerReferences"] = json!([reference]);
        }
        let body = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"],
        });
        create(state, Kind::PersistentVolumeClaim, &space, body, &children::writer())?;
        let message = format!("create Claim {called} Pod {}-{ordinal} in StatefulSet {} success", name(set), name(set));
        event(state, (Kind::StatefulSet, set), "statefulset-controller", "Normal", "SuccessfulCreate", &message);
    }
    Ok(())
}

/// Deletes the claims of a pod that is scaled away.
fn release(state: &mut State, set: &Value, pod: &Value) -> Result<(), Status> {
    for template in items(set, "/spec/volumeClaimTemplates") {
        let called = format!("{}-{}", name(template), name(pod));
        let claim = Key::new(Kind::PersistentVolumeClaim, text(set, "/metadata/namespace"), &called);
        if let Some(claim) = state.get(&claim).filter(|claim| !deleting(claim)) {
            children::remove(state, Kind::PersistentVolumeClaim, &claim)?;
        }
    }
    Ok(())
}

fn report(state: &mut State, key: &Key, set: &Value, revision: &str, current: &str) -> Result<(), Status> {
    let pods = children::of(state, Kind::Pod, Kind::StatefulSet, set)?;
    let active: Vec<&Object> = pods.iter().filter(|pod| !text(pod, "/metadata/name").is_empty()).collect();
    let ready = active.iter().filter(|pod| children::is_ready(pod) && !deleting(pod)).count();
    let of = |wanted: &str| active.iter().filter(|pod| label(pod, REVISION) == wanted && !deleting(pod)).count();
    let wanted = usize::try_from(number(set, "/spec/replicas")).unwrap_or(0);
    let (updated, mut present) = (of(revision), of(current));
    let mut current = current;
    if updated == wanted && ready == wanted && active.len() == wanted {
        current = revision;
        present = updated;
    }
    let mut status = json!({
        "observedGeneration": set["metadata"]["generation"], "replicas": active.len(), "availableReplicas": ready,
        "currentRevision": current, "updateRevision": revision, "collisionCount": 0,
    });
    for (field, value) in [("readyReplicas", ready), ("currentReplicas", present), ("updatedReplicas", updated)] {
        if value > 0 {
            status[field] = json!(value);
        }
    }
    children::write_status(state, key, status)?;
    Ok(())
}

fn ordinal(set: &Value, pod: &Value) -> Option<i64> {
    name(pod).strip_prefix(name(set))?.strip_prefix('-')?.parse().ok()
}
