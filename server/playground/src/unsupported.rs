//! What a playground refuses because it would not act on it: an object that is stored and then left alone would be an
//! approximation of a cluster.

use serde_json::Value;

use crate::kind::Kind;
use crate::object::{items, text, uid};
use crate::status::Status;
use crate::store::{Key, State};

/// Fields of a pod's spec that nobody acts on.
const POD: [&str; 2] = ["resourceClaims", "schedulingGroup"];
/// Fields of a claim's spec that nobody acts on.
const CLAIM: [&str; 4] = ["selector", "dataSource", "dataSourceRef", "volumeAttributesClassName"];
/// Fields of a Job's spec that nobody acts on.
const JOB: [&str; 5] = ["podFailurePolicy", "successPolicy", "backoffLimitPerIndex", "maxFailedIndexes", "managedBy"];

/// Refuses an object with a field that nobody acts on, and names the field.
pub(crate) fn check(state: &State, kind: Kind, object: &Value) -> Result<(), Status> {
    let spec = &object["spec"];
    let found = match kind {
        Kind::Pod => pod(spec, "spec"),
        Kind::Deployment | Kind::ReplicaSet => pod(&spec["template"]["spec"], "spec.template.spec"),
        Kind::StatefulSet => pod(&spec["template"]["spec"], "spec.template.spec").or_else(|| {
            let mut templates = items(spec, "/volumeClaimTemplates").iter().enumerate();
            templates.find_map(|(index, one)| claim(&one["spec"], &format!("spec.volumeClaimTemplates[{index}].spec")))
        }),
        Kind::Job => job(spec),
        Kind::PersistentVolumeClaim => claim(spec, "spec").or_else(|| foreign_volume(state, object)),
        Kind::PersistentVolume => premade(state, object),
        Kind::StorageClass => {
            (!items(object, "/allowedTopologies").is_empty()).then(|| "allowedTopologies of a class".to_owned())
        }
        Kind::Namespace => pod_security(object),
        Kind::LimitRange => limits(spec),
        Kind::ResourceQuota => first(spec, "spec", &["scopes", "scopeSelector"]),
        Kind::HorizontalPodAutoscaler => metrics(spec),
        _ => None,
    };
    match found {
        Some(what) => Err(Status::not_implemented(&what)),
        None => Ok(()),
    }
}

/// Nobody holds pods to a standard here.
fn pod_security(namespace: &Value) -> Option<String> {
    const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
    let level = namespace.pointer("/metadata/labels")?.get(ENFORCE)?.as_str()?;
    (level != "privileged").then(|| format!("the label {ENFORCE}={level}"))
}

fn first(spec: &Value, path: &str, fields: &[&str]) -> Option<String> {
    fields.iter().find(|field| !spec[**field].is_null()).map(|field| format!("{path}.{field}"))
}

fn pod(spec: &Value, path: &str) -> Option<String> {
    let class = text(spec, "/priorityClassName");
    if matches!(class, "system-cluster-critical" | "system-node-critical") {
        return Some(format!("{path}.priorityClassName {class}, which preempts others"));
    }
    let volumes = items(spec, "/volumes").iter().enumerate();
    let ephemeral = volumes
        .filter(|(_, volume)| !volume["ephemeral"].is_null())
        .map(|(index, _)| format!("{path}.volumes[{index}].ephemeral"))
        .next();
    let keys = ["matchLabelKeys", "mismatchLabelKeys"];
    let mut spread = items(spec, "/topologySpreadConstraints").iter().enumerate();
    let spread =
        spread.find_map(|(index, one)| first(one, &format!("{path}.topologySpreadConstraints[{index}]"), &keys));
    let near = ["podAffinity", "podAntiAffinity"].into_iter().find_map(|kind| {
        let required = items(&spec["affinity"][kind], "/requiredDuringSchedulingIgnoredDuringExecution").iter();
        let preferred = items(&spec["affinity"][kind], "/preferredDuringSchedulingIgnoredDuringExecution").iter();
        let mut terms = required.chain(preferred.map(|one| &one["podAffinityTerm"]));
        terms.find_map(|term| first(term, &format!("{path}.affinity.{kind}"), &keys))
    });
    first(spec, path, &POD).or(ephemeral).or(spread).or(near)
}

fn claim(spec: &Value, path: &str) -> Option<String> {
    let block = spec["volumeMode"] == "Block";
    first(spec, path, &CLAIM).or_else(|| block.then(|| format!("{path}.volumeMode Block")))
}

/// A claim has the volume that was made for it, or none.
fn foreign_volume(state: &State, claim: &Value) -> Option<String> {
    let called = text(claim, "/spec/volumeName");
    let volume = state.get(&Key::new(Kind::PersistentVolume, "", called));
    let own = volume.is_some_and(|volume| !uid(claim).is_empty() && text(&volume, "/spec/claimRef/uid") == uid(claim));
    (!called.is_empty() && !own).then(|| "spec.volumeName of a claim that was not provisioned".to_owned())
}

/// A volume is made for a claim that is there, or was.
fn premade(state: &State, volume: &Value) -> Option<String> {
    let reference = &volume["spec"]["claimRef"];
    let claim = Key::new(Kind::PersistentVolumeClaim, text(reference, "/namespace"), text(reference, "/name"));
    let there = state.get(&claim).is_some_and(|claim| uid(&claim) == text(reference, "/uid"));
    let known = state.get(&Key::of(Kind::PersistentVolume, volume)).is_some_and(|known| uid(&known) == uid(volume));
    (!there && !known).then(|| "PersistentVolumes that are made by hand".to_owned())
}

fn job(spec: &Value) -> Option<String> {
    let indexed = spec["completionMode"] == "Indexed";
    let template = &spec["template"]["spec"];
    first(spec, "spec", &JOB)
        .or_else(|| indexed.then(|| "spec.completionMode Indexed".to_owned()))
        .or_else(|| pod(template, "spec.template.spec"))
}

fn limits(spec: &Value) -> Option<String> {
    items(spec, "/limits").iter().enumerate().find_map(|(index, one)| {
        let kind = text(one, "/type");
        let path = format!("spec.limits[{index}]");
        if kind == "Container" {
            first(one, &path, &["maxLimitRequestRatio"])
        } else {
            Some(format!("{path}.type {kind}"))
        }
    })
}

/// There are no metrics: those of other kinds than a resource's fail in their own ways.
fn metrics(spec: &Value) -> Option<String> {
    items(spec, "/metrics").iter().enumerate().find_map(|(index, one)| {
        let kind = text(one, "/type");
        (kind != "Resource").then(|| format!("spec.metrics[{index}].type {kind}"))
    })
}
