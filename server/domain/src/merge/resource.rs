//! Kubernetes resources.

use super::{
    Held, Leaf, Merge, Mode, Rule,
    json::{Place, Shape, Within, carried, merge_fields},
    runtime::decide,
    values::merge_variables,
};
use crate::model::{Resource, Value};
use serde_json::{Map, Value as Json};

/// As people call it.
pub(crate) fn resource_name<V>(resource: &Resource<V>) -> String {
    format!("{} {}", resource.kind, resource.name)
}

/// The whole resource as one leaf.
pub(crate) fn resource_summary<V: serde::Serialize>(resource: &Resource<V>) -> Leaf {
    Leaf::new(resource, resource_name(resource))
}

/// Merges what both sides have. ConfigMaps, Secrets and claims stay as they are; of others the fields follow the
/// target, except those that carry environment or storage of pods.
pub(crate) fn merge_resource<V: Held>(
    merge: &mut Merge<'_>,
    base: Option<&Resource<V>>,
    target: &Resource<V>,
    live: &Resource<Value>,
) -> Resource<Value> {
    let mut result = live.clone();
    let is_configuration = live.is_configuration() || target.is_configuration();
    let is_claim = live.kind == "PersistentVolumeClaim";
    let fields = if is_configuration { Rule::OFFER } else { Rule::TAKE };

    let identity = |kind: &str, name: &str| Leaf::new(&(kind, name), format!("{kind} {name}"));
    let sides = [
        base.map(|side| identity(&side.kind, &side.name)),
        Some(identity(&target.kind, &target.name)),
        Some(identity(&live.kind, &live.name)),
    ];
    if decide(merge, "object", &Rule::RECREATE, &sides) {
        result.kind.clone_from(&target.kind);
        result.name.clone_from(&target.name);
    }
    if result.kind != target.kind {
        // The fields of another kind mean something else.
        return result;
    }
    let versions = [base.map(|side| Leaf::json(&side.api_version)), Some(Leaf::json(&target.api_version))];
    let [before, wanted] = versions;
    if decide(merge, "apiVersion", &fields, &[before, wanted, Some(Leaf::json(&live.api_version))]) {
        result.api_version.clone_from(&target.api_version);
    }

    let exact = merge.mode == Mode::Replace;
    let shapes = |names: &[&str]| {
        if !exact && is_claim {
            return claim_shape(names);
        }
        match names {
            _ if is_configuration => Shape { rule: fields, within: Within::Fields },
            [.., "containers" | "initContainers"] => Shape { rule: fields, within: Within::Items("/name") },
            [.., "containers" | "initContainers", _, name] | [.., "spec", name] if carried(name).is_some() => {
                carried(name).unwrap_or(Shape { rule: fields, within: Within::Whole })
            }
            [.., "containers" | "initContainers", _, list, _] | [.., "spec", list, _] if carried(list).is_some() => {
                Shape { rule: Rule::CONFIGURATION, within: Within::Whole }
            }
            _ => Shape { rule: fields, within: Within::Fields },
        }
    };
    let [before, wanted, here] =
        [base.map(|side| body(&side.manifest)), Some(body(&target.manifest)), Some(body(&live.manifest))]
            .map(Option::unwrap_or_default);
    let merged = merge_fields(merge, &Place::root("manifest"), &shapes, [&before, &wanted, &here]);
    result.manifest = with_identity(merged, &result);

    let entries = base.map_or(&[][..], |side| &side.secret_data);
    merge_variables(merge, "secretData", &fields, entries, &target.secret_data, &mut result.secret_data);
    result
}

/// A claim grows; everything else of it cannot change, and its class is the cluster's.
fn claim_shape(names: &[&str]) -> Shape {
    match names {
        ["spec", "storageClassName"] => Shape { rule: Rule::OFFER, within: Within::Nothing },
        ["spec" | "metadata", ..] if names.len() == 1 => Shape { rule: Rule::OFFER, within: Within::Fields },
        ["spec", "resources"] | ["spec", "resources", "requests"] | ["metadata", "labels" | "annotations"] => {
            Shape { rule: Rule::OFFER, within: Within::Fields }
        }
        ["spec", "resources", "requests", "storage"] | ["metadata", ..] => {
            Shape { rule: Rule::OFFER, within: Within::Whole }
        }
        _ => Shape { rule: Rule::never("Kubernetes cannot change this of a claim"), within: Within::Whole },
    }
}

/// A manifest without what says which object it is.
fn body(manifest: &Map<String, Json>) -> Map<String, Json> {
    let mut body = manifest.clone();
    body.remove("apiVersion");
    body.remove("kind");
    if let Some(Json::Object(metadata)) = body.get_mut("metadata") {
        metadata.remove("name");
    }
    body
}

fn with_identity(mut body: Map<String, Json>, resource: &Resource<Value>) -> Map<String, Json> {
    body.insert("apiVersion".to_owned(), resource.api_version.clone().into());
    body.insert("kind".to_owned(), resource.kind.clone().into());
    let metadata = body.entry("metadata").or_insert_with(|| Json::Object(Map::new()));
    if let Json::Object(metadata) = metadata {
        metadata.insert("name".to_owned(), resource.name.clone().into());
    }
    body
}
