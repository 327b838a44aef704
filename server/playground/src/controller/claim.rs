//! Claims and volumes: provisioned by class, bound, grown, released.

use serde_json::{Value, json};

use super::seed::{DISK, FILES, MINIMUM};
use super::{Next, garbage};
use crate::kind::Kind;
use crate::object::{annotation, at, deleting, has_finalizer, items, label, map_mut, text, uid};
use crate::quantity;
use crate::status::Status;
use crate::store::{Key, State};
use crate::write::{Deletion, Part, Writer, change, create, delete, event};

/// The annotation by which the scheduler tells where the first consumer is.
pub(super) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const CONTROLLER: &str = "persistentvolume-controller";
const PROTECTION: &str = "kubernetes.io/pvc-protection";
/// The annotations by which a provisioner knows the claims that are its own.
const PROVISIONERS: [&str; 2] =
    ["volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner"];
const ZONE: &str = "topology.kubernetes.io/zone";

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

/// The names of the claims that a pod uses.
pub(super) fn of_pod(pod: &Value) -> Vec<&str> {
    let claims = items(pod, "/spec/volumes").iter().map(|volume| text(volume, "/persistentVolumeClaim/claimName"));
    claims.filter(|claim| !claim.is_empty()).collect()
}

/// Whether a volume of these access modes can be on several nodes.
pub(super) fn is_shared(claim: &Value) -> bool {
    items(claim, "/spec/accessModes").iter().any(|mode| mode == "ReadWriteMany" || mode == "ReadOnlyMany")
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
    let about = (Kind::PersistentVolumeClaim, claim);
    let called = text(claim, "/spec/storageClassName");
    if called.is_empty() {
        let message = "no persistent volumes available for this claim and no storage class is set";
        event(state, about, CONTROLLER, "Normal", "FailedBinding", message);
        return Ok(Next::Done);
    }
    let Some(class) = state.get(&Key::new(Kind::StorageClass, "", called)) else {
        let message = format!("storageclass.storage.k8s.io \"{called}\" not found");
        event(state, about, CONTROLLER, "Warning", "ProvisioningFailed", &message);
        return Ok(Next::Done);
    };
    if class["volumeBindingMode"] == "WaitForFirstConsumer" && annotation(claim, SELECTED_NODE).is_empty() {
        let message = "waiting for first consumer to be created before binding";
        event(state, about, CONTROLLER, "Normal", "WaitForFirstConsumer", message);
        return Ok(Next::Done);
    }
    let size = at(claim, "/spec/resources/requests/storage");
    let provisioner = text(&class, "/provisioner").to_owned();
    if provisioner != DISK && provisioner != FILES {
        return leave(state, key, claim, &provisioner);
    }
    let minimum = &class["parameters"][MINIMUM];
    let refusal = if is_shared(claim) && provisioner != FILES {
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
    let mut body = json!({
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
    let node = state.get(&Key::new(Kind::Node, "", annotation(claim, SELECTED_NODE)));
    if let Some(node) = node.filter(|_| class["volumeBindingMode"] == "WaitForFirstConsumer") {
        // It is in the zone of its first pod.
        let zone = json!({"key": ZONE, "operator": "In", "values": [label(&node, ZONE)]});
        body["spec"]["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [zone]}]}});
    }
    if state.get(&Key::new(Kind::PersistentVolume, "", &named)).is_none() {
        create(state, Kind::PersistentVolume, "", body, &Writer::controller(&provisioner))?;
    }
    change(state, key, Part::Main, &writer(), |claim| {
        let mut claim = claim.clone();
        claim["spec"]["volumeName"] = json!(named);
        let notes = map_mut(&mut claim, &["metadata", "annotations"]);
        for note in ["pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller"] {
            notes.insert(note.to_owned(), json!("yes"));
        }
        for note in PROVISIONERS {
            notes.insert(note.to_owned(), json!(provisioner));
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

/// Leaves a claim to a provisioner that nobody runs here: it waits, and says for whom.
fn leave(state: &mut State, key: &Key, claim: &Value, provisioner: &str) -> Result<Next, Status> {
    let about = (Kind::PersistentVolumeClaim, claim);
    if provisioner.starts_with("kubernetes.io/") {
        let message = format!("no volume plugin matched name: {provisioner}");
        event(state, about, CONTROLLER, "Warning", "ProvisioningFailed", &message);
        return Ok(Next::Done);
    }
    let told = PROVISIONERS.iter().all(|note| annotation(claim, note) == provisioner);
    change(state, key, Part::Main, &writer(), |claim| {
        let mut claim = claim.clone();
        let notes = map_mut(&mut claim, &["metadata", "annotations"]);
        for note in PROVISIONERS {
            notes.insert(note.to_owned(), json!(provisioner));
        }
        Ok(claim)
    })?;
    if !told {
        let message = format!(
            "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the \
             system administrator. If volume creation is delayed, please verify that the provisioner is running and \
             correctly registered."
        );
        event(state, about, CONTROLLER, "Normal", "ExternalProvisioning", &message);
    }
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

/// Whether a pod uses a claim: one that has a node, also after it has ended.
fn in_use(state: &State, key: &Key) -> bool {
    let pods = state.list(Kind::Pod, Some(&key.namespace));
    pods.iter().any(|pod| !text(pod, "/spec/nodeName").is_empty() && of_pod(pod).contains(&key.name.as_str()))
}

fn writer() -> Writer {
    Writer::controller("kube-controller-manager")
}
