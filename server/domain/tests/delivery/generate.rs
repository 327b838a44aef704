//! Generated applications, small enough that two of them often have the same keys with other values.

use crate::support::{asked, component, generated, image, installed, resource, text, variable, with_resources};
use proptest::{
    collection::{btree_map, btree_set, vec},
    option,
    prelude::*,
    sample::select,
};
use ropeway_domain::{
    Component, Installed, Part, PublishedValue, Resource, Text, Value, VersionContent,
    model::{
        ConfigFile, Port, Probe, ProbeAction, ProbeKind, Protocol, Resources, Scale, ScaleRule, Variable, Volume,
        VolumeKind,
    },
};
use serde_json::{Map, Value as Json, json};

type Spec = Component<PublishedValue>;

fn value() -> impl Strategy<Value = PublishedValue> {
    prop_oneof![
        4 => select(vec!["x", "y", "z"]).prop_map(text),
        1 => Just(generated(None)),
        1 => Just(generated(Some("group"))),
        1 => Just(asked()),
        1 => (1..=4u128).prop_map(|n| PublishedValue::Text(Text::from_parts([
            Part::Literal("http://".to_owned()),
            Part::Host { host: crate::support::key(n) },
        ]))),
    ]
}

fn variables() -> BoxedStrategy<Vec<Variable<PublishedValue>>> {
    btree_map(select(vec!["A", "B", "PASSWORD"]), value(), 0..=3)
        .prop_map(|map| map.into_iter().map(|(name, value)| variable(name, value)).collect())
        .boxed()
}

fn files() -> BoxedStrategy<Vec<ConfigFile<PublishedValue>>> {
    btree_map(select(vec!["/etc/a", "/etc/b"]), (value(), option::of(select(vec![0o600, 0o644]))), 0..=2)
        .prop_map(|map| {
            let one = |(path, (content, mode)): (&str, _)| ConfigFile {
                path: path.to_owned(),
                content,
                mode,
                decision: None,
            };
            map.into_iter().map(one).collect()
        })
        .boxed()
}

fn ports() -> BoxedStrategy<Vec<Port>> {
    let one = (select(vec![Protocol::Tcp, Protocol::Udp]), select(vec!["a", "b"]), any::<bool>());
    btree_map(select(vec![80u16, 443, 53]), one, 0..=3)
        .prop_map(|map| {
            let one = |(number, (protocol, name, is_open)): (u16, (_, &str, _))| Port {
                number,
                protocol,
                name: format!("{name}{number}"),
                alias: None,
                is_open,
            };
            map.into_iter().map(one).collect()
        })
        .boxed()
}

fn volumes() -> BoxedStrategy<Vec<Volume>> {
    let kinds = vec![VolumeKind::Exclusive, VolumeKind::Shared, VolumeKind::Ephemeral, VolumeKind::Memory];
    let one = (select(vec!["data", "logs", "disk"]), select(kinds), select(vec!["1Gi", "2Gi", "3Gi"]), any::<bool>());
    btree_map(select(vec!["/data", "/logs"]), one, 0..=2)
        .prop_map(|map| {
            let mut volumes: Vec<Volume> = Vec::new();
            for (path, (name, kind, size, read_only)) in map {
                if volumes.iter().all(|volume| volume.name != name) {
                    volumes.push(Volume {
                        name: name.to_owned(),
                        mount_path: path.to_owned(),
                        sub_path: None,
                        kind,
                        size: Some(size.parse().unwrap()),
                        storage_class: None,
                        read_only,
                        shared_from: None,
                    });
                }
            }
            volumes
        })
        .boxed()
}

fn probes() -> BoxedStrategy<Vec<Probe>> {
    let kinds = vec![ProbeKind::Startup, ProbeKind::Readiness, ProbeKind::Liveness];
    btree_map(select(kinds), 80..82u16, 0..=3)
        .prop_map(|map| {
            let one = |(kind, port)| Probe {
                kind,
                action: ProbeAction::Tcp { port },
                initial_delay_seconds: 0,
                period_seconds: 10,
                timeout_seconds: 1,
                success_threshold: 1,
                failure_threshold: 3,
            };
            map.into_iter().map(one).collect()
        })
        .boxed()
}

fn attributes() -> BoxedStrategy<Map<String, Json>> {
    let labels = option::of(btree_map(select(vec!["a", "b/c"]), select(vec!["1", "2"]), 0..=2));
    let env = option::of(btree_map(select(vec!["X", "Y"]), select(vec!["1", "2"]), 0..=2));
    let tolerations = option::of(select(vec!["gpu", "spot"]));
    let init = option::of((select(vec!["a", "b"]), select(vec!["1", "2"])));
    (labels, env, tolerations, init)
        .prop_map(|(labels, env, tolerations, init)| {
            let mut attributes = Map::new();
            if let Some(labels) = labels {
                attributes.insert("labels".to_owned(), json!(labels));
            }
            if let Some(env) = env {
                let items: Vec<_> = env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
                attributes.insert("env".to_owned(), json!(items));
            }
            if let Some(key) = tolerations {
                attributes.insert("tolerations".to_owned(), json!([{"key": key}]));
            }
            if let Some((image, level)) = init {
                let env = json!([{"name": "LEVEL", "value": level}]);
                attributes.insert("initContainers".to_owned(), json!([{"name": "i", "image": image, "env": env}]));
            }
            attributes
        })
        .boxed()
}

fn scale() -> BoxedStrategy<(Resources, Scale)> {
    (option::of(select(vec!["1Gi", "2Gi"])), 1..4u32, 4..6u32)
        .prop_map(|(memory, replicas, max_replicas)| {
            let memory_limit = memory.map(|memory| memory.parse().unwrap());
            let rule = ScaleRule { max_replicas, ..ScaleRule::default() };
            (Resources { memory_limit, ..Resources::default() }, Scale { rule, replicas })
        })
        .boxed()
}

fn spec(n: u128) -> BoxedStrategy<Spec> {
    let first = (select(vec!["one", "two", "three"]), vec(select(vec!["run", "-v"]), 0..=2), variables(), variables());
    let second = (files(), ports(), volumes(), probes());
    let third = (scale(), attributes(), btree_set(1..n.max(2), 0..=2));
    (first, second, third)
        .prop_map(move |(first, second, third)| {
            let mut spec = component(n, &format!("C{n}"));
            spec.image = image(first.0);
            spec.command = first.1.into_iter().map(Into::into).collect();
            (spec.environment, spec.connection_info) = (first.2, first.3);
            (spec.config_files, spec.ports, spec.volumes, spec.probes) = second;
            (spec.resources, spec.scale) = third.0;
            spec.attributes = third.1;
            spec.dependencies = third.2.into_iter().filter(|other| *other < n).map(crate::support::key).collect();
            spec
        })
        .boxed()
}

fn resources() -> BoxedStrategy<Vec<Resource<PublishedValue>>> {
    let kinds = select(vec![1usize, 2, 3, 4]);
    let body = (btree_map(select(vec!["a", "b"]), select(vec!["1", "2"]), 0..=2), variables());
    btree_map(kinds, body, 0..=4)
        .prop_map(|map| {
            let one = |(n, (data, entries)): (usize, (_, _))| {
                let kind = ["ConfigMap", "Secret", "NetworkPolicy", "PersistentVolumeClaim"][n - 1];
                let field = if n == 4 { "metadataOnly" } else { "data" };
                let mut one = resource(n as u128, kind, &json!({ field: data }));
                if kind == "Secret" {
                    one.secret_data = entries;
                }
                one
            };
            map.into_iter().map(one).collect()
        })
        .boxed()
}

/// A version with one to four components, whose dependencies have no cycle and whose texts name only what it has.
pub(crate) fn version() -> BoxedStrategy<VersionContent> {
    let specs =
        (option::weighted(0.8, spec(1)), spec(2), option::weighted(0.7, spec(3)), option::weighted(0.5, spec(4)));
    (specs, resources())
        .prop_map(|((one, two, three, four), resources)| {
            let mut components: Vec<Spec> = [one, Some(two), three, four].into_iter().flatten().collect();
            let keys: Vec<_> = components.iter().map(|component| component.key).collect();
            for component in &mut components {
                component.dependencies.retain(|key| keys.contains(key));
                let all = component.environment.iter_mut().chain(&mut component.connection_info).map(|v| &mut v.value);
                for value in all.chain(component.config_files.iter_mut().map(|file| &mut file.content)) {
                    if let PublishedValue::Text(named) = value
                        && named.hosts().any(|host| !keys.contains(&host))
                    {
                        *value = text("elsewhere");
                    }
                }
            }
            with_resources(components, resources)
        })
        .boxed()
}

/// What people edit: the properties of another application, where a bit of the mask says so.
pub(crate) fn edits() -> BoxedStrategy<(VersionContent, Vec<u16>)> {
    (version(), vec(any::<u16>().prop_map(|a| a & (a >> 3)), 5)).boxed()
}

/// Edits what is installed. Names and kinds stay.
pub(crate) fn edit(state: &mut Installed, (other, masks): &(VersionContent, Vec<u16>)) {
    let other = installed(other).after;
    let keys: Vec<_> = state.components.keys().copied().collect();
    for (index, (key, one)) in state.components.iter_mut().enumerate() {
        let Some(from) = other.components.get(key).map(|from| from.spec.clone()) else { continue };
        let (mask, spec) = (masks[index % masks.len()], &mut one.spec);
        let bit = |n: u16| mask >> n & 1 == 1;
        let known = |value: &Value| match value {
            Value::Text(text) => text.hosts().all(|host| keys.contains(&host)),
            Value::Sealed { .. } => true,
        };
        if bit(0) {
            spec.image = from.image;
        }
        if bit(1) {
            spec.command = from.command;
        }
        if bit(2) {
            spec.environment = from.environment;
            spec.environment.retain(|variable| known(&variable.value));
        }
        if bit(3) {
            spec.connection_info = from.connection_info;
            spec.connection_info.retain(|variable| known(&variable.value));
        }
        if bit(4) {
            spec.config_files = from.config_files;
            spec.config_files.retain(|file| known(&file.content));
        }
        if bit(5) {
            spec.ports = from.ports;
        }
        if bit(6) {
            spec.probes = from.probes;
        }
        if bit(7) {
            (spec.resources, spec.scale) = (from.resources, from.scale);
        }
        if bit(8) {
            spec.attributes = from.attributes;
        }
        if bit(9) {
            spec.dependencies = from.dependencies.into_iter().filter(|key| keys.contains(key)).collect();
        }
    }
    for (key, one) in &mut state.resources {
        if masks[4] & 1 == 1
            && let Some(from) = other.resources.get(key)
        {
            one.spec = from.spec.clone();
        }
    }
}
