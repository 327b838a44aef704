//! What a node must be and have for a pod: state, taints, labels, ports, room.

use serde_json::{Value, json};

use super::Misfit;
use super::around::Around;
use crate::object::{is_condition, items, label, name, text};
use crate::quantity;
use crate::selector::Labels;

/// Why a pod cannot go to a node, the pods' wishes about each other left aside.
pub(super) fn misfit(around: &Around, node: &Value, pod: &Value) -> Option<Misfit> {
    if node["spec"]["unschedulable"] == true {
        return Some(Misfit::own("node(s) were unschedulable"));
    }
    if !is_condition(node, "Ready") {
        return Some(Misfit::own("node(s) were not ready"));
    }
    if !is_tolerated(node, pod, |taint| taint["effect"] != "PreferNoSchedule") {
        return Some(Misfit::own("node(s) had untolerated taint(s)"));
    }
    if !is_wanted(node, pod) {
        return Some(Misfit::own("node(s) didn't match Pod's node affinity/selector"));
    }
    let ports = host_ports(pod);
    if !ports.is_empty() && around.on(node).any(|other| host_ports(other).iter().any(|port| collides(&ports, port))) {
        return Some(Misfit::others("node(s) didn't have free ports for the requested pod ports"));
    }
    let room = &node["status"]["allocatable"];
    if quantity::of(&room["pods"]) <= i128::try_from(around.load(node)).unwrap_or(i128::MAX) * 1_000_000_000 {
        return Some(Misfit::others("Too many pods"));
    }
    for (resource, reason) in [("cpu", "Insufficient cpu"), ("memory", "Insufficient memory")] {
        let used: i128 = around.on(node).map(|pod| quantity::of_pod(&pod["spec"], "requests", resource)).sum();
        let asked = quantity::of_pod(&pod["spec"], "requests", resource);
        let all = quantity::of(&room[resource]);
        if asked > 0 && used + asked > all {
            return Some(if asked > all { Misfit::own(reason) } else { Misfit::others(reason) });
        }
    }
    None
}

/// Whether the node selector and the required node affinity of a pod choose a node.
pub(super) fn is_wanted(node: &Value, pod: &Value) -> bool {
    let wanted = json!({"matchLabels": pod["spec"]["nodeSelector"]});
    let required = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
    let required = pod.pointer(required).unwrap_or(&Value::Null);
    Labels::of(&wanted).matches(node) && (required.is_null() || is_chosen(node, required))
}

/// Whether one of the terms of a node selector chooses a node.
pub(super) fn is_chosen(node: &Value, selector: &Value) -> bool {
    items(selector, "/nodeSelectorTerms").iter().any(|term| is_term(node, term))
}

/// Whether a term of a node selector chooses a node; one that says nothing chooses none.
pub(super) fn is_term(node: &Value, term: &Value) -> bool {
    let (expressions, fields) = (items(term, "/matchExpressions"), items(term, "/matchFields"));
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
    !(expressions.is_empty() && fields.is_empty()) && expressions.iter().all(expression) && fields.iter().all(field)
}

/// Whether a pod tolerates those taints of a node that count.
pub(super) fn is_tolerated(node: &Value, pod: &Value, counts: impl Fn(&Value) -> bool) -> bool {
    let tolerated = |taint: &Value| {
        items(pod, "/spec/tolerations").iter().any(|one| {
            let key = text(one, "/key").is_empty() || one["key"] == taint["key"];
            let value = one["operator"] == "Exists" || text(one, "/value") == text(taint, "/value");
            let effect = text(one, "/effect").is_empty() || one["effect"] == taint["effect"];
            key && value && effect
        })
    };
    items(node, "/spec/taints").iter().filter(|taint| counts(taint)).all(tolerated)
}

/// The ports that a pod takes of its node: address, protocol, number.
fn host_ports(pod: &Value) -> Vec<(&str, &str, i64)> {
    let containers = items(pod, "/spec/containers").iter();
    let sidecars = items(pod, "/spec/initContainers").iter().filter(|one| one["restartPolicy"] == "Always");
    let ports = containers.chain(sidecars).flat_map(|container| items(container, "/ports"));
    ports
        .filter_map(|port| {
            let number = port["hostPort"].as_i64().filter(|number| *number > 0)?;
            let address = match text(port, "/hostIP") {
                "" => "0.0.0.0",
                address => address,
            };
            Some((address, text(port, "/protocol"), number))
        })
        .collect()
}

fn collides(ports: &[(&str, &str, i64)], other: &(&str, &str, i64)) -> bool {
    ports.iter().any(|port| {
        let address = port.0 == other.0 || port.0 == "0.0.0.0" || other.0 == "0.0.0.0";
        address && (port.1, port.2) == (other.1, other.2)
    })
}
