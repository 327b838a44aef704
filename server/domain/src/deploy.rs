//! Deployments of what was composed here: from what was deployed last to what is wanted.

use crate::{
    change::{Change, Owner},
    installed::Installed,
    merge::{Class, Leaf, Merge, Mode, merge_component, merge_resource, resource_name, resource_summary, summary},
    secrets::Source,
};
use std::collections::BTreeSet;

/// Every difference between what is deployed and what is desired; all of them are applied. What is no longer desired is
/// a removal of a whole component or resource.
pub fn plan_deployment(deployed: &Installed, desired: &Installed) -> Vec<Change> {
    let accept = BTreeSet::new();
    let mut merge = Merge::new(Mode::Replace, &accept, Source::existing(&desired.secret_groups));
    merge.names = deployed.names();
    merge.names.extend(desired.names());
    for installed in [deployed, desired] {
        merge.members.extend(installed.components.iter().map(|(key, one)| (*key, one.spec.name.clone())));
    }
    for (key, wanted) in &desired.components {
        merge.enter(Owner::Component(*key), &wanted.spec.name);
        match deployed.components.get(key) {
            Some(here) => _ = merge_component(&mut merge, None, &wanted.spec, &here.spec),
            None => whole(&mut merge, "component", None, Some(&summary(&wanted.spec))),
        }
    }
    for (key, here) in &deployed.components {
        if !desired.components.contains_key(key) {
            merge.enter(Owner::Component(*key), &here.spec.name);
            whole(&mut merge, "component", Some(&summary(&here.spec)), None);
        }
    }
    for (key, wanted) in &desired.resources {
        merge.enter(Owner::Resource(*key), &resource_name(&wanted.spec));
        match deployed.resources.get(key) {
            Some(here) => _ = merge_resource(&mut merge, None, &wanted.spec, &here.spec),
            None => whole(&mut merge, "resource", None, Some(&resource_summary(&wanted.spec))),
        }
    }
    for (key, here) in &deployed.resources {
        if !desired.resources.contains_key(key) {
            merge.enter(Owner::Resource(*key), &resource_name(&here.spec));
            whole(&mut merge, "resource", Some(&resource_summary(&here.spec)), None);
        }
    }
    merge.changes
}

fn whole(merge: &mut Merge<'_>, path: &str, live: Option<&Leaf>, target: Option<&Leaf>) {
    let reason = if target.is_some() { "is not deployed yet" } else { "is deployed and no longer wanted" };
    merge.record(path, Class::Take, reason, target, live);
}
