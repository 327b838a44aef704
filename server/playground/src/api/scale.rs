//! The scale subresource of workloads.

use serde_json::{Value, json};

use crate::kind::Kind;
use crate::object::{name, number, text};
use crate::status::{Cause, Status};

/// The scale of a workload.
pub(crate) fn read(object: &Value) -> Value {
    let labels = object["spec"]["selector"]["matchLabels"].as_object();
    let selector: Vec<String> =
        labels.into_iter().flatten().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or(""))).collect();
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        metadata[field] = object["metadata"][field].clone();
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": {"replicas": number(object, "/spec/replicas")},
        "status": {"replicas": number(object, "/status/replicas"), "selector": selector.join(",")},
    })
}

/// A workload with the replicas of a scale.
pub(crate) fn write(kind: Kind, object: &Value, scale: &Value) -> Result<Value, Status> {
    if text(scale, "/kind") != "Scale" {
        return Err(Status::bad_request("the body of the request is no Scale of autoscaling/v1"));
    }
    let replicas = number(scale, "/spec/replicas");
    if replicas < 0 {
        let why = "must be greater than or equal to 0";
        let cause = Cause::invalid("spec.replicas", &json!(replicas), why);
        return Err(Status::invalid(kind, name(object), &[cause]));
    }
    let mut object = object.clone();
    object["spec"]["replicas"] = json!(replicas);
    object["metadata"]["resourceVersion"] = scale["metadata"]["resourceVersion"].clone();
    Ok(object)
}
