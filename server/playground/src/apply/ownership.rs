//! Who owns which field: `managedFields`, kept as the API server keeps them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fields::Fields;
use super::merge::{abandoned, compare, duplicates, fields_of, merge, remove};
use super::schema::root;
use crate::kind::Kind;
use crate::object::items;
use crate::status::Status;

/// Fields that nobody owns.
const UNOWNED: &[&[&str]] = &[
    &["apiVersion"],
    &["kind"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "creationTimestamp"],
    &["metadata", "deletionTimestamp"],
    &["metadata", "deletionGracePeriodSeconds"],
    &["metadata", "selfLink"],
    &["metadata", "uid"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "resourceVersion"],
];

/// What tells one manager from another: name, whether it applies, and the subresource it writes through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Manager {
    /// Appliers come first.
    pub(crate) operation: Operation,
    /// The name that it gives itself.
    pub(crate) name: String,
    /// The version of the API that it speaks.
    pub(crate) api_version: String,
    /// Empty for the object itself.
    pub(crate) subresource: String,
}

/// How a manager writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    /// By server-side apply.
    Apply,
    /// In any other way.
    Update,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    fields: Fields,
    time: String,
}

type Entries = BTreeMap<Manager, Entry>;

/// Writes into `new` who owns its fields after a manager has changed `old` into it by anything but an apply.
pub(crate) fn track_update(kind: Kind, old: &Value, new: &mut Value, manager: &Manager, now: &str) {
    let mut entries = read(old);
    let difference = compare(&strip(old), &strip(new), root(kind));
    let changed = cut_unowned(kind, difference.added.union(&difference.modified), manager);
    if !(changed.is_empty() && difference.removed.is_empty()) {
        for (other, entry) in &mut entries {
            if other != manager {
                entry.fields = entry.fields.difference(&difference.removed).difference(&difference.modified);
                entry.fields = entry.fields.difference(&difference.added);
            }
        }
        let entry =
            entries.entry(manager.clone()).or_insert_with(|| Entry { fields: Fields::default(), time: String::new() });
        let fields = entry.fields.difference(&difference.removed).union(&changed);
        if fields != entry.fields || !difference.is_empty() {
            *entry = Entry { fields, time: now.to_owned() };
        }
    }
    write(new, entries);
}

/// Lays a configuration over an object for a manager that applies it. The result has the new owners.
pub(crate) fn apply(
    kind: Kind,
    live: &Value,
    config: &Value,
    manager: &Manager,
    force: bool,
    now: &str,
) -> Result<Value, Status> {
    let place = root(kind);
    if let Some(twice) = duplicates(config, place, "") {
        let who = format!(
            "{}/{}; {}, Kind={}",
            config["metadata"]["namespace"].as_str().unwrap_or(""),
            config["metadata"]["name"].as_str().unwrap_or(""),
            kind.api_version(),
            kind.description().kind
        );
        return Err(Status::unknown(format!("failed to create typed patch object ({who}): {twice}")));
    }
    let mut entries = read(live);
    let (live, config) = (strip(live), strip(config));
    let set = cut_unowned(kind, fields_of(&config, place), manager);
    let last = entries.get(manager).cloned();
    let mut merged = merge(&live, &config, place);
    if let Some(last) = &last {
        let kept = entries
            .iter()
            .filter(|(other, _)| *other != manager)
            .fold(set.clone(), |kept, (_, entry)| kept.union(&entry.fields));
        remove(&mut merged, &abandoned(&last.fields, &kept), place);
    }
    let difference = compare(&live, &merged, place);
    let changed = difference.added.union(&difference.modified);
    let mut conflicts = Vec::new();
    for (other, entry) in entries.iter_mut().filter(|(other, _)| *other != manager) {
        let conflict = entry.fields.intersection(&changed);
        if !conflict.is_empty() {
            conflicts.push((other.clone(), conflict.paths()));
            entry.fields = entry.fields.difference(&conflict);
        }
        entry.fields = entry.fields.difference(&difference.removed);
    }
    if !force && !conflicts.is_empty() {
        return Err(conflict(&conflicts));
    }
    let unchanged = last.filter(|last| difference.is_empty() && last.fields == set);
    let time = unchanged.map_or_else(|| now.to_owned(), |last| last.time);
    entries.insert(manager.clone(), Entry { fields: set, time });
    write(&mut merged, entries);
    Ok(merged)
}

/// Whether two lists of owners differ only in their times.
pub(crate) fn same_owners(left: &Value, right: &Value) -> bool {
    let fields = |object: &Value| -> BTreeMap<Manager, Fields> {
        read(object).into_iter().map(|(manager, entry)| (manager, entry.fields)).collect()
    };
    fields(left) == fields(right)
}

fn strip(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        metadata.remove("resourceVersion");
    }
    object
}

/// Leaves out what nobody owns, and what a write to this subresource cannot change.
fn cut_unowned(kind: Kind, mut fields: Fields, manager: &Manager) -> Fields {
    for path in UNOWNED {
        fields.cut(path);
    }
    match manager.subresource.as_str() {
        "" if !kind.description().status => {}
        "status" => fields.cut(&["spec"]),
        _ => fields.cut(&["status"]),
    }
    if let Some(metadata) = fields.children.get_mut(&super::fields::Element::Field("metadata".to_owned())) {
        metadata.member = false;
    }
    fields.member = false;
    fields
}

fn read(object: &Value) -> Entries {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    items(object, "/metadata/managedFields")
        .iter()
        .map(|entry| {
            let operation = if entry["operation"] == "Apply" { Operation::Apply } else { Operation::Update };
            let manager = Manager {
                operation,
                name: text(&entry["manager"]),
                api_version: text(&entry["apiVersion"]),
                subresource: text(&entry["subresource"]),
            };
            (manager, Entry { fields: Fields::from_json(&entry["fieldsV1"]), time: text(&entry["time"]) })
        })
        .collect()
}

fn write(object: &mut Value, entries: Entries) {
    let mut entries: Vec<(Manager, Entry)> =
        entries.into_iter().filter(|(_, entry)| !entry.fields.is_empty()).collect();
    entries.sort_by(|(left, l), (right, r)| {
        (left.operation, &l.time, &left.name, &left.api_version, &left.subresource).cmp(&(
            right.operation,
            &r.time,
            &right.name,
            &right.api_version,
            &right.subresource,
        ))
    });
    let list: Vec<Value> = entries
        .into_iter()
        .map(|(manager, entry)| {
            let operation = match manager.operation {
                Operation::Apply => "Apply",
                Operation::Update => "Update",
            };
            let mut value = json!({
                "manager": manager.name, "operation": operation, "apiVersion": manager.api_version,
                "time": entry.time, "fieldsType": "FieldsV1", "fieldsV1": entry.fields.to_json(),
            });
            if !manager.subresource.is_empty() {
                value["subresource"] = json!(manager.subresource);
            }
            value
        })
        .collect();
    if list.is_empty() {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
    } else {
        object["metadata"]["managedFields"] = Value::Array(list);
    }
}

fn conflict(conflicts: &[(Manager, Vec<String>)]) -> Status {
    let shown = |manager: &Manager| {
        let mut text = format!("\"{}\"", manager.name);
        if !manager.subresource.is_empty() {
            text = format!("{text} with subresource \"{}\"", manager.subresource);
        }
        if manager.operation == Operation::Update {
            text = format!("{text} using {}", manager.api_version);
        }
        text
    };
    let causes: Vec<(String, String)> = conflicts
        .iter()
        .flat_map(|(manager, paths)| {
            paths.iter().map(move |path| (format!("conflict with {}", shown(manager)), path.clone()))
        })
        .collect();
    let message = if let [(cause, path)] = causes.as_slice() {
        format!("Apply failed with 1 conflict: {cause}: {path}")
    } else {
        let parts: Vec<String> = conflicts
            .iter()
            .map(|(manager, paths)| {
                let lines: Vec<String> = paths.iter().map(|path| format!("- {path}")).collect();
                format!("conflicts with {}:\n{}", shown(manager), lines.join("\n"))
            })
            .collect();
        format!("Apply failed with {} conflicts: {}", causes.len(), parts.join("\n"))
    };
    Status::apply_conflict(message, causes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Deployments with few names, so that what two managers apply overlaps.
    fn configuration() -> impl Strategy<Value = Value> {
        let text = || prop::sample::select(vec!["a", "b", "c"]);
        let map = || prop::collection::btree_map(text(), text(), 0..3);
        let container = (map(), prop::option::of(text()), prop::collection::btree_set(1..4, 0..3));
        let containers = prop::collection::btree_map(text(), container, 1..3);
        (prop::option::of(0..4), map(), prop::collection::btree_set(text(), 0..3), containers).prop_map(
            |(replicas, labels, finalizers, containers)| {
                let containers: Vec<Value> = containers
                    .into_iter()
                    .map(|(name, (env, image, ports))| {
                        let env: Vec<Value> =
                            env.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
                        let ports: Vec<Value> = ports.into_iter().map(|port| json!({"containerPort": port})).collect();
                        let mut container = json!({"name": name, "env": env, "ports": ports});
                        if let Some(image) = image {
                            container["image"] = json!(image);
                        }
                        container
                    })
                    .collect();
                let mut object = json!({
                    "metadata": {"name": "x", "labels": labels, "finalizers": finalizers},
                    "spec": {"template": {"spec": {"containers": containers}}},
                });
                if let Some(replicas) = replicas {
                    object["spec"]["replicas"] = json!(replicas);
                }
                object
            },
        )
    }

    fn manager(name: &str, operation: Operation) -> Manager {
        Manager { operation, name: name.to_owned(), api_version: "apps/v1".to_owned(), subresource: String::new() }
    }

    fn forced(live: &Value, config: &Value, name: &str, now: &str) -> Value {
        apply(Kind::Deployment, live, config, &manager(name, Operation::Apply), true, now)
            .expect("force has no conflicts")
    }

    /// Whether every place of a set is there, itself or as the way to a longer one.
    fn covers(there: &Fields, set: &Fields) -> bool {
        set.children
            .iter()
            .all(|(element, inner)| there.children.get(element).is_some_and(|there| covers(there, inner)))
    }

    proptest! {
        #[test]
        fn applying_the_same_again_changes_nothing(first in configuration(), second in configuration()) {
            let live = forced(&json!({"metadata": {}}), &first, "one", "1");
            let live = forced(&live, &second, "two", "2");
            prop_assert_eq!(&forced(&live, &second, "two", "3"), &live);
        }

        #[test]
        fn what_one_applied_is_there_afterwards(first in configuration(), second in configuration()) {
            let live = forced(&json!({"metadata": {}}), &first, "one", "1");
            let live = forced(&live, &second, "two", "2");
            let merged = merge(&strip(&live), &second, root(Kind::Deployment));
            prop_assert_eq!(merged, strip(&live));
        }

        #[test]
        fn nobody_owns_what_an_update_took_away(first in configuration(), second in configuration()) {
            let live = forced(&json!({"metadata": {}}), &first, "one", "1");
            let mut changed = second.clone();
            track_update(Kind::Deployment, &live, &mut changed, &manager("hand", Operation::Update), "2");
            let there = fields_of(&strip(&changed), root(Kind::Deployment));
            for (_, entry) in read(&changed) {
                prop_assert!(covers(&there, &entry.fields), "{:?} in {:?}", entry.fields.paths(), there.paths());
            }
        }
    }
}
