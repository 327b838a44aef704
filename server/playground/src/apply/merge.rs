//! Merging, comparing and pruning objects by the table of places.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::fields::{Element, Fields};
use super::schema::{Place, Shape, key_of};

/// How two objects differ.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    /// Paths that only the second has.
    pub(crate) added: Fields,
    /// Paths that only the first has.
    pub(crate) removed: Fields,
    /// Paths that both have, with different values.
    pub(crate) modified: Fields,
}

/// Structures that are always there in the API server's types, and so are never added themselves.
const ALWAYS_THERE: &[&str] = &["metadata", "spec", "status", "template", "containers", "strategy", "loadBalancer"];

impl Difference {
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.modified.is_empty()
    }

    fn insert(&mut self, element: &Element, inner: Self) {
        self.added.insert(element.clone(), inner.added);
        self.removed.insert(element.clone(), inner.removed);
        self.modified.insert(element.clone(), inner.modified);
    }
}

/// The set of fields that a value is made of.
pub(crate) fn fields_of(value: &Value, place: Place) -> Fields {
    let mut set = Fields::default();
    match (place.shape(value), value) {
        (Shape::Map, Value::Object(map)) if !map.is_empty() => {
            for (name, value) in map {
                set.insert(Element::Field(name.clone()), fields_of(value, place.field(name)));
            }
        }
        (Shape::List(keys, item), Value::Array(list)) if !list.is_empty() => {
            for (index, value) in list.iter().enumerate() {
                let mut inner = fields_of(value, item);
                inner.member = true;
                set.insert(element(value, keys, index), inner);
            }
        }
        (Shape::Set, Value::Array(list)) if !list.is_empty() => {
            for value in list {
                set.insert(Element::Value(value.to_string()), Fields::leaf());
            }
        }
        _ => return Fields::leaf(),
    }
    set
}

/// What becomes of an object when a configuration is laid over it.
pub(crate) fn merge(live: &Value, config: &Value, place: Place) -> Value {
    match (place.shape(config), config, live) {
        (Shape::Map, Value::Object(config), Value::Object(live)) => {
            let mut result = live.clone();
            for (name, value) in config {
                let merged = match live.get(name) {
                    Some(live) => merge(live, value, place.field(name)),
                    None => value.clone(),
                };
                result.insert(name.clone(), merged);
            }
            Value::Object(result)
        }
        (Shape::List(keys, item), Value::Array(config), Value::Array(live)) => {
            let key = |index: usize, value: &Value| element(value, keys, index);
            merge_lists(live, config, key, |live, config| merge(live, config, item))
        }
        (Shape::Set, Value::Array(config), Value::Array(live)) => {
            let key = |_: usize, value: &Value| Element::Value(value.to_string());
            merge_lists(live, config, key, |_, config| config.clone())
        }
        _ => config.clone(),
    }
}

/// How two objects differ, field by field.
pub(crate) fn compare(old: &Value, new: &Value, place: Place) -> Difference {
    let mut difference = Difference::default();
    if old == new {
        return difference;
    }
    match (place.shape(old), old, place.shape(new), new) {
        (Shape::Map, Value::Object(old), Shape::Map, Value::Object(new)) if !(old.is_empty() && new.is_empty()) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let place = place.field(name);
                let always = ALWAYS_THERE.contains(&name.as_str());
                let inner = compare_optional(old.get(name), new.get(name), place, always);
                difference.insert(&Element::Field(name.clone()), inner);
            }
        }
        (Shape::List(keys, item), Value::Array(old), Shape::List(..), Value::Array(new)) => {
            let key = |(index, value)| (element(value, keys, index), value);
            let old: Vec<(Element, &Value)> = old.iter().enumerate().map(key).collect();
            let new: Vec<(Element, &Value)> = new.iter().enumerate().map(key).collect();
            compare_items(&mut difference, &old, &new, item);
        }
        (Shape::Set, Value::Array(old), Shape::Set, Value::Array(new)) => {
            let key = |value: &Value| Element::Value(value.to_string());
            for value in new.iter().filter(|value| !old.contains(value)) {
                difference.added.insert(key(value), Fields::leaf());
            }
            for value in old.iter().filter(|value| !new.contains(value)) {
                difference.removed.insert(key(value), Fields::leaf());
            }
        }
        _ => difference.modified = Fields::leaf(),
    }
    difference
}

/// Removes paths from an object; maps and lists that become empty by it go too.
pub(crate) fn remove(value: &mut Value, fields: &Fields, place: Place) {
    match (place.shape(value), value) {
        (Shape::Map, Value::Object(map)) => {
            for (element, inner) in &fields.children {
                let Element::Field(name) = element else { continue };
                let Some(value) = map.get_mut(name) else { continue };
                if !inner.member {
                    remove(value, inner, place.field(name));
                }
                if inner.member || is_hollow(value) {
                    map.remove(name);
                }
            }
        }
        (Shape::List(keys, item), Value::Array(list)) => {
            let mut index = 0;
            list.retain_mut(|value| {
                let inner = fields.children.get(&element(value, keys, index));
                index += 1;
                match inner {
                    Some(inner) if inner.member => false,
                    Some(inner) => {
                        remove(value, inner, item);
                        true
                    }
                    None => true,
                }
            });
        }
        (Shape::Set, Value::Array(list)) => {
            list.retain(|value| !fields.children.contains_key(&Element::Value(value.to_string())));
        }
        _ => {}
    }
}

/// Fields of `last` that nobody in `kept` holds, neither themselves nor anything below them.
pub(crate) fn abandoned(last: &Fields, kept: &Fields) -> Fields {
    static NONE: Fields = Fields { member: false, children: std::collections::BTreeMap::new() };
    let mut result = Fields { member: last.member && kept.is_empty(), ..Fields::default() };
    if result.member {
        return result;
    }
    for (element, inner) in &last.children {
        result.insert(element.clone(), abandoned(inner, kept.children.get(element).unwrap_or(&NONE)));
    }
    result
}

/// Items of associative lists and sets that a configuration names twice: where, and with which key.
pub(crate) fn duplicates(value: &Value, place: Place, path: &str) -> Option<String> {
    match (place.shape(value), value) {
        (Shape::Map, Value::Object(map)) => {
            map.iter().find_map(|(name, value)| duplicates(value, place.field(name), &format!("{path}.{name}")))
        }
        (Shape::List(keys, item), Value::Array(list)) => {
            let mut seen = BTreeSet::new();
            list.iter().enumerate().find_map(|(index, value)| {
                let Some(key) = key_of(value, keys) else {
                    let names: Vec<&str> = keys.iter().map(|(name, _)| *name).collect();
                    let names = names.join(", ");
                    return Some(format!(
                        "{path}: element {index}: associative list with keys has an element that omits key field \
                         \"{names}\" (and doesn't have default value)"
                    ));
                };
                let mut shown = Fields::default();
                shown.insert(Element::Key(key.clone()), Fields::leaf());
                let shown = shown.paths().concat();
                if !seen.insert(key) {
                    return Some(format!("{path}: duplicate entries for key {shown}"));
                }
                duplicates(value, item, &format!("{path}{shown}"))
            })
        }
        (Shape::Set, Value::Array(list)) => {
            let mut seen = BTreeSet::new();
            let twice = list.iter().find(|value| !seen.insert(value.to_string()))?;
            Some(format!("{path}: duplicate entries for key [={twice}]"))
        }
        _ => None,
    }
}

fn element(value: &Value, keys: &'static [(&'static str, Option<&'static str>)], index: usize) -> Element {
    key_of(value, keys).map_or(Element::Index(index as u64), Element::Key)
}

fn is_hollow(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// Keeps the order of the configuration, and of the live items between.
fn merge_lists(
    live: &[Value],
    config: &[Value],
    key: impl Fn(usize, &Value) -> Element,
    both: impl Fn(&Value, &Value) -> Value,
) -> Value {
    let live: Vec<(Element, &Value)> = live.iter().enumerate().map(|(at, value)| (key(at, value), value)).collect();
    let config: Vec<(Element, &Value)> = config.iter().enumerate().map(|(at, value)| (key(at, value), value)).collect();
    let named: BTreeSet<&Element> = config.iter().map(|(key, _)| key).collect();
    let mut result = Vec::new();
    let mut rest = live.iter().peekable();
    for (key, value) in &config {
        while let Some((_, value)) = rest.next_if(|(key, _)| !named.contains(key)) {
            result.push(Value::clone(value));
        }
        rest.next_if(|(next, _)| next == key);
        let found = live.iter().find(|(other, _)| other == key);
        result.push(found.map_or_else(|| Value::clone(value), |(_, live)| both(live, value)));
    }
    result.extend(rest.filter(|(key, _)| !named.contains(key)).map(|(_, value)| Value::clone(value)));
    Value::Array(result)
}

fn compare_items(difference: &mut Difference, old: &[(Element, &Value)], new: &[(Element, &Value)], item: Place) {
    let find = |list: &[(Element, &Value)], key: &Element| -> Option<Value> {
        list.iter().find(|(other, _)| other == key).map(|(_, value)| Value::clone(value))
    };
    let keys: BTreeSet<&Element> = old.iter().chain(new).map(|(key, _)| key).collect();
    for key in keys {
        let inner = compare_optional(find(old, key).as_ref(), find(new, key).as_ref(), item, false);
        difference.insert(key, inner);
    }
}

fn compare_optional(old: Option<&Value>, new: Option<&Value>, place: Place, always: bool) -> Difference {
    let whole = |value: &Value| {
        let mut fields = with_parents(value, place);
        fields.member |= !always;
        fields
    };
    match (old, new) {
        (Some(old), Some(new)) => compare(old, new, place),
        (None, Some(new)) => Difference { added: whole(new), ..Difference::default() },
        (Some(old), None) => Difference { removed: whole(old), ..Difference::default() },
        (None, None) => Difference::default(),
    }
}

/// The fields of a value that appeared as a whole: also the maps and lists on the way.
fn with_parents(value: &Value, place: Place) -> Fields {
    let mut set = Fields::default();
    match (place.shape(value), value) {
        (Shape::Map, Value::Object(map)) if !map.is_empty() => {
            for (name, value) in map {
                let mut inner = with_parents(value, place.field(name));
                inner.member |= !ALWAYS_THERE.contains(&name.as_str());
                set.insert(Element::Field(name.clone()), inner);
            }
        }
        (Shape::List(keys, item), Value::Array(list)) if !list.is_empty() => {
            for (index, value) in list.iter().enumerate() {
                let mut inner = with_parents(value, item);
                inner.member = true;
                set.insert(element(value, keys, index), inner);
            }
        }
        (Shape::Set, Value::Array(_)) => set = fields_of(value, place),
        _ => set.member = true,
    }
    set
}
