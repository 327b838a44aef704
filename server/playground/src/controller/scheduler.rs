//! The scheduler: which node a pod goes to.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::claim::SELECTED_NODE;
use crate::kind::Kind;
use crate::object::{items, label, map_mut, name, set_condition, text};
use crate::status::Status;
use crate::store::{Key, Object, State};
use crate::write::{Part, Writer, change, event};

use around::Around;

mod around;
mod fit;
mod neighbours;
mod volumes;

/// The scheduler that a cluster has; pods for another wait for it.
const NAME: &str = "default-scheduler";

/// Why a pod cannot go to a node.
#[derive(Clone, Copy, Debug)]
struct Misfit {
    reason: &'static str,
    /// Whether the pods that are there have to do with it.
    others: bool,
}

impl Misfit {
    /// It is for the node, or for the pod itself.
    const fn own(reason: &'static str) -> Self {
        Self { reason, others: false }
    }

    /// It is for the pods that are there.
    const fn others(reason: &'static str) -> Self {
        Self { reason, others: true }
    }
}

/// Gives a pod a node, or says why there is none.
pub(super) fn schedule(state: &mut State, key: &Key, pod: &Value) -> Result<(), Status> {
    if text(pod, "/spec/schedulerName") != NAME || !items(pod, "/spec/schedulingGates").is_empty() {
        return Ok(());
    }
    let around = Around::of(state);
    let total = around.nodes.len();
    let waiting = match volumes::waiting(state, key, pod) {
        Ok(waiting) => waiting,
        Err(why) => return refuse(state, key, pod, &format!("0/{total} nodes are available: {why}. not found")),
    };
    if waiting.iter().any(|(_, immediate)| *immediate) {
        let why = format!("0/{total} nodes are available: pod has unbound immediate PersistentVolumeClaims. not found");
        return refuse(state, key, pod, &why);
    }
    let mut reasons: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut helpless: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut fitting: Vec<&Object> = Vec::new();
    for node in &around.nodes {
        let misfit = fit::misfit(&around, node, pod)
            .or_else(|| volumes::misfit(state, &around, key, node, pod))
            .or_else(|| neighbours::misfit(&around, node, pod));
        match misfit {
            Some(misfit) => {
                *reasons.entry(misfit.reason).or_default() += 1;
                let word = if misfit.others {
                    "No preemption victims found for incoming pod."
                } else {
                    "Preemption is not helpful for scheduling."
                };
                *helpless.entry(word).or_default() += 1;
            }
            None => fitting.push(node),
        }
    }
    let best = |node: &&&Object| {
        (std::cmp::Reverse(neighbours::liking(&around, node, pod)), around.load(node), name(node).to_owned())
    };
    let Some(node) = fitting.iter().min_by_key(best) else {
        let list = |counts: &BTreeMap<&'static str, usize>| {
            let mut list: Vec<String> = counts.iter().map(|(why, count)| format!("{count} {why}")).collect();
            list.sort();
            list.join(", ")
        };
        let message = format!(
            "0/{total} nodes are available: {}. no new claims to deallocate, preemption: 0/{total} nodes are available: {}",
            list(&reasons),
            list(&helpless)
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

fn writer() -> Writer {
    Writer::controller("kube-scheduler")
}
