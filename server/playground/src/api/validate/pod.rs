//! Pod specs: containers, ports, environment, volumes and their mounts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::names;
use crate::object::{items, text};
use crate::quantity;
use crate::status::Cause;

/// Checks the spec of a pod or of a pod template.
pub(crate) fn spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    with_claims(spec, &[], path, causes);
}

/// Checks the spec of a pod that also has a volume for each of these claim templates.
pub(crate) fn with_claims(spec: &Value, claims: &[Value], path: &str, causes: &mut Vec<Cause>) {
    if items(spec, "/containers").is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let mut volumes: BTreeSet<&str> = BTreeSet::new();
    for (index, volume) in items(spec, "/volumes").iter().enumerate() {
        let at = format!("{path}.volumes[{index}]");
        name(volume, &at, &mut volumes, causes);
        let sources = volume.as_object().map_or(0, |fields| fields.len().saturating_sub(1));
        if sources > 1 {
            causes.push(Cause::forbidden(at, "may not specify more than 1 volume type"));
        }
    }
    volumes.extend(claims.iter().map(|claim| text(claim, "/metadata/name")));
    let mut containers = BTreeSet::new();
    for list in ["containers", "initContainers"] {
        for (index, container) in items(spec, &format!("/{list}")).iter().enumerate() {
            let at = format!("{path}.{list}[{index}]");
            name(container, &at, &mut containers, causes);
            self::container(container, &at, &volumes, causes);
        }
    }
    let restart = text(spec, "/restartPolicy");
    if !matches!(restart, "Always" | "OnFailure" | "Never") {
        let known = ["Always", "Never", "OnFailure"];
        causes.push(Cause::unsupported(format!("{path}.restartPolicy"), restart, &known));
    }
    if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
        let field = format!("{path}.terminationGracePeriodSeconds");
        causes.push(Cause::invalid(
            field,
            &spec["terminationGracePeriodSeconds"],
            "must be greater than or equal to 0",
        ));
    }
}

/// Checks the number of a port.
pub(crate) fn port_number(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if !value.as_i64().is_some_and(|port| (1..=65535).contains(&port)) {
        let shown = if value.is_null() { json!(0) } else { value.clone() };
        if value.is_null() {
            causes.push(Cause::required(path, ""));
        } else {
            causes.push(Cause::invalid(path, &shown, "must be between 1 and 65535, inclusive"));
        }
    }
}

fn name<'a>(object: &'a Value, path: &str, seen: &mut BTreeSet<&'a str>, causes: &mut Vec<Cause>) {
    let called = text(object, "/name");
    let field = format!("{path}.name");
    if called.is_empty() {
        causes.push(Cause::required(field, ""));
    } else if !names::is_label(called) {
        causes.push(Cause::invalid(field, &object["name"], names::LABEL));
    } else if !seen.insert(called) {
        causes.push(Cause::duplicate(field, &object["name"]));
    }
}

fn container(container: &Value, path: &str, volumes: &BTreeSet<&str>, causes: &mut Vec<Cause>) {
    let image = text(container, "/image");
    if image.is_empty() {
        causes.push(Cause::required(format!("{path}.image"), ""));
    } else if image.trim() != image {
        let why = "must not have leading or trailing whitespace";
        causes.push(Cause::invalid(format!("{path}.image"), &container["image"], why));
    }
    let policy = text(container, "/imagePullPolicy");
    if !matches!(policy, "Always" | "IfNotPresent" | "Never") {
        let known = ["Always", "IfNotPresent", "Never"];
        causes.push(Cause::unsupported(format!("{path}.imagePullPolicy"), policy, &known));
    }
    let mut ports = BTreeSet::new();
    for (index, port) in items(container, "/ports").iter().enumerate() {
        let called = text(port, "/name");
        let field = format!("{path}.ports[{index}].name");
        let faults = names::port(called);
        causes.extend(faults.iter().map(|why| Cause::invalid(&field, &port["name"], why)));
        if !called.is_empty() && faults.is_empty() && !ports.insert(called) {
            causes.push(Cause::duplicate(field, &port["name"]));
        }
        port_number(&port["containerPort"], &format!("{path}.ports[{index}].containerPort"), causes);
        let protocol = text(port, "/protocol");
        if !matches!(protocol, "TCP" | "UDP" | "SCTP") {
            let known = ["SCTP", "TCP", "UDP"];
            causes.push(Cause::unsupported(format!("{path}.ports[{index}].protocol"), protocol, &known));
        }
    }
    for (index, variable) in items(container, "/env").iter().enumerate() {
        let at = format!("{path}.env[{index}]");
        if text(variable, "/name").is_empty() {
            causes.push(Cause::required(format!("{at}.name"), ""));
        } else if text(variable, "/name").contains('=') {
            let why =
                "a valid environment variable name must consist only of printable ASCII characters other than '='";
            causes.push(Cause::invalid(format!("{at}.name"), &variable["name"], why));
        }
        if !text(variable, "/value").is_empty() && !variable["valueFrom"].is_null() {
            let why = "may not be specified when `value` is not empty";
            causes.push(Cause::invalid(format!("{at}.valueFrom"), &json!(""), why));
        }
    }
    let mut mounts = BTreeSet::new();
    for (index, mount) in items(container, "/volumeMounts").iter().enumerate() {
        let at = format!("{path}.volumeMounts[{index}]");
        let volume = text(mount, "/name");
        if volume.is_empty() {
            causes.push(Cause::required(format!("{at}.name"), ""));
        } else if !volumes.contains(volume) {
            causes.push(Cause::not_found(format!("{at}.name"), &mount["name"]));
        }
        let place = text(mount, "/mountPath");
        if place.is_empty() {
            causes.push(Cause::required(format!("{at}.mountPath"), ""));
        } else if !mounts.insert(place) {
            let why = "must be unique";
            causes.push(Cause::invalid(format!("{at}.mountPath"), &mount["mountPath"], why));
        }
    }
    resources(&container["resources"], &format!("{path}.resources"), causes);
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if container[probe].is_object() {
            self::probe(&container[probe], probe == "readinessProbe", &format!("{path}.{probe}"), causes);
        }
    }
}

fn probe(probe: &Value, is_readiness: bool, path: &str, causes: &mut Vec<Cause>) {
    let actions = ["exec", "httpGet", "tcpSocket", "grpc"];
    match actions.iter().filter(|action| probe[**action].is_object()).count() {
        0 => causes.push(Cause::required(path, "must specify a handler type")),
        1 => {}
        _ => causes.push(Cause::forbidden(path, "may not specify more than 1 handler type")),
    }
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        if probe[field].as_i64().is_some_and(|value| value < 0) {
            let why = "must be greater than or equal to 0";
            causes.push(Cause::invalid(format!("{path}.{field}"), &probe[field], why));
        }
    }
    let (grace, field) = (&probe["terminationGracePeriodSeconds"], format!("{path}.terminationGracePeriodSeconds"));
    if grace.as_i64().is_some_and(|seconds| seconds <= 0) {
        causes.push(Cause::invalid(&field, grace, "must be greater than 0"));
    }
    if is_readiness && !grace.is_null() {
        causes.push(Cause::invalid(field, grace, "must not be set for readinessProbes"));
    }
    if !is_readiness && probe["successThreshold"] != 1 {
        causes.push(Cause::invalid(format!("{path}.successThreshold"), &probe["successThreshold"], "must be 1"));
    }
}

fn resources(resources: &Value, path: &str, causes: &mut Vec<Cause>) {
    for field in ["limits", "requests"] {
        for (resource, amount) in resources[field].as_object().into_iter().flatten() {
            if quantity::of(amount) < 0 {
                let why = "must be greater than or equal to 0";
                causes.push(Cause::invalid(format!("{path}.{field}[{resource}]"), amount, why));
            }
        }
    }
    for (resource, request) in resources["requests"].as_object().into_iter().flatten() {
        let limit = &resources["limits"][resource];
        if !limit.is_null() && quantity::of(request) > quantity::of(limit) {
            let limit = limit.as_str().unwrap_or_default();
            let why = format!("must be less than or equal to {resource} limit of {limit}");
            causes.push(Cause::invalid(format!("{path}.requests"), request, &why));
        }
    }
}
