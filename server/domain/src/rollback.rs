//! Rollbacks: from what is here now to a snapshot, over the properties that an upgrade may change.

use crate::{
    change::{Change, ChangeId, Owner},
    installed::{Installed, InstalledComponent, InstalledResource},
    key::{ComponentKey, ResourceKey},
    merge::{AcceptError, Class, Merge, Mode, merge_component, merge_resource, resource_name, resource_summary},
    model::{Resource, WorkloadKind},
    plan::LeftForPeople,
    secrets::Source,
    upgrade::dependents,
};
use std::collections::BTreeSet;

const ADDED: &str = "was added by the upgrade; a rollback deletes nothing";
const DELETED_SINCE: &str = "was deleted since the upgrade; a rollback revives nothing";

/// What a rollback is decided from.
#[derive(Debug, Clone, Copy)]
pub struct RollbackInput<'a> {
    /// The desired state before the upgrade.
    pub snapshot: &'a Installed,
    /// The desired state that the upgrade wrote.
    pub written: &'a Installed,
    /// The desired state now.
    pub now: &'a Installed,
    /// The kept changes that a person accepts.
    pub accept: &'a BTreeSet<ChangeId>,
}

/// What a rollback comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollbackOutcome {
    /// The desired state afterwards.
    pub after: Installed,
    /// Every difference to the snapshot that the upgrade made, applied or kept.
    pub changes: Vec<Change>,
    /// What no rollback decides about.
    pub left_for_people: Vec<LeftForPeople>,
    /// What does not stop it.
    pub warnings: Vec<String>,
    /// The components whose objects must be applied.
    pub apply: BTreeSet<ComponentKey>,
    /// The resources that must be applied.
    pub apply_resources: BTreeSet<ResourceKey>,
}

/// Decides a rollback. Image, command, arguments, probes, dependencies, attributes and Kubernetes resources go back;
/// what a person accepted goes back where it is still as the upgrade wrote it; nothing is deleted and nothing revived.
pub fn rollback(input: &RollbackInput<'_>) -> Result<RollbackOutcome, AcceptError> {
    let RollbackInput { snapshot, written, now, accept } = *input;
    let mut merge = Merge::new(Mode::Rollback, accept, Source::existing(&now.secret_groups));
    merge.members = now.components.iter().map(|(key, one)| (*key, one.spec.name.clone())).collect();
    merge.names = snapshot.names();
    merge.names.extend(now.names());
    let mut after = now.clone();
    let mut warnings = Vec::new();

    for (key, before) in &snapshot.components {
        merge.enter(Owner::Component(*key), &before.spec.name);
        let Some(here) = now.components.get(key) else {
            leave(&mut merge, "component", DELETED_SINCE);
            continue;
        };
        let base = written.components.get(key).unwrap_or(before);
        let one = InstalledComponent {
            own_key: here.own_key,
            cluster_name: here.cluster_name.clone(),
            spec: merge_component(&mut merge, Some(&base.spec), &before.spec, &here.spec),
            version: before.version.clone(),
            no_longer_in_template: before.no_longer_in_template,
        };
        after.components.insert(*key, one);
    }
    for (key, added) in &written.components {
        if now.components.contains_key(key) && !snapshot.components.contains_key(key) {
            merge.enter(Owner::Component(*key), &added.spec.name);
            leave(&mut merge, "component", ADDED);
        }
    }
    for (key, before) in &snapshot.resources {
        let name = resource_name(&before.spec);
        merge.enter(Owner::Resource(*key), &name);
        // The upgrade may have given it another key: it is the same object.
        let is_it = |(_, one): &(&ResourceKey, &InstalledResource)| one.own_key == before.own_key;
        let key_now = now.resources.iter().find(is_it).map_or(*key, |(key, _)| *key);
        match (written.resources.get(&key_now), now.resources.get(&key_now)) {
            (base, Some(here)) => {
                let base = base.unwrap_or(before);
                let here = InstalledResource { spec: Resource { key: *key, ..here.spec.clone() }, ..here.clone() };
                after.resources.remove(&key_now);
                let one = InstalledResource {
                    own_key: here.own_key,
                    spec: merge_resource(&mut merge, Some(&base.spec), &before.spec, &here.spec),
                    version: before.version.clone(),
                    no_longer_in_template: before.no_longer_in_template,
                };
                after.resources.insert(*key, one);
            }
            (None, None) => {
                let reason = "was deleted by the upgrade";
                merge.record("resource", Class::Take, reason, Some(&resource_summary(&before.spec)), None);
                if before.spec.kind == "PersistentVolumeClaim" {
                    warnings.push(format!("{name} is made anew and empty: what was in it is gone"));
                }
                after.resources.insert(*key, before.clone());
            }
            (Some(_), None) => leave(&mut merge, "resource", DELETED_SINCE),
        }
    }
    for (key, added) in &written.resources {
        if after.resources.contains_key(key) && !snapshot.resources.contains_key(key) {
            merge.enter(Owner::Resource(*key), &resource_name(&added.spec));
            leave(&mut merge, "resource", ADDED);
        }
    }
    for (group, id) in &snapshot.secret_groups {
        after.secret_groups.entry(group.clone()).or_insert(*id);
    }

    merge.check_accepted()?;
    let mut apply = dependents(now, &after);
    let mut apply_resources = BTreeSet::new();
    for owner in merge.touched() {
        match owner {
            Owner::Component(key) => _ = apply.insert(key),
            Owner::Resource(key) => _ = apply_resources.insert(key),
        }
    }
    // Its desired state goes back all the same: the next upgrade starts from there.
    for key in apply.clone() {
        let one = &after.components[&key];
        if one.spec.kind == WorkloadKind::Job {
            apply.remove(&key);
            merge.enter(Owner::Component(key), &one.spec.name);
            leave(&mut merge, "component", "is a job; a rollback never runs one again");
        }
    }
    Ok(RollbackOutcome { after, changes: merge.changes, left_for_people: merge.left, warnings, apply, apply_resources })
}

/// Leaves something whole.
fn leave(merge: &mut Merge<'_>, kind: &str, reason: &str) {
    let name = merge.owner_name.clone();
    merge.leave(&format!("{kind}/{name}"), reason);
}
