//! Claims and volumes: provisioned by class, bound, grown, released.

use serde_json::{Value, json};

use super::seed::{FILES, MINIMUM};
use super::{Next, garbage};
use crate::kind::Kind;
use crate::object::{annotation, at, deleting, has_finalizer, items, map_mut, text, uid};
use crate::quantity;
use crate::status::Status;
use crate::store::{Key, State};
use crate::write::{Deletion, Part, Writer, change, create, delete, event};

/// The annotation by which the scheduler tells where the first consumer is.
pub(super) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const PROTECTION: &str = "kubernetes.io/pvc-protection";

/// Brings a claim to its volume.
pub(super) fn reconcile(state: &mut State, key: &Key, claim: &Value) -> Result<Next, Status> {
    if deleting(claim) {
        if has_finalizer(claim, PROTECTION) && !in_use(state, key) {
            garbage::release(state, key, PROTECTION)?;
        }
        return Ok(Next::Done);
    }
    if text(claim, "/spec/volumeName").is_empty() { provision(state, key, claim) } else { grow(state, key, claim) }
}

/// Releases a volume whose claim is gone.
pub(super) fn volume(state: &mut State, key: &Key, volume: &Value) -> Result<Next, Status> {
    if deleting(volume) {
        if text(volume, "/status/phase") != "Bound" && has_finalizer(volume, "kubernetes.io/pv-protection") {
            garbage::release(state, key, "kubernetes.io/pv-protection")?;
        }
        return Ok(Next::Done);
    }
    let reference = &volume["spec"]["claimRef"];
    let owner = Key::new(Kind::PersistentVolumeClaim, text(reference, "/namespace"), text(reference, "/name"));
    let there = state.get(&owner).is_some_and(|claim| uid(&claim) == text(reference, "/uid"));
    let phase = match (reference.is_null(), there) {
        (true, _) => "Available",
        (false, true) => "Bound",
        (false, false) => "Released",
    };
    change(state, key, Part::Status, &writer(), |volume| {
        let mut volume = volume.clone();
        volume["status"]["phase"] = json!(phase);
        Ok(volume)
    })?;
    if phase == "Released" && volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete" {
        delete(state, key, &Deletion::default(), false)?;
    }
    Ok(Next::Done)
}

fn provision(state: &mut State, key: &Key, claim: &Value) -> Result<Next, Status> {
    let class = state.get(&Key::new(Kind::StorageClass, "", text(claim, "/spec/storageClassName")));
    let Some(class) = class else { return Ok(Next::Done) };
    let about = (Kind::PersistentVolumeClaim, claim);
    if class["volumeBindingMode"] == "WaitForFirstConsumer" && annotation(claim, SELECTED_NODE).is_empty() {
        let message = "waiting for first consumer to be created before binding";
        event(state, about, "persistentvolume-controller", "Normal", "WaitForFirstConsumer", message);
        return Ok(Next::Done);
    }
    let size = at(claim, "/spec/resources/requests/storage");
    let many = items(claim, "/spec/accessModes").iter().any(|mode| mode == "ReadWriteMany" || mode == "ReadOnlyMany");
    let provisioner = text(&class, "/provisioner").to_owned();
    let minimum = &class["parameters"][MINIMUM];
    let refusal = if many && provisioner != FILES {
        Some("a disk has one writer".to_owned())
    } else if quantity::of(size) < quantity::of(minimum) {
        Some(format!("a disk has at least {}", minimum.as_str().unwrap_or_default()))
    } else {
        None
    };
    if let Some(why) = refusal {
        event(state, about, &provisioner, "Warning", "ProvisioningFailed", &why);
        return Ok(Next::Done);
    }
    let named = format!("pvc-{}", uid(claim));
    let body = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": named, "annotations": {"pv.kubernetes.io/provisioned-by": provisioner}},
        "spec": {
            "capacity": {"storage": size}, "accessModes": claim["spec"]["accessModes"],
            "storageClassName": class["metadata"]["name"], "volumeMode": claim["spec"]["volumeMode"],
            "persistentVolumeReclaimPolicy": class["reclaimPolicy"], "csi": {"driver": provisioner, "volumeHandle": uid(claim)},
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": key.namespace,
                "name": key.name, "uid": uid(claim)},
        },
    });
    if state.get(&Key::new(Kind::PersistentVolume, "", &named)).is_none() {
        create(state, Kind::PersistentVolume, "", body, &Writer::controller(&provisioner))?;
    }
    change(state, key, Part::Main, &writer(), |claim| {
        let mut claim = claim.clone();
        claim["spec"]["volumeName"] = json!(named);
        let notes = map_mut(&mut claim, &["metadata", "annotations"]);
        for (note, value) in [
            ("pv.kubernetes.io/bind-completed", "yes"),
            ("pv.kubernetes.io/bound-by-controller", "yes"),
            ("volume.beta.kubernetes.io/storage-provisioner", provisioner.as_str()),
            ("volume.kubernetes.io/storage-provisioner", provisioner.as_str()),
        ] {
            notes.insert(note.to_owned(), json!(value));
        }
        Ok(claim)
    })?;
    change(state, key, Part::Status, &writer(), |claim| {
        let mut claim = claim.clone();
        claim["status"] = json!({
            "phase": "Bound", "accessModes": claim["spec"]["accessModes"], "capacity": {"storage": size},
        });
        Ok(claim)
    })?;
    Ok(Next::Done)
}

/// A bound claim that asks for more gets more.
fn grow(state: &mut State, key: &Key, claim: &Value) -> Result<Next, Status> {
    let size = at(claim, "/spec/resources/requests/storage").clone();
    if quantity::of(&size) <= quantity::of(at(claim, "/status/capacity/storage")) {
        return Ok(Next::Done);
    }
    let volume = Key::new(Kind::PersistentVolume, "", text(claim, "/spec/volumeName"));
    change(state, &volume, Part::Main, &writer(), |volume| {
        let mut volume = volume.clone();
        volume["spec"]["capacity"]["storage"] = size.clone();
        Ok(volume)
    })?;
    change(state, key, Part::Status, &writer(), |claim| {
        let mut claim = claim.clone();
        claim["status"]["capacity"]["storage"] = size.clone();
        Ok(claim)
    })?;
    Ok(Next::Done)
}

fn in_use(state: &State, key: &Key) -> bool {
    state.list(Kind::Pod, Some(&key.namespace)).iter().any(|pod| {
        let finished = matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
        !finished
            && items(pod, "/spec/volumes")
                .iter()
                .any(|volume| text(volume, "/persistentVolumeClaim/claimName") == key.name)
    })
}

fn writer() -> Writer {
    Writer::controller("kube-controller-manager")
}
