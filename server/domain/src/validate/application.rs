//! Checks of an application as a whole.

use super::{Code, Content, MAX_PARTS, Problem, checker::Checker, component, resource};
use crate::{
    graph::{GraphError, waves},
    key::ComponentKey,
    model::{Component, ConfigFile, Resource, Variable, VolumeKind},
    text::Text,
};
use std::collections::{BTreeMap, BTreeSet};

/// What is wrong in the components and Kubernetes resources of an application: in each by itself, and in how they refer
/// to each other. Paths begin with `components` or `kubernetesResources` and an index.
pub fn application<V: Content>(components: &[Component<V>], resources: &[Resource<V>]) -> Vec<Problem> {
    let mut c = Checker::default();
    let keys: BTreeMap<ComponentKey, &Component<V>> = components.iter().map(|one| (one.key, one)).collect();
    let mut seen = BTreeSet::new();
    let mut slugs = BTreeSet::new();
    c.each("components", components, MAX_PARTS, |c, one| {
        c.extend(component(one));
        c.unique("key", &mut seen, one.key, "key");
        c.unique("slug", &mut slugs, one.slug.clone(), "slug");
        references(c, one, &keys);
    });
    let mut seen = BTreeSet::new();
    let mut names = BTreeSet::new();
    c.each("kubernetesResources", resources, MAX_PARTS, |c, one| {
        c.extend(resource(one));
        c.unique("key", &mut seen, one.key, "key");
        let name = (one.api_version.clone(), one.kind.clone(), one.name.clone());
        c.unique("name", &mut names, name, "kind and name");
        c.at("secretData", |c| {
            for (index, variable) in one.secret_data.iter().enumerate() {
                c.at(&index, |c| hosts(c, variable.value.text(), &keys));
            }
        });
    });

    // What is not there was reported above.
    let known = |component: &Component<V>| {
        component.dependencies.iter().copied().filter(|key| keys.contains_key(key)).collect::<BTreeSet<_>>()
    };
    let dependencies = keys.iter().map(|(key, component)| (*key, known(component))).collect();
    let names = keys.iter().map(|(key, component)| (*key, component.name.clone())).collect();
    if let Err(error @ GraphError::Cycle { .. }) = waves(&dependencies, &names) {
        c.field("components", Code::Cycle, error.to_string());
    }
    c.finish()
}

/// Whether what a component names is there.
fn references<V: Content>(c: &mut Checker, one: &Component<V>, keys: &BTreeMap<ComponentKey, &Component<V>>) {
    for dependency in one.dependencies.iter().filter(|key| !keys.contains_key(key)) {
        let message = format!("the component {dependency} is not in this application");
        c.field("dependencies", Code::Unknown, message);
    }
    c.at("volumes", |c| {
        for (index, volume) in one.volumes.iter().enumerate() {
            let Some(owner) = volume.shared_from else { continue };
            let own = keys.get(&owner).and_then(|owner| owner.volumes.iter().find(|other| other.name == volume.name));
            let problem = match own {
                None => Some(Code::Unknown),
                // A disk is on one node at a time, and the pods of a StatefulSet have one each.
                Some(other) if other.shared_from.is_some() || other.kind != VolumeKind::Shared => Some(Code::Invalid),
                Some(_) => None,
            };
            if let Some(code) = problem {
                let message =
                    "a component of this application with a volume of the same name, its own and with many writers";
                c.at(&index, |c| c.field("sharedFrom", code, message));
            }
        }
    });
    for (field, texts) in [("command", &one.command), ("arguments", &one.arguments)] {
        c.at(field, |c| {
            for (index, text) in texts.iter().enumerate() {
                c.at(&index, |c| hosts(c, Some(text), keys));
            }
        });
    }
    let variables = [("environment", &one.environment), ("connectionInfo", &one.connection_info)];
    for (field, list) in variables {
        c.at(field, |c| {
            for (index, Variable { value, .. }) in list.iter().enumerate() {
                c.at(&index, |c| hosts(c, value.text(), keys));
            }
        });
    }
    c.at("configFiles", |c| {
        for (index, ConfigFile { content, .. }) in one.config_files.iter().enumerate() {
            c.at(&index, |c| hosts(c, content.text(), keys));
        }
    });
}

fn hosts<V>(c: &mut Checker, text: Option<&Text>, keys: &BTreeMap<ComponentKey, &Component<V>>) {
    for host in text.into_iter().flat_map(Text::hosts).filter(|host| !keys.contains_key(host)) {
        c.problem(
            Code::Unknown,
            format!("it names the host of the component {host}, which is not in this application"),
        );
    }
}
