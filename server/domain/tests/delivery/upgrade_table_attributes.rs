//! The table of upgrades: ports, probes, scale and attributes.

use crate::row::{Row, check, same};
use ropeway_domain::{
    change::Decision::{Apply, Keep},
    model::{Port, Probe, ProbeAction, ProbeKind, Protocol, ScaleRule},
};
use serde_json::json;

fn port(number: u16, name: &str, is_open: bool) -> Port {
    Port { number, protocol: Protocol::Tcp, name: name.to_owned(), alias: None, is_open }
}

#[test]
fn ports_are_added_and_opened_and_never_closed() {
    check(&[
        Row {
            rule: "a new port is added",
            base: same,
            target: |spec| spec.ports.push(port(80, "http", true)),
            edit: same,
            path: "ports/80/TCP",
            decision: Some(Apply),
            holds: |spec| spec.ports.len() == 1,
            accepted: None,
        },
        Row {
            rule: "a new port whose name is taken here gets another",
            base: |spec| spec.ports.push(port(80, "http", true)),
            target: |spec| spec.ports.push(port(8080, "http", true)),
            edit: same,
            path: "ports/8080/TCP",
            decision: Some(Apply),
            holds: |spec| spec.ports.len() == 2 && spec.ports[0].name != spec.ports[1].name,
            accepted: None,
        },
        Row {
            rule: "a protocol is taken",
            base: |spec| spec.ports.push(port(53, "dns", true)),
            target: |spec| spec.ports.push(Port { protocol: Protocol::Udp, ..port(53, "dns", true) }),
            edit: same,
            path: "ports/53/TCP/protocol",
            decision: Some(Apply),
            holds: |spec| spec.ports.len() == 1 && spec.ports[0].protocol == Protocol::Udp,
            accepted: None,
        },
        Row {
            rule: "an alias is taken",
            base: |spec| spec.ports.push(port(80, "http", true)),
            target: |spec| spec.ports.push(Port { alias: Some("Web".to_owned()), ..port(80, "http", true) }),
            edit: same,
            path: "ports/80/TCP/alias",
            decision: Some(Apply),
            holds: |spec| spec.ports[0].alias.as_deref() == Some("Web"),
            accepted: None,
        },
        Row {
            rule: "a port is opened",
            base: |spec| spec.ports.push(port(80, "http", false)),
            target: |spec| spec.ports.push(port(80, "http", true)),
            edit: same,
            path: "ports/80/TCP/isOpen",
            decision: Some(Apply),
            holds: |spec| spec.ports[0].is_open,
            accepted: None,
        },
        Row {
            rule: "a port is never closed",
            base: |spec| spec.ports.push(port(80, "http", true)),
            target: |spec| spec.ports.push(port(80, "http", false)),
            edit: same,
            path: "ports/80/TCP/isOpen",
            decision: Some(Keep),
            holds: |spec| spec.ports[0].is_open,
            accepted: None,
        },
        Row {
            rule: "a port that is gone from the version is kept",
            base: |spec| spec.ports.push(port(80, "http", true)),
            target: same,
            edit: same,
            path: "ports/80/TCP",
            decision: Some(Keep),
            holds: |spec| spec.ports.len() == 1,
            accepted: None,
        },
    ]);
}

fn probe(port: u16) -> Probe {
    Probe {
        kind: ProbeKind::Readiness,
        action: ProbeAction::Tcp { port },
        initial_delay_seconds: 0,
        period_seconds: 10,
        timeout_seconds: 1,
        success_threshold: 1,
        failure_threshold: 3,
    }
}

#[test]
fn probes_follow_the_version() {
    check(&[
        Row {
            rule: "a new probe is added",
            base: same,
            target: |spec| spec.probes.push(probe(80)),
            edit: same,
            path: "probes/readiness",
            decision: Some(Apply),
            holds: |spec| spec.probes == [probe(80)],
            accepted: None,
        },
        Row {
            rule: "another probe is taken",
            base: |spec| spec.probes.push(probe(80)),
            target: |spec| spec.probes.push(probe(81)),
            edit: |spec| spec.probes[0].period_seconds = 99,
            path: "probes/readiness",
            decision: Some(Apply),
            holds: |spec| spec.probes == [probe(81)],
            accepted: None,
        },
        Row {
            rule: "a probe that did not change is not dropped",
            base: |spec| spec.probes.push(probe(80)),
            target: |spec| spec.probes.push(probe(80)),
            edit: |spec| spec.probes[0].period_seconds = 99,
            path: "probes/readiness",
            decision: None,
            holds: |spec| spec.probes[0].period_seconds == 99,
            accepted: None,
        },
        Row {
            rule: "a probe that is gone is removed",
            base: |spec| spec.probes.push(probe(80)),
            target: same,
            edit: same,
            path: "probes/readiness",
            decision: Some(Apply),
            holds: |spec| spec.probes.is_empty(),
            accepted: None,
        },
        Row {
            rule: "a probe that was added here stays",
            base: same,
            target: same,
            edit: |spec| spec.probes.push(probe(80)),
            path: "probes/readiness",
            decision: None,
            holds: |spec| spec.probes.len() == 1,
            accepted: None,
        },
    ]);
}

#[test]
fn memory_replicas_and_the_scale_rule_stay_as_they_run_here() {
    check(&[
        Row {
            rule: "memory is kept and offered",
            base: |spec| spec.resources.memory_limit = Some("1Gi".parse().unwrap()),
            target: |spec| spec.resources.memory_limit = Some("2Gi".parse().unwrap()),
            edit: |spec| spec.resources.memory_limit = Some("512Mi".parse().unwrap()),
            path: "resources/memoryLimit",
            decision: Some(Keep),
            holds: |spec| spec.resources.memory_limit == Some("512Mi".parse().unwrap()),
            accepted: Some(|spec| spec.resources.memory_limit == Some("2Gi".parse().unwrap())),
        },
        Row {
            rule: "replicas are kept and offered",
            base: same,
            target: |spec| spec.scale.replicas = 3,
            edit: |spec| spec.scale.replicas = 5,
            path: "scale/replicas",
            decision: Some(Keep),
            holds: |spec| spec.scale.replicas == 5,
            accepted: Some(|spec| spec.scale.replicas == 3),
        },
        Row {
            rule: "the rule is kept and offered",
            base: same,
            target: |spec| spec.scale.rule = ScaleRule { max_replicas: 9, ..ScaleRule::default() },
            edit: same,
            path: "scale/rule",
            decision: Some(Keep),
            holds: |spec| spec.scale.rule.max_replicas == 64,
            accepted: Some(|spec| spec.scale.rule.max_replicas == 9),
        },
    ]);
}

fn attribute(value: &serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn attributes_are_taken_unless_they_carry_environment_or_storage() {
    check(&[
        Row {
            rule: "a node selector is taken label by label",
            base: |spec| spec.attributes = attribute(&json!({"nodeSelector": {"disk": "hdd"}})),
            target: |spec| spec.attributes = attribute(&json!({"nodeSelector": {"disk": "ssd"}})),
            edit: |spec| spec.attributes["nodeSelector"]["zone"] = json!("a"),
            path: "attributes/nodeSelector/disk",
            decision: Some(Apply),
            holds: |spec| spec.attributes["nodeSelector"] == json!({"disk": "ssd", "zone": "a"}),
            accepted: None,
        },
        Row {
            rule: "tolerations are added",
            base: same,
            target: |spec| spec.attributes = attribute(&json!({"tolerations": [{"key": "gpu"}]})),
            edit: same,
            path: "attributes/tolerations",
            decision: Some(Apply),
            holds: |spec| spec.attributes.contains_key("tolerations"),
            accepted: None,
        },
        Row {
            rule: "an attribute that is gone from the version is kept",
            base: |spec| spec.attributes = attribute(&json!({"hostNetwork": true})),
            target: same,
            edit: same,
            path: "attributes/hostNetwork",
            decision: Some(Keep),
            holds: |spec| spec.attributes.contains_key("hostNetwork"),
            accepted: Some(|spec| spec.attributes.is_empty()),
        },
        Row {
            rule: "environment in an attribute is kept and offered",
            base: |spec| spec.attributes = attribute(&json!({"env": [{"name": "A", "value": "1"}]})),
            target: |spec| spec.attributes = attribute(&json!({"env": [{"name": "A", "value": "2"}]})),
            edit: same,
            path: "attributes/env/A",
            decision: Some(Keep),
            holds: |spec| spec.attributes["env"][0]["value"] == "1",
            accepted: Some(|spec| spec.attributes["env"][0]["value"] == "2"),
        },
        Row {
            rule: "new environment in an attribute is added",
            base: |spec| spec.attributes = attribute(&json!({"env": [{"name": "A", "value": "1"}]})),
            target: |spec| {
                spec.attributes = attribute(&json!({"env": [{"name": "A", "value": "1"}, {"name": "B"}]}));
            },
            edit: |spec| spec.attributes["env"][0]["value"] = json!("mine"),
            path: "attributes/env/B",
            decision: Some(Apply),
            holds: |spec| spec.attributes["env"] == json!([{"name": "A", "value": "mine"}, {"name": "B"}]),
            accepted: None,
        },
        Row {
            rule: "mounts in an attribute are kept and offered",
            base: |spec| spec.attributes = attribute(&json!({"volumeMounts": [{"mountPath": "/a", "name": "x"}]})),
            target: |spec| spec.attributes = attribute(&json!({"volumeMounts": [{"mountPath": "/a", "name": "y"}]})),
            edit: same,
            path: "attributes/volumeMounts[/a]",
            decision: Some(Keep),
            holds: |spec| spec.attributes["volumeMounts"][0]["name"] == "x",
            accepted: Some(|spec| spec.attributes["volumeMounts"][0]["name"] == "y"),
        },
        Row {
            rule: "the image of an init container is taken, its environment stays",
            base: |spec| {
                spec.attributes = attribute(
                    &json!({"initContainers": [{"name": "i", "image": "a", "env": [{"name": "A", "value": "1"}]}]}),
                );
            },
            target: |spec| {
                spec.attributes = attribute(
                    &json!({"initContainers": [{"name": "i", "image": "b", "env": [{"name": "A", "value": "2"}]}]}),
                );
            },
            edit: same,
            path: "attributes/initContainers/i/image",
            decision: Some(Apply),
            holds: |spec| {
                let one = &spec.attributes["initContainers"][0];
                one["image"] == "b" && one["env"][0]["value"] == "1"
            },
            accepted: None,
        },
    ]);
}
