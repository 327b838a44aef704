//! The table of upgrades: what is run, configuration and storage; what is in the new version only, in both, in the
//! installed one only.

use crate::{
    row::{Row, check, same},
    support::{asked, generated, here, image, text, variable},
};
use ropeway_domain::{
    Component, Digest, PublishedValue, Value,
    change::Decision::{Apply, Keep},
    model::{ConfigFile, Image, Volume, VolumeKind, WorkloadKind},
};

fn env(spec: &Component<Value>, name: &str) -> Option<Value> {
    spec.environment.iter().find(|variable| variable.name == name).map(|variable| variable.value.clone())
}

fn sealed(value: Option<&Value>) -> bool {
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
            holds: |spec| sealed(env(spec, "A").as_ref()),
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
            holds: |spec| sealed(env(spec, "A").as_ref()),
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
            accepted: Some(|spec| sealed(env(spec, "A").as_ref())),
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
