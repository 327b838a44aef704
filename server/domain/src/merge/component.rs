//! Components, property family by property family.

use super::{
    Held, Leaf, Merge, Rule,
    json::merge_attributes,
    network::{merge_ports, merge_probes},
    runtime::{merge_dependencies, merge_process, merge_size},
    storage::merge_volumes,
    values::{merge_files, merge_variables},
};
use crate::model::{Component, Value};

/// Merges what both sides have: the result is what shall be here. The key and the slug are for life.
pub(crate) fn merge_component<V: Held>(
    merge: &mut Merge<'_>,
    base: Option<&Component<V>>,
    target: &Component<V>,
    live: &Component<Value>,
) -> Component<Value> {
    let mut result = live.clone();
    merge_process(merge, base, target, &mut result);
    let rule = &Rule::CONFIGURATION;
    let before = base.map_or(&[][..], |side| &side.environment);
    merge_variables(merge, "environment", rule, before, &target.environment, &mut result.environment);
    let before = base.map_or(&[][..], |side| &side.connection_info);
    merge_variables(merge, "connectionInfo", rule, before, &target.connection_info, &mut result.connection_info);
    let before = base.map_or(&[][..], |side| &side.config_files);
    merge_files(merge, before, &target.config_files, &mut result.config_files);
    merge_ports(merge, base.map_or(&[], |side| &side.ports), &target.ports, &mut result.ports);
    merge_volumes(merge, base.map_or(&[], |side| &side.volumes), &target.volumes, &mut result.volumes);
    merge_probes(merge, base.map_or(&[], |side| &side.probes), &target.probes, &mut result.probes);
    merge_dependencies(merge, base, target, &mut result);
    merge_size(merge, base, target, &mut result);
    let none = serde_json::Map::new();
    let before = base.map_or(&none, |side| &side.attributes);
    merge_attributes(merge, before, &target.attributes, &mut result.attributes);
    result
}

/// The whole component as one leaf.
pub(crate) fn summary<V: serde::Serialize>(component: &Component<V>) -> Leaf {
    Leaf::new(component, component.name.clone())
}
