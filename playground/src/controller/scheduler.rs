//! The scheduler: which node a pod goes to.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::claim::SELECTED_NODE;
use crate::kind::Kind;
use crate::object::{annotation, items, label, map_mut, name, set_condition, text};
use crate::quantity;
use crate::selector::Labels;
use crate::status::Status;
use crate::store::{Key, Object, State};
use crate::write::{Part, Writer, change, event};

/// Gives a pod a node, or says why there is none.
pub(super) fn schedule(state: &mut State, key: &Key, pod: &Value) -> Result<(), Status> {
    let nodes = state.list(Kind::Node, None);
    let total = nodes.len();
    let waiting = match claims(state, key, pod) {
        Ok(waiting) => waiting,
        Err(why) => return refuse(state, key, pod, &format!("0/{total} nodes are available: {why}. not found")),
    };
    if waiting.iter().any(|(_, immediate)| *immediate) {
        let why = format!("0/{total} nodes are available: pod has unbound immediate PersistentVolumeClaims. not found");
        return refuse(state, key, pod, &why);
    }
    if !items(pod, "/spec/schedulingGates").is_empty() {
        return Ok(());
    }
    let mut reasons: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut fitting: Vec<(usize, &Object)> = Vec::new();
    for node in &nodes {
        match misfit(state, node, pod) {
            Some(why) => *reasons.entry(why).or_default() += 1,
            None => fitting.push((load(state, node), node)),
        }
    }
    let chosen = fitting.iter().min_by_key(|(load, node)| (*load, name(node).to_owned()));
    let Some((_, node)) = chosen else {
        let list: Vec<String> = reasons.iter().map(|(why, count)| format!("{count} {why}")).collect();
        let message = format!(
            "0/{total} nodes are available: {}. no new claims to deallocate, preemption: 0/{total} nodes are available: \
             {total} Preemption is not helpful for scheduling.",
            list.join(", ")
        );
        return refuse(state, key, pod, &message);
    };
    if !waiting.is_empty() {
        for (claim, _) in waiting {
            change(state, &claim, Part::Main, &writer(), |claim| {
                let mut claim = claim.clone();
                map_mut(&mut claim, &["metadata", "annotations"]).insert(SELECTED_NODE.to_owned(), json!(name(node)));
                Ok(claim)
            })?;
        }
        return Ok(());
    }
    bind(state, key, pod, node)
}

/// Binds as the subresource `binding` does: nobody owns the fields that it sets.
fn bind(state: &mut State, key: &Key, pod: &Value, node: &Value) -> Result<(), Status> {
    let mut bound = pod.clone();
    bound["spec"]["nodeName"] = json!(name(node));
    for topology in ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"] {
        let place = label(node, topology);
        if !place.is_empty() {
            map_mut(&mut bound, &["metadata", "labels"]).insert(topology.to_owned(), json!(place));
        }
    }
    state.put(Kind::Pod, bound);
    change(state, key, Part::Status, &writer(), |pod| {
        let mut pod = pod.clone();
        let condition = json!({"type": "PodScheduled", "status": "True"});
        set_condition(&mut pod["status"], condition);
        Ok(pod)
    })?;
    let message = format!("Successfully assigned {}/{} to {}", key.namespace, key.name, name(node));
    event(state, (Kind::Pod, pod), "default-scheduler", "Normal", "Scheduled", &message);
    Ok(())
}

fn refuse(state: &mut State, key: &Key, pod: &Value, message: &str) -> Result<(), Status> {
    let said = crate::object::condition(pod, "PodScheduled").is_some_and(|one| one["message"] == message);
    if said {
        return Ok(());
    }
    event(state, (Kind::Pod, pod), "default-scheduler", "Warning", "FailedScheduling", message);
    change(state, key, Part::Status, &writer(), |pod| {
        let mut pod = pod.clone();
        let condition =
            json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message});
        set_condition(&mut pod["status"], condition);
        Ok(pod)
    })?;
    Ok(())
}

/// The claims of a pod that have no volume, and whether they should have one already.
fn claims(state: &State, key: &Key, pod: &Value) -> Result<Vec<(Key, bool)>, String> {
    let mut waiting = Vec::new();
    for volume in items(pod, "/spec/volumes") {
        let called = text(volume, "/persistentVolumeClaim/claimName");
        if called.is_empty() {
            continue;
        }
        let claim = Key::new(Kind::PersistentVolumeClaim, &key.namespace, called);
        let Some(found) = state.get(&claim) else {
            return Err(format!("persistentvolumeclaim \"{called}\" not found"));
        };
        if crate::object::deleting(&found) {
            return Err(format!("persistentvolumeclaim \"{called}\" is being deleted"));
        }
        if text(&found, "/status/phase") != "Bound" {
            let class = state.get(&Key::new(Kind::StorageClass, "", text(&found, "/spec/storageClassName")));
            let waits = class.is_some_and(|class| class["volumeBindingMode"] == "WaitForFirstConsumer");
            if waits && !annotation(&found, SELECTED_NODE).is_empty() {
                // It was asked for; the change of the claim brings the pod back.
                waiting.push((claim, false));
            } else {
                waiting.push((claim, !waits));
            }
        }
    }
    Ok(waiting)
}

/// Why a pod cannot go to a node.
fn misfit(state: &State, node: &Value, pod: &Value) -> Option<&'static str> {
    if node["spec"]["unschedulable"] == true {
        return Some("node(s) were unschedulable");
    }
    if !crate::object::is_condition(node, "Ready") {
        return Some("node(s) were not ready");
    }
    let tolerated = |taint: &Value| {
        items(pod, "/spec/tolerations").iter().any(|one| {
            let key = text(one, "/key").is_empty() || one["key"] == taint["key"];
            let value = one["operator"] == "Exists" || text(one, "/value") == text(taint, "/value");
            let effect = text(one, "/effect").is_empty() || one["effect"] == taint["effect"];
            key && value && effect
        })
    };
    let hard = |taint: &&Value| taint["effect"] != "PreferNoSchedule";
    if items(node, "/spec/taints").iter().filter(hard).any(|taint| !tolerated(taint)) {
        return Some("node(s) had untolerated taint(s)");
    }
    let wanted = json!({"matchLabels": pod["spec"]["nodeSelector"]});
    if !Labels::of(&wanted).matches(node) || !near(node, pod) {
        return Some("node(s) didn't match Pod's node affinity/selector");
    }
    let here: Vec<Object> = state
        .list(Kind::Pod, None)
        .into_iter()
        .filter(|other| other["spec"]["nodeName"] == node["metadata"]["name"])
        .filter(|other| !matches!(text(other, "/status/phase"), "Succeeded" | "Failed"))
        .collect();
    let room = &node["status"]["allocatable"];
    if quantity::of(&room["pods"]) <= i128::try_from(here.len()).unwrap_or(i128::MAX) * 1_000_000_000 {
        return Some("Too many pods");
    }
    for (resource, reason) in [("cpu", "Insufficient cpu"), ("memory", "Insufficient memory")] {
        let asks = |pod: &Value| -> i128 {
            items(pod, "/spec/containers").iter().map(|one| quantity::of(&one["resources"]["requests"][resource])).sum()
        };
        let used: i128 = here.iter().map(|pod| asks(pod)).sum();
        if asks(pod) > 0 && used + asks(pod) > quantity::of(&room[resource]) {
            return Some(reason);
        }
    }
    None
}

/// Whether the required node affinity holds: one of its terms.
fn near(node: &Value, pod: &Value) -> bool {
    let required = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    let terms = items(pod, required);
    let expression = |one: &Value| {
        let value = label(node, text(one, "/key")).parse::<i64>();
        let bound = items(one, "/values").first().and_then(Value::as_str).and_then(|value| value.parse::<i64>().ok());
        match one["operator"].as_str() {
            Some("Gt") => value.is_ok_and(|value| bound.is_some_and(|bound| value > bound)),
            Some("Lt") => value.is_ok_and(|value| bound.is_some_and(|bound| value < bound)),
            _ => Labels::of(&json!({"matchExpressions": [one]})).matches(node),
        }
    };
    let field = |one: &Value| {
        let named = items(one, "/values").iter().any(|value| value == name(node));
        if one["operator"] == "NotIn" { !named } else { named }
    };
    terms.is_empty()
        || terms.iter().any(|term| {
            items(term, "/matchExpressions").iter().all(expression) && items(term, "/matchFields").iter().all(field)
        })
}

fn load(state: &State, node: &Value) -> usize {
    state.list(Kind::Pod, None).iter().filter(|pod| pod["spec"]["nodeName"] == node["metadata"]["name"]).count()
}

fn writer() -> Writer {
    Writer::controller("kube-scheduler")
}
