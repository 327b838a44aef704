//! Attributes and manifests: JSON, merged as deep as its parts are independent of each other.

use super::{
    Leaf, Merge, Rule,
    list::{Entry, merge_list},
};
use serde_json::{Map, Value as Json};

/// What a place in JSON is.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) rule: Rule,
    pub(super) within: Within,
}

/// How far a place is looked into.
#[derive(Clone, Copy)]
pub(super) enum Within {
    /// Compared as a whole.
    Whole,
    /// Field by field.
    Fields,
    /// Item by item, by the text that this JSON pointer finds in each.
    Items(&'static str),
    /// Not compared: it belongs to the cluster.
    Nothing,
}

/// The shape of a place, given the names that lead to it.
pub(super) type Shapes<'s> = dyn Fn(&[&str]) -> Shape + 's;

/// Merges objects field by field.
pub(super) fn merge_fields(
    merge: &mut Merge<'_>,
    at: &Place<'_>,
    shapes: &Shapes<'_>,
    sides: [&Map<String, Json>; 3],
) -> Map<String, Json> {
    let mut result = sides[2].clone();
    let mut names: Vec<&String> = sides.iter().flat_map(|side| side.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let field = sides.map(|side| side.get(name));
        match merge_place(merge, &at.field(name), shapes, field) {
            Some(value) => result.insert(name.clone(), value),
            None => result.remove(name),
        };
    }
    result
}

/// Where something stands in JSON.
pub(super) struct Place<'p> {
    path: String,
    names: Vec<&'p str>,
}

impl<'p> Place<'p> {
    /// The root, under the first part of a change's path.
    pub(super) fn root(path: &str) -> Self {
        Self { path: path.to_owned(), names: Vec::new() }
    }

    fn field<'q>(&self, name: &'q str) -> Place<'q>
    where
        'p: 'q,
    {
        // A name that contains the separator is set in brackets, so that two places never share a path.
        let path = if name.contains(['/', '[', ']']) {
            format!("{}[{name}]", self.path)
        } else {
            format!("{}/{name}", self.path)
        };
        let mut names: Vec<&'q str> = self.names.clone();
        names.push(name);
        Place { path, names }
    }
}

fn merge_place(merge: &mut Merge<'_>, at: &Place<'_>, shapes: &Shapes<'_>, sides: [Option<&Json>; 3]) -> Option<Json> {
    let [base, target, live] = sides;
    let shape = shapes(&at.names);
    // What was kept as a whole is still missing as a whole, although by now both versions have it.
    let is_new = live.is_none() && (base.is_none() || merge.is_pending(&at.path));
    match shape.within {
        Within::Nothing => return live.cloned(),
        Within::Fields if !is_new => {
            if let Some([base_fields, target_fields, live_fields]) = objects(sides) {
                let merged = merge_fields(merge, at, shapes, [&base_fields, &target_fields, &live_fields]);
                let stays = |side: Option<&Json>| side.and_then(Json::as_object).is_some_and(Map::is_empty);
                let empty = merged.is_empty() && !(target.is_some() && live.is_some() || stays(live));
                return (!empty).then_some(Json::Object(merged));
            }
        }
        Within::Items(pointer) if !is_new => {
            if let Some(items) = items(sides, pointer) {
                let merged = merge_items(merge, at, shapes, items);
                let empty = merged.is_empty() && !(target.is_some() && live.is_some());
                return (!empty).then_some(Json::Array(merged));
            }
        }
        _ => {}
    }
    merge_whole(merge, at, &shape.rule, sides)
}

fn merge_whole(merge: &mut Merge<'_>, at: &Place<'_>, rule: &Rule, sides: [Option<&Json>; 3]) -> Option<Json> {
    let [_, target, live] = sides;
    let leaves = sides.map(|side| side.map(Leaf::json));
    if merge.decide(&at.path, rule, leaves[0].as_ref(), leaves[1].as_ref(), leaves[2].as_ref()) {
        target.cloned()
    } else {
        live.cloned()
    }
}

fn merge_items(merge: &mut Merge<'_>, at: &Place<'_>, shapes: &Shapes<'_>, items: [Vec<Item>; 3]) -> Vec<Json> {
    let [base, target, mut live] = items;
    merge_list(merge, &base, &target, &mut live, |merge, sides, _| {
        let all = [sides.base, sides.target, sides.live];
        let key = all.into_iter().flatten().next().map(Entry::key)?;
        let values = all.map(|side| side.map(|item| &item.value));
        let place = at.field(&key);
        let value = if sides.target.is_some() && sides.live.is_some() {
            merge_place(merge, &place, shapes, values)?
        } else {
            // An item comes and goes as a whole: half a container is none.
            merge_whole(merge, &place, &shapes(&place.names).rule, values)?
        };
        Some(Item { key, value })
    });
    live.into_iter().map(|item| item.value).collect()
}

#[derive(Clone)]
struct Item {
    key: String,
    value: Json,
}

impl Entry for Item {
    fn key(&self) -> String {
        self.key.clone()
    }
}

/// The sides as objects, absent ones empty; none if one is anything else.
fn objects(sides: [Option<&Json>; 3]) -> Option<[Map<String, Json>; 3]> {
    let object = |side: Option<&Json>| match side {
        None => Some(Map::new()),
        Some(Json::Object(fields)) => Some(fields.clone()),
        Some(_) => None,
    };
    Some([object(sides[0])?, object(sides[1])?, object(sides[2])?])
}

/// The sides as lists of items with unique keys; none if one is anything else.
fn items(sides: [Option<&Json>; 3], pointer: &str) -> Option<[Vec<Item>; 3]> {
    let list = |side: Option<&Json>| {
        let Some(side) = side else { return Some(Vec::new()) };
        let mut items: Vec<Item> = Vec::new();
        for value in side.as_array()? {
            let key = value.pointer(pointer)?.as_str()?.to_owned();
            if items.iter().any(|item| item.key == key) {
                return None;
            }
            items.push(Item { key, value: value.clone() });
        }
        Some(items)
    };
    Some([list(sides[0])?, list(sides[1])?, list(sides[2])?])
}

/// Merges attributes under `attributes/`. Those that carry environment or storage stay as configuration does.
pub(super) fn merge_attributes(
    merge: &mut Merge<'_>,
    base: &Map<String, Json>,
    target: &Map<String, Json>,
    live: &mut Map<String, Json>,
) {
    let shapes = |names: &[&str]| match names {
        ["labels" | "annotations" | "nodeSelector"] => Shape { rule: Rule::TAKE_AND_KEEP, within: Within::Fields },
        [.., name] if carried(name).is_some() => carried(name).unwrap_or(WHOLE),
        [.., list, _] if carried(list).is_some() => Shape { rule: Rule::CONFIGURATION, within: Within::Whole },
        ["containers" | "initContainers"] => Shape { rule: Rule::TAKE_AND_KEEP, within: Within::Items("/name") },
        ["containers" | "initContainers", _] => Shape { rule: Rule::TAKE_AND_KEEP, within: Within::Fields },
        _ => WHOLE,
    };
    *live = merge_fields(merge, &Place::root("attributes"), &shapes, [base, target, live]);
}

const WHOLE: Shape = Shape { rule: Rule::TAKE_AND_KEEP, within: Within::Whole };

/// What carries environment or storage, and how its items are told apart.
pub(super) fn carried(name: &str) -> Option<Shape> {
    let within = match name {
        "env" | "volumes" => Within::Items("/name"),
        "envFrom" => Within::Whole,
        "volumeMounts" => Within::Items("/mountPath"),
        "volumeClaimTemplates" => Within::Items("/metadata/name"),
        _ => return None,
    };
    Some(Shape { rule: Rule::CONFIGURATION, within })
}
