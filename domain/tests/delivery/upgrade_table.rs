//! The table of upgrades, row by row: what is in the new version only, in both, in the installed one only.

use crate::support::{
    Upgrade, asked, component, content, decision, generated, here, image, installed, key, line, text, variable, version,
};
use ropeway_domain::{
    Component, Digest, PublishedValue, Value,
    change::Decision::{self, Apply, Keep},
    model::{
        ConfigFile, Image, Port, Probe, ProbeAction, ProbeKind, Protocol, ScaleRule, Volume, VolumeKind, WorkloadKind,
    },
    upgrade::{AcceptError, UpgradeError},
};
use serde_json::json;

type Spec = Component<PublishedValue>;

/// One line of the table: what base and target have, what a person edited here, and what comes of it.
struct Row {
    rule: &'static str,
    base: fn(&mut Spec),
    target: fn(&mut Spec),
    edit: fn(&mut Component<Value>),
    path: &'static str,
    decision: Option<Decision>,
    /// Whether it holds afterwards.
    holds: fn(&Component<Value>) -> bool,
    /// What accepting it does: none, it cannot be accepted.
    accepted: Option<fn(&Component<Value>) -> bool>,
}

fn check(rows: &[Row]) {
    for row in rows {
        let rule = row.rule;
        let (mut base, mut target) = (component(1, "Web"), component(1, "Web"));
        (row.base)(&mut base);
        (row.target)(&mut target);
        let (base, target) = (content([base]), content([target]));
        let mut before = installed(&base).after;
        (row.edit)(&mut before.components.get_mut(&key(1)).unwrap().spec);

        let outcome = Upgrade::new(&base, &target, &before).run().unwrap();
        assert_eq!(decision(&outcome.changes, row.path), row.decision, "{rule}: {:#?}", outcome.changes);
        assert!((row.holds)(&outcome.after.components[&key(1)].spec), "{rule}: {:#?}", outcome.after);
        assert_eq!(outcome.apply.contains(&key(1)), row.decision == Some(Apply), "{rule}");
        assert_eq!(outcome.after.components[&key(1)].version, Some(version(2)), "{rule}");

        if row.decision != Some(Keep) {
            continue;
        }
        let id = line(&outcome.changes, row.path).unwrap().id.clone();
        let result = Upgrade::new(&base, &target, &before).accepting([id.clone()]).run();
        match row.accepted {
            Some(holds) => {
                let outcome = result.unwrap();
                assert_eq!(decision(&outcome.changes, row.path), Some(Apply), "{rule}");
                assert!(holds(&outcome.after.components[&key(1)].spec), "{rule}: {:#?}", outcome.after);
            }
            None => match result {
                Err(UpgradeError::Accept(AcceptError::Refused { changes })) => assert_eq!(changes[0].0, id, "{rule}"),
                other => panic!("{rule}: {other:?}"),
            },
        }
    }
}

fn same<T>(_: &mut T) {}

fn env(spec: &Component<Value>, name: &str) -> Option<Value> {
    spec.environment.iter().find(|variable| variable.name == name).map(|variable| variable.value.clone())
}

fn sealed(value: Option<Value>) -> bool {
    matches!(value, Some(Value::Sealed { .. }))
}

#[test]
fn image_command_and_arguments_are_taken() {
    check(&[
        Row {
            rule: "another digest is taken",
            base: same,
            target: |spec| spec.image = image("two"),
            edit: same,
            path: "image",
            decision: Some(Apply),
            holds: |spec| spec.image == image("two"),
            accepted: None,
        },
        Row {
            rule: "the same digest from elsewhere is no difference",
            base: same,
            target: |spec| {
                spec.image = Image::Library { repository: "mirror/app".to_owned(), digest: Digest::of(b"one") };
            },
            edit: same,
            path: "image",
            decision: None,
            holds: |spec| spec.image == image("one"),
            accepted: None,
        },
        Row {
            rule: "an image that was edited here stays where the versions agree",
            base: same,
            target: same,
            edit: |spec| spec.image = image("mine"),
            path: "image",
            decision: None,
            holds: |spec| spec.image == image("mine"),
            accepted: None,
        },
        Row {
            rule: "an image that was edited here is replaced where the versions differ",
            base: same,
            target: |spec| spec.image = image("two"),
            edit: |spec| spec.image = image("mine"),
            path: "image",
            decision: Some(Apply),
            holds: |spec| spec.image == image("two"),
            accepted: None,
        },
        Row {
            rule: "a command is taken",
            base: |spec| spec.command = vec!["serve".into()],
            target: |spec| spec.command = vec!["serve".into(), "--fast".into()],
            edit: same,
            path: "command",
            decision: Some(Apply),
            holds: |spec| spec.command.len() == 2,
            accepted: None,
        },
        Row {
            rule: "arguments that are gone are gone",
            base: |spec| spec.arguments = vec!["-v".into()],
            target: same,
            edit: same,
            path: "arguments",
            decision: Some(Apply),
            holds: |spec| spec.arguments.is_empty(),
            accepted: None,
        },
        Row {
            rule: "another kind of workload is an offer of its own",
            base: same,
            target: |spec| spec.kind = WorkloadKind::StatefulSet,
            edit: same,
            path: "kind",
            decision: Some(Keep),
            holds: |spec| spec.kind == WorkloadKind::Deployment,
            accepted: Some(|spec| spec.kind == WorkloadKind::StatefulSet),
        },
    ]);
}

#[test]
fn environment_and_connection_info_are_added_and_otherwise_kept() {
    check(&[
        Row {
            rule: "a new variable is added",
            base: same,
            target: |spec| spec.environment.push(variable("A", text("1"))),
            edit: same,
            path: "environment/A",
            decision: Some(Apply),
            holds: |spec| env(spec, "A") == Some(here("1")),
            accepted: None,
        },
        Row {
            rule: "a new secret is generated",
            base: same,
            target: |spec| spec.environment.push(variable("A", generated(None))),
            edit: same,
            path: "environment/A",
            decision: Some(Apply),
            holds: |spec| sealed(env(spec, "A")),
            accepted: None,
        },
        Row {
            rule: "another value is kept and offered",
            base: |spec| spec.environment.push(variable("A", text("1"))),
            target: |spec| spec.environment.push(variable("A", text("2"))),
            edit: same,
            path: "environment/A",
            decision: Some(Keep),
            holds: |spec| env(spec, "A") == Some(here("1")),
            accepted: Some(|spec| env(spec, "A") == Some(here("2"))),
        },
        Row {
            rule: "a value that was edited here stays and is no difference where the versions agree",
            base: |spec| spec.environment.push(variable("A", text("1"))),
            target: |spec| spec.environment.push(variable("A", text("1"))),
            edit: |spec| spec.environment[0].value = here("mine"),
            path: "environment/A",
            decision: None,
            holds: |spec| env(spec, "A") == Some(here("mine")),
            accepted: None,
        },
        Row {
            rule: "a variable that is no longer in the version is kept",
            base: |spec| spec.environment.push(variable("A", text("1"))),
            target: same,
            edit: same,
            path: "environment/A",
            decision: Some(Keep),
            holds: |spec| env(spec, "A") == Some(here("1")),
            accepted: Some(|spec| env(spec, "A").is_none()),
        },
        Row {
            rule: "a variable that was deleted here is not brought back by a changed value",
            base: |spec| spec.environment.push(variable("A", text("1"))),
            target: |spec| spec.environment.push(variable("A", text("2"))),
            edit: |spec| spec.environment.clear(),
            path: "environment/A",
            decision: Some(Keep),
            holds: |spec| env(spec, "A").is_none(),
            accepted: Some(|spec| env(spec, "A") == Some(here("2"))),
        },
        Row {
            rule: "a variable of the same name that was added here is kept",
            base: same,
            target: |spec| spec.environment.push(variable("A", text("2"))),
            edit: |spec| spec.environment.push(variable("A", here("mine"))),
            path: "environment/A",
            decision: Some(Keep),
            holds: |spec| env(spec, "A") == Some(here("mine")),
            accepted: Some(|spec| env(spec, "A") == Some(here("2"))),
        },
        Row {
            rule: "another way to come by a secret is no difference",
            base: |spec| spec.environment.push(variable("A", generated(None))),
            target: |spec| spec.environment.push(variable("A", asked())),
            edit: same,
            path: "environment/A",
            decision: None,
            holds: |spec| sealed(env(spec, "A")),
            accepted: None,
        },
        Row {
            rule: "a text that becomes a secret is offered",
            base: |spec| spec.environment.push(variable("A", text("1"))),
            target: |spec| spec.environment.push(variable("A", generated(None))),
            edit: same,
            path: "environment/A",
            decision: Some(Keep),
            holds: |spec| env(spec, "A") == Some(here("1")),
            accepted: Some(|spec| sealed(env(spec, "A"))),
        },
        Row {
            rule: "connection info is kept and offered",
            base: |spec| spec.connection_info.push(variable("PORT", text("1"))),
            target: |spec| spec.connection_info.push(variable("PORT", text("2"))),
            edit: same,
            path: "connectionInfo/PORT",
            decision: Some(Keep),
            holds: |spec| spec.connection_info[0].value == here("1"),
            accepted: Some(|spec| spec.connection_info[0].value == here("2")),
        },
    ]);
}

fn file(content: &str) -> ConfigFile<PublishedValue> {
    ConfigFile { path: "/etc/app".to_owned(), content: text(content), mode: None, decision: None }
}

#[test]
fn configuration_files_are_added_and_otherwise_kept() {
    check(&[
        Row {
            rule: "a new file is added",
            base: same,
            target: |spec| spec.config_files.push(file("a")),
            edit: same,
            path: "configFiles//etc/app",
            decision: Some(Apply),
            holds: |spec| spec.config_files[0].content == here("a"),
            accepted: None,
        },
        Row {
            rule: "other contents are kept and offered",
            base: |spec| spec.config_files.push(file("a")),
            target: |spec| spec.config_files.push(file("b")),
            edit: |spec| spec.config_files[0].content = here("mine"),
            path: "configFiles//etc/app",
            decision: Some(Keep),
            holds: |spec| spec.config_files[0].content == here("mine"),
            accepted: Some(|spec| spec.config_files[0].content == here("b")),
        },
        Row {
            rule: "a file that is gone from the version is kept",
            base: |spec| spec.config_files.push(file("a")),
            target: same,
            edit: same,
            path: "configFiles//etc/app",
            decision: Some(Keep),
            holds: |spec| spec.config_files.len() == 1,
            accepted: Some(|spec| spec.config_files.is_empty()),
        },
    ]);
}

fn volume(name: &str, path: &str, size: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        sub_path: None,
        kind: VolumeKind::Exclusive,
        size: Some(size.parse().unwrap()),
        storage_class: None,
        read_only: false,
        shared_from: None,
    }
}

#[test]
fn volumes_are_added_and_otherwise_kept_and_only_growing_is_offered() {
    check(&[
        Row {
            rule: "a new volume is added",
            base: same,
            target: |spec| spec.volumes.push(volume("data", "/data", "1Gi")),
            edit: same,
            path: "volumes/data",
            decision: Some(Apply),
            holds: |spec| spec.volumes.len() == 1,
            accepted: None,
        },
        Row {
            rule: "growing is offered",
            base: |spec| spec.volumes.push(volume("data", "/data", "1Gi")),
            target: |spec| spec.volumes.push(volume("data", "/data", "2Gi")),
            edit: same,
            path: "volumes/data/size",
            decision: Some(Keep),
            holds: |spec| spec.volumes[0].size == Some("1Gi".parse().unwrap()),
            accepted: Some(|spec| spec.volumes[0].size == Some("2Gi".parse().unwrap())),
        },
        Row {
            rule: "shrinking cannot be accepted",
            base: |spec| spec.volumes.push(volume("data", "/data", "2Gi")),
            target: |spec| spec.volumes.push(volume("data", "/data", "1Gi")),
            edit: same,
            path: "volumes/data/size",
            decision: Some(Keep),
            holds: |spec| spec.volumes[0].size == Some("2Gi".parse().unwrap()),
            accepted: None,
        },
        Row {
            rule: "the same size in other words is no difference",
            base: |spec| spec.volumes.push(volume("data", "/data", "1Gi")),
            target: |spec| spec.volumes.push(volume("data", "/data", "1024Mi")),
            edit: same,
            path: "volumes/data/size",
            decision: None,
            holds: |spec| spec.volumes.len() == 1,
            accepted: None,
        },
        Row {
            rule: "another kind of disk cannot be accepted",
            base: |spec| spec.volumes.push(volume("data", "/data", "1Gi")),
            target: |spec| {
                spec.volumes.push(Volume { kind: VolumeKind::Shared, ..volume("data", "/data", "1Gi") });
            },
            edit: same,
            path: "volumes/data/kind",
            decision: Some(Keep),
            holds: |spec| spec.volumes[0].kind == VolumeKind::Exclusive,
            accepted: None,
        },
        Row {
            rule: "a renamed volume at the same path keeps its disk",
            base: |spec| spec.volumes.push(volume("data", "/data", "1Gi")),
            target: |spec| spec.volumes.push(volume("disk", "/data", "1Gi")),
            edit: same,
            path: "volumes/data/name",
            decision: Some(Keep),
            holds: |spec| spec.volumes.len() == 1 && spec.volumes[0].name == "data",
            accepted: None,
        },
        Row {
            rule: "a storage class that was chosen here is no difference",
            base: |spec| spec.volumes.push(volume("data", "/data", "1Gi")),
            target: |spec| spec.volumes.push(volume("data", "/data", "1Gi")),
            edit: |spec| spec.volumes[0].storage_class = Some("fast".to_owned()),
            path: "volumes/data/storageClass",
            decision: None,
            holds: |spec| spec.volumes[0].storage_class.as_deref() == Some("fast"),
            accepted: None,
        },
        Row {
            rule: "a volume that is gone from the version is kept",
            base: |spec| spec.volumes.push(volume("data", "/data", "1Gi")),
            target: same,
            edit: same,
            path: "volumes/data",
            decision: Some(Keep),
            holds: |spec| spec.volumes.len() == 1,
            accepted: None,
        },
    ]);
}

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
