//! What an end of an installation deletes, in which order, and what it keeps.

use crate::{
    change::Owner,
    graph::GraphError,
    installed::Installed,
    key::{ComponentKey, ResourceKey},
    plan::{LeftForPeople, start_order},
};

/// The course of an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uninstall {
    /// The components in waves: each before what it depends on.
    pub components: Vec<Vec<ComponentKey>>,
    /// The Kubernetes resources that are deleted, after the components.
    pub resources: Vec<ResourceKey>,
    /// What is kept.
    pub kept: Vec<LeftForPeople>,
}

/// Decides what is deleted: everything, in reverse order of dependencies. Persistent volumes and claims are kept unless
/// it is asked that they go as well.
pub fn uninstall(installed: &Installed, delete_volumes: bool) -> Result<Uninstall, GraphError> {
    let mut components = start_order(installed)?;
    components.reverse();
    let mut kept = Vec::new();
    let mut resources = Vec::new();
    let reason = "holds data; it is deleted only if that is asked for";
    for (key, component) in &installed.components {
        let own =
            component.spec.volumes.iter().filter(|volume| volume.kind.is_persistent() && volume.shared_from.is_none());
        kept.extend(own.filter(|_| !delete_volumes).map(|volume| LeftForPeople {
            kind: "volumes".to_owned(),
            name: volume.name.clone(),
            owner: Owner::Component(*key),
            owner_name: component.spec.name.clone(),
            reason: reason.to_owned(),
        }));
    }
    for (key, resource) in &installed.resources {
        if resource.spec.kind == "PersistentVolumeClaim" && !delete_volumes {
            kept.push(LeftForPeople {
                kind: "resource".to_owned(),
                name: resource.spec.name.clone(),
                owner: Owner::Resource(*key),
                owner_name: format!("{} {}", resource.spec.kind, resource.spec.name),
                reason: reason.to_owned(),
            });
        } else {
            resources.push(*key);
        }
    }
    Ok(Uninstall { components, resources, kept })
}
