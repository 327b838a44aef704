//! PodDisruptionBudgets: how many pods may be away.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Next;
use crate::kind::Kind;
use crate::object::{controller, deleting, is_condition, number, set_condition, text};
use crate::selector::Labels;
use crate::status::Status;
use crate::store::{Key, Object, State};
use crate::write::{Part, Writer, change, event};

const SOURCE: &str = "controllermanager";

/// Reports how many pods a budget is about, are well, must be well, and may be taken away.
pub(super) fn reconcile(state: &mut State, key: &Key, budget: &Value) -> Result<Next, Status> {
    let spec = &budget["spec"];
    let selector = Labels::of(&spec["selector"]);
    let mut pods = state.list(Kind::Pod, Some(&key.namespace));
    pods.retain(|pod| spec["selector"].is_object() && selector.matches(pod));
    let about = (Kind::PodDisruptionBudget, budget);
    if pods.is_empty() {
        event(state, about, SOURCE, "Normal", "NoPods", "No matching pods found");
    }
    let counted = match (&spec["maxUnavailable"], &spec["minAvailable"]) {
        (Value::Null, Value::Number(least)) => {
            Ok((i64::try_from(pods.len()).unwrap_or(i64::MAX), least.as_i64().unwrap_or(0)))
        }
        (Value::Null, Value::Null) => Ok((0, 0)),
        (Value::Null, least) => scale(state, key, &pods).map(|all| (all, part(least, all))),
        (most, _) => scale(state, key, &pods).map(|all| (all, (all - part(most, all)).max(0))),
    };
    let mut status = json!({"observedGeneration": budget["metadata"]["generation"]});
    if let Some(conditions) = budget["status"].get("conditions") {
        status["conditions"] = conditions.clone();
    }
    let well = pods.iter().filter(|pod| !deleting(pod) && is_condition(pod, "Ready")).count();
    let well = i64::try_from(well).unwrap_or(i64::MAX);
    let (allowed, reason, message) = match counted {
        Ok((all, least)) => {
            let allowed = if all > 0 { (well - least).max(0) } else { 0 };
            for (field, value) in [("expectedPods", all), ("desiredHealthy", least), ("currentHealthy", well)] {
                status[field] = json!(value);
            }
            (allowed, if allowed > 0 { "SufficientPods" } else { "InsufficientPods" }, String::new())
        }
        Err(why) => {
            let message = format!("Failed to calculate the number of expected pods: {why}");
            event(state, about, SOURCE, "Warning", "CalculateExpectedPodCountFailed", &message);
            for field in ["expectedPods", "desiredHealthy", "currentHealthy"] {
                status[field] = json!(number(budget, &format!("/status/{field}")));
            }
            (0, "SyncFailed", why)
        }
    };
    status["disruptionsAllowed"] = json!(allowed);
    set_condition(
        &mut status,
        json!({
            "type": "DisruptionAllowed", "status": if allowed > 0 { "True" } else { "False" }, "reason": reason,
            "message": message, "observedGeneration": budget["metadata"]["generation"],
        }),
    );
    change(state, key, Part::Status, &Writer::controller("kube-controller-manager"), |budget| {
        let mut budget = budget.clone();
        budget["status"] = status;
        Ok(budget)
    })?;
    Ok(Next::Done)
}

/// How many pods the workloads of these pods want.
fn scale(state: &State, key: &Key, pods: &[Object]) -> Result<i64, String> {
    let mut scales = BTreeMap::new();
    for pod in pods {
        let Some(owner) = controller(pod) else { continue };
        let find = |owner: &Value| {
            let kind = [Kind::ReplicaSet, Kind::StatefulSet, Kind::Deployment]
                .into_iter()
                .find(|kind| kind.description().kind == text(owner, "/kind"))?;
            let found = state.get(&Key::new(kind, &key.namespace, text(owner, "/name")));
            found.filter(|found| found["metadata"]["uid"] == owner["uid"])
        };
        let Some(found) = find(owner) else {
            return Err(format!("found no controllers for pod {:?}", text(pod, "/metadata/name")));
        };
        // What counts for a ReplicaSet of a Deployment is the Deployment.
        let found = controller(&found).and_then(find).unwrap_or(found);
        scales.insert(text(&found, "/metadata/uid").to_owned(), number(&found, "/spec/replicas"));
    }
    Ok(scales.values().sum())
}

/// A number of pods, or a part of all, rounded up.
fn part(value: &Value, all: i64) -> i64 {
    match value {
        Value::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            (all * percent + 99) / 100
        }
        other => other.as_i64().unwrap_or(0),
    }
}
