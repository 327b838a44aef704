//! Sets of fields, and the FieldsV1 form in which `managedFields` keeps them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write;

use serde_json::{Map, Value};

/// Levels that a set read from outside may have.
const MAXIMUM_DEPTH: usize = 64;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Element {
    /// A field of a map.
    Field(String),
    /// The item of a list with these keys (canonical JSON).
    Key(String),
    /// The item of a set with this value (canonical JSON).
    Value(String),
    /// The item of a list at this place.
    Index(u64),
}

/// A set of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    /// Whether the path that leads here is in the set.
    pub(crate) member: bool,
    /// Longer paths.
    pub(crate) children: BTreeMap<Element, Fields>,
}

impl Fields {
    /// The set of one path: the one that leads here.
    pub(crate) fn leaf() -> Self {
        Self { member: true, children: BTreeMap::new() }
    }

    /// Whether there is no path.
    pub(crate) fn is_empty(&self) -> bool {
        !self.member && self.children.values().all(Self::is_empty)
    }

    /// Adds what is under an element, if there is anything.
    pub(crate) fn insert(&mut self, element: Element, fields: Self) {
        if fields.is_empty() {
            return;
        }
        match self.children.entry(element) {
            Entry::Vacant(place) => drop(place.insert(fields)),
            Entry::Occupied(mut place) => {
                let both = place.get().union(&fields);
                place.insert(both);
            }
        }
    }

    /// Paths in either.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut result = self.clone();
        result.member |= other.member;
        for (element, fields) in &other.children {
            let slot = result.children.entry(element.clone()).or_default();
            *slot = slot.union(fields);
        }
        result
    }

    /// Paths in this one only.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        self.combine(other, |here, there| here && !there, true)
    }

    /// Paths in both.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |here, there| here && there, false)
    }

    /// Removes a path and everything under it.
    pub(crate) fn cut(&mut self, path: &[&str]) {
        match path {
            [] => {}
            [last] => {
                self.children.remove(&Element::Field((*last).to_owned()));
            }
            [first, rest @ ..] => {
                if let Some(child) = self.children.get_mut(&Element::Field((*first).to_owned())) {
                    child.cut(rest);
                    if child.is_empty() {
                        self.children.remove(&Element::Field((*first).to_owned()));
                    }
                }
            }
        }
    }

    /// Every path, as Kubernetes writes it: `.spec.containers[name="web"].image`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths
    }

    /// The FieldsV1 form.
    pub(crate) fn to_json(&self) -> Value {
        let mut map = Map::new();
        if self.member && !self.children.is_empty() {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (element, fields) in &self.children {
            if !fields.is_empty() {
                map.insert(element.encode(), fields.to_json());
            }
        }
        Value::Object(map)
    }

    /// Reads the FieldsV1 form; what is not understood is left out.
    pub(crate) fn from_json(value: &Value) -> Self {
        let mut fields = Self::read(value, 0);
        fields.member = false;
        fields
    }

    fn read(value: &Value, depth: usize) -> Self {
        let Some(map) = value.as_object().filter(|_| depth < MAXIMUM_DEPTH) else { return Self::default() };
        let mut fields = Self { member: map.is_empty() || map.contains_key("."), children: BTreeMap::new() };
        for (text, value) in map {
            if let Some(element) = Element::decode(text) {
                fields.insert(element, Self::read(value, depth + 1));
            }
        }
        fields
    }

    fn combine(&self, other: &Self, choose: fn(bool, bool) -> bool, keep: bool) -> Self {
        let mut result = Self { member: choose(self.member, other.member), children: BTreeMap::new() };
        for (element, fields) in &self.children {
            let both = match other.children.get(element) {
                Some(there) => fields.combine(there, choose, keep),
                None if keep => fields.clone(),
                None => continue,
            };
            if !both.is_empty() {
                result.children.insert(element.clone(), both);
            }
        }
        result
    }

    fn collect(&self, path: &str, paths: &mut Vec<String>) {
        for (element, fields) in &self.children {
            let mut path = path.to_owned();
            element.show(&mut path);
            if fields.member {
                paths.push(path.clone());
            }
            fields.collect(&path, paths);
        }
    }
}

impl Element {
    fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(keys) => format!("k:{keys}"),
            Self::Value(value) => format!("v:{value}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    fn decode(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let canonical = || serde_json::from_str::<Value>(rest).ok().map(|value| value.to_string());
        match kind {
            "f" => Some(Self::Field(rest.to_owned())),
            "k" => canonical().map(Self::Key),
            "v" => canonical().map(Self::Value),
            "i" => rest.parse().ok().map(Self::Index),
            _ => None,
        }
    }

    fn show(&self, path: &mut String) {
        let written = match self {
            Self::Field(name) => write!(path, ".{name}"),
            Self::Index(index) => write!(path, "[{index}]"),
            Self::Value(value) => write!(path, "[={value}]"),
            Self::Key(keys) => {
                let keys: BTreeMap<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let all: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                write!(path, "[{}]", all.join(","))
            }
        };
        debug_assert!(written.is_ok(), "writing into a String does not fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sets_survive_their_form() {
        let form = json!({"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:image": {}}},
            "f:finalizers": {"v:\"a\"": {}}, "f:list": {"i:3": {}}}});
        let fields = Fields::from_json(&form);
        assert_eq!(fields.to_json(), form);
        assert_eq!(
            fields.paths(),
            [
                ".spec.containers[name=\"web\"]",
                ".spec.containers[name=\"web\"].image",
                ".spec.finalizers[=\"a\"]",
                ".spec.list[3]",
            ]
        );
        assert!(fields.difference(&fields).is_empty());
        assert_eq!(fields.intersection(&fields), fields);
        assert_eq!(fields.union(&fields), fields);
    }
}
