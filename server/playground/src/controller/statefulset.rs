//! StatefulSets: pods with ordinals, each with claims of its own, one after the other.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Next, children};
use crate::kind::Kind;
use crate::object::{deleting, items, label, list_mut, map_mut, name, number, text};
use crate::status::Status;
use crate::store::{Key, Object, State};
use crate::write::{Part, change, create, event};

use revision::Revisions;

mod revision;

const REVISION: &str = "controller-revision-hash";

/// Moves a StatefulSet on by one step, and reports.
pub(super) fn reconcile(state: &mut State, key: &Key, set: &Value) -> Result<Next, Status> {
    let pods = children::of(state, Kind::Pod, Kind::StatefulSet, set)?;
    if deleting(set) {
        return Ok(Next::Done);
    }
    let revisions = Revisions::of(state, set)?;
    let result = step(state, set, &pods, &revisions);
    let pause = report(state, key, set, &revisions)?;
    result?;
    revisions.forget(state, set, &pods)?;
    Ok(pause.map_or(Next::Done, Next::After))
}

/// Goes through the pods in the order of their ordinals. In an ordered set everything waits for the first that is not
/// available, whatever its revision: a broken pod of an old one stays until somebody deletes it. So does, in any set, a
/// pod that lacks a claim: it would have to be changed, which is refused.
fn step(state: &mut State, set: &Value, pods: &[Object], revisions: &Revisions) -> Result<(), Status> {
    let wanted = number(set, "/spec/replicas");
    let first = number(set, "/spec/ordinals/start");
    let ordered = set["spec"]["podManagementPolicy"] != "Parallel";
    let minimum = number(set, "/spec/minReadySeconds");
    let find = |ordinal: i64| pods.iter().find(|pod| self::ordinal(set, pod) == Some(ordinal));
    for ordinal in first..first + wanted {
        let waits = match find(ordinal) {
            None => {
                let created = claims(state, set, ordinal).and_then(|()| create_pod(state, set, ordinal, revisions));
                told(state, set, "Create", &format!("{}-{ordinal}", name(set)), created)?;
                true
            }
            Some(pod) if matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") => {
                if !deleting(pod) {
                    children::remove(state, Kind::Pod, pod)?;
                }
                true
            }
            Some(pod) => {
                if text(pod, "/status/phase") == "Pending" {
                    claims(state, set, ordinal)?;
                }
                deleting(pod) || !is_available(pod, minimum)
            }
        };
        if waits && ordered {
            return Ok(());
        }
        if let Some(pod) = find(ordinal)
            && lacks_claim(set, pod)
        {
            let updated = claims(state, set, ordinal).and_then(|()| give_claims(state, set, pod));
            told(state, set, "Update", name(pod), updated)?;
        }
    }
    let mut surplus: Vec<&Object> = pods
        .iter()
        .filter(|pod| ordinal(set, pod).is_some_and(|ordinal| ordinal < first || ordinal >= first + wanted))
        .collect();
    surplus.sort_by_key(|pod| std::cmp::Reverse(ordinal(set, pod)));
    // The lowest of the surplus that is broken may go before those above it are well.
    let broken = surplus.iter().rfind(|pod| deleting(pod) || !is_available(pod, minimum)).map(|pod| name(pod));
    for pod in &surplus {
        let held = !is_available(pod, minimum) && broken != Some(name(pod));
        if ordered && (deleting(pod) || held) {
            return Ok(());
        }
        if !deleting(pod) {
            children::remove(state, Kind::Pod, pod)?;
            let message = format!("Delete Pod {} in StatefulSet {} successful", name(pod), name(set));
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
    for ordinal in (first + partition(set)..first + wanted).rev() {
        let Some(pod) = find(ordinal) else { return Ok(()) };
        if label(pod, REVISION) != name(&revisions.update) && !deleting(pod) {
            return children::remove(state, Kind::Pod, pod);
        }
        if deleting(pod) || !is_available(pod, minimum) {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether a pod has been ready for as long as the set demands.
fn is_available(pod: &Value, minimum: i64) -> bool {
    text(pod, "/status/phase") == "Running" && children::seconds_to_available(pod, minimum) == Some(0)
}

/// From which pod on an update replaces them, counted from the first.
fn partition(set: &Value) -> i64 {
    number(set, "/spec/updateStrategy/rollingUpdate/partition")
}

/// Creates a pod: of the current revision below the partition, else of the one that the set is updated to.
fn create_pod(state: &mut State, set: &Value, ordinal: i64, revisions: &Revisions) -> Result<(), Status> {
    let called = format!("{}-{ordinal}", name(set));
    let old = ordinal < number(set, "/spec/ordinals/start") + partition(set);
    let revision = if old { &revisions.current } else { &revisions.update };
    children::create_pod(state, Kind::StatefulSet, &revision::at(set, revision), |pod| {
        let metadata = map_mut(pod, &["metadata"]);
        metadata.insert("generateName".to_owned(), json!(format!("{}-", name(set))));
        metadata.insert("name".to_owned(), json!(called));
        let labels = map_mut(pod, &["metadata", "labels"]);
        labels.insert(REVISION.to_owned(), json!(name(revision)));
        labels.insert("statefulset.kubernetes.io/pod-name".to_owned(), json!(called));
        labels.insert("apps.kubernetes.io/pod-index".to_owned(), json!(ordinal.to_string()));
        pod["spec"]["hostname"] = json!(called);
        if !text(set, "/spec/serviceName").is_empty() {
            pod["spec"]["subdomain"] = set["spec"]["serviceName"].clone();
        }
        add_volumes(set, &called, pod);
    })?;
    let message = format!("Create Pod {called} in StatefulSet {} successful", name(set));
    event(state, (Kind::StatefulSet, set), "statefulset-controller", "Normal", "SuccessfulCreate", &message);
    Ok(())
}

/// Writes the volumes of the claims of a set into a pod.
fn add_volumes(set: &Value, called: &str, pod: &mut Value) {
    for template in items(set, "/spec/volumeClaimTemplates") {
        let volume = name(template);
        let list = list_mut(&mut pod["spec"], "volumes");
        list.retain(|one| one["name"] != volume);
        let claim = json!({"claimName": format!("{volume}-{called}")});
        list.push(json!({"name": volume, "persistentVolumeClaim": claim}));
    }
}

/// Whether a pod has no volume of a claim that a template of the set describes.
fn lacks_claim(set: &Value, pod: &Value) -> bool {
    items(set, "/spec/volumeClaimTemplates").iter().any(|template| {
        let claim = format!("{}-{}", name(template), name(pod));
        !items(pod, "/spec/volumes").iter().any(|volume| {
            volume["name"] == name(template) && volume["persistentVolumeClaim"]["claimName"] == claim.as_str()
        })
    })
}

/// Tries to give a pod the volumes that it lacks, as the real controller does: the volumes of a pod never change, so
/// this is refused again and again.
fn give_claims(state: &mut State, set: &Value, pod: &Object) -> Result<(), Status> {
    let key = Key::new(Kind::Pod, text(pod, "/metadata/namespace"), name(pod));
    change(state, &key, Part::Main, &children::writer(), |pod| {
        let mut changed = pod.clone();
        add_volumes(set, name(pod), &mut changed);
        Ok(changed)
    })
    .map(drop)
}

/// Tells in an event of the set that something failed.
fn told(state: &mut State, set: &Value, verb: &str, pod: &str, result: Result<(), Status>) -> Result<(), Status> {
    if let Err(status) = &result {
        let message = format!("{verb} Pod {pod} in StatefulSet {} failed error: {}", name(set), status.message);
        let reason = format!("Failed{verb}");
        event(state, (Kind::StatefulSet, set), "statefulset-controller", "Warning", &reason, &message);
    }
    result
}

/// Creates the claims of one pod, where they are not there yet.
fn claims(state: &mut State, set: &Value, ordinal: i64) -> Result<(), Status> {
    for template in items(set, "/spec/volumeClaimTemplates") {
        let called = format!("{}-{}-{ordinal}", name(template), name(set));
        let space = text(set, "/metadata/namespace").to_owned();
        if let Some(found) = state.get(&Key::new(Kind::PersistentVolumeClaim, &space, &called)) {
            if deleting(&found) {
                return Err(Status::internal(format!("pvc {called} is being deleted")));
            }
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
        let message = format!("Create Claim {called} Pod {}-{ordinal} in StatefulSet {} success", name(set), name(set));
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

fn report(state: &mut State, key: &Key, set: &Value, revisions: &Revisions) -> Result<Option<Duration>, Status> {
    let pods = children::of(state, Kind::Pod, Kind::StatefulSet, set)?;
    let minimum = number(set, "/spec/minReadySeconds");
    let (mut ready, mut available, mut pause) = (0, 0, None);
    for pod in pods.iter().filter(|pod| text(pod, "/status/phase") == "Running") {
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
    let of =
        |revision: &Value| pods.iter().filter(|pod| label(pod, REVISION) == name(revision) && !deleting(pod)).count();
    let wanted = usize::try_from(number(set, "/spec/replicas")).unwrap_or(0);
    let updated = of(&revisions.update);
    let done = set["spec"]["updateStrategy"]["type"] == "RollingUpdate"
        && updated == wanted
        && ready == wanted
        && pods.len() == wanted;
    let current = if done { &revisions.update } else { &revisions.current };
    let mut status = json!({
        "observedGeneration": set["metadata"]["generation"], "replicas": pods.len(), "availableReplicas": available,
        "currentRevision": name(current), "updateRevision": name(&revisions.update), "collisionCount": 0,
    });
    for (field, value) in [("readyReplicas", ready), ("currentReplicas", of(current)), ("updatedReplicas", updated)] {
        if value > 0 {
            status[field] = json!(value);
        }
    }
    children::write_status(state, key, status)?;
    Ok(pause)
}

fn ordinal(set: &Value, pod: &Value) -> Option<i64> {
    name(pod).strip_prefix(name(set))?.strip_prefix('-')?.parse().ok()
}
