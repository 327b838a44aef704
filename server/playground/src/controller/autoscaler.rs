//! HorizontalPodAutoscalers: a cluster without metrics holds a workload between its bounds and does no more.

use std::time::Duration;

use serde_json::{Value, json};

use super::Next;
use crate::api::scale;
use crate::clock;
use crate::kind::Kind;
use crate::object::{deleting, items, number, set_condition, text};
use crate::status::Status;
use crate::store::{Key, State};
use crate::write::{Part, Writer, change, event};

/// How often the bounds are looked at.
pub(super) const PERIOD: Duration = Duration::from_secs(15);
const SOURCE: &str = "horizontal-pod-autoscaler";

/// Scales the target into the bounds, and says why it does no more.
pub(super) fn reconcile(state: &mut State, key: &Key, object: &Value) -> Result<Next, Status> {
    if deleting(object) {
        return Ok(Next::Done);
    }
    let about = (Kind::HorizontalPodAutoscaler, object);
    let mut status = json!({"currentMetrics": null, "desiredReplicas": number(object, "/status/desiredReplicas")});
    for field in ["conditions", "lastScaleTime", "currentReplicas", "currentMetrics"] {
        if let Some(value) = object["status"].get(field) {
            status[field] = value.clone();
        }
    }
    let target = match target(state, key, object) {
        Ok(target) => target,
        Err(why) => {
            event(state, about, SOURCE, "Warning", "FailedGetScale", &why);
            let message = format!("the HPA controller was unable to get the target's current scale: {why}");
            say(&mut status, "AbleToScale", false, "FailedGetScale", &message);
            return write(state, key, status);
        }
    };
    let found = state.require(&target)?;
    let now = number(&found, "/spec/replicas");
    let (least, most) = (number(object, "/spec/minReplicas"), number(object, "/spec/maxReplicas"));
    say(
        &mut status,
        "AbleToScale",
        true,
        "SucceededGetScale",
        "the HPA controller was able to get the target's current scale",
    );
    status["currentReplicas"] = json!(now);
    let (wanted, reason) = if now == 0 {
        let message = "scaling is disabled since the replica count of the target is zero";
        say(&mut status, "ScalingActive", false, "ScalingDisabled", message);
        status["desiredReplicas"] = json!(0);
        return write(state, key, status);
    } else if now > most {
        (most, "Current number of replicas above Spec.MaxReplicas")
    } else if now < least {
        (least, "Current number of replicas below Spec.MinReplicas")
    } else {
        blind(state, object, &mut status);
        return write(state, key, status);
    };
    change(state, &target, Part::Scale, &Writer::controller("kube-controller-manager"), |old| {
        let mut asked = scale::read(old);
        asked["spec"]["replicas"] = json!(wanted);
        scale::write(target.kind, old, &asked)
    })?;
    let message = format!("the HPA controller was able to update the target scale to {wanted}");
    say(&mut status, "AbleToScale", true, "SucceededRescale", &message);
    event(state, about, SOURCE, "Normal", "SuccessfulRescale", &format!("New size: {wanted}; reason: {reason}"));
    status["desiredReplicas"] = json!(wanted);
    status["lastScaleTime"] = json!(clock::timestamp());
    write(state, key, status)
}

/// The workload that is scaled, or why there is none.
fn target(state: &State, key: &Key, object: &Value) -> Result<Key, String> {
    let reference = &object["spec"]["scaleTargetRef"];
    let version = text(reference, "/apiVersion");
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let wanted = text(reference, "/kind");
    let kind = Kind::ALL.into_iter().find(|kind| {
        let found = kind.description();
        found.group == group && found.kind == wanted
    });
    let Some(kind) = kind else { return Err(format!("no matches for kind {wanted:?} in group {group:?}")) };
    let target = Key::new(kind, &key.namespace, text(reference, "/name"));
    if !kind.description().scale {
        return Err("the server could not find the requested resource".to_owned());
    }
    if state.get(&target).is_none() { Err(Status::not_found(kind, &target.name).message) } else { Ok(target) }
}

/// Says that there are no metrics to scale by.
fn blind(state: &mut State, object: &Value, status: &mut Value) {
    let metrics = items(object, "/spec/metrics");
    let Some(metric) = metrics.first() else { return };
    let resource = text(metric, "/resource/name");
    let what = if metric["resource"]["target"]["averageUtilization"].is_null() { "usage" } else { "utilization" };
    let why = format!(
        "failed to get {resource} {what}: unable to get metrics for resource {resource}: unable to fetch metrics from \
         resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)"
    );
    let message = format!("the HPA was unable to compute the replica count: {why}");
    say(status, "ScalingActive", false, "FailedGetResourceMetric", &message);
    let about = (Kind::HorizontalPodAutoscaler, object);
    event(state, about, SOURCE, "Warning", "FailedGetResourceMetric", &why);
    let (bad, all) = (metrics.len(), metrics.len());
    let message = format!("invalid metrics ({bad} invalid out of {all}), first error is: {why}");
    event(state, about, SOURCE, "Warning", "FailedComputeMetricsReplicas", &message);
    // One without content for each, as the real controller writes it.
    status["currentMetrics"] = Value::Array(metrics.iter().map(|_| json!({"type": ""})).collect());
}

fn say(status: &mut Value, kind: &str, holds: bool, reason: &str, message: &str) {
    let value = if holds { "True" } else { "False" };
    set_condition(status, json!({"type": kind, "status": value, "reason": reason, "message": message}));
}

fn write(state: &mut State, key: &Key, status: Value) -> Result<Next, Status> {
    change(state, key, Part::Status, &Writer::controller("kube-controller-manager"), |object| {
        let mut object = object.clone();
        object["status"] = status;
        Ok(object)
    })?;
    Ok(Next::After(PERIOD))
}
