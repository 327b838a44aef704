//! Fields of an object by the paths that the API server writes in conflicts, such as
//! `.spec.template.spec.containers[name="web"].image` (structured-merge-diff, `fieldpath.Path.String`).
//!
//! A name in such a path may itself have dots and brackets, as keys of annotations do, and nothing quotes it: paths are
//! read along an object, the longest name that fits first.

use serde_json::Value;

/// One step into an object.
enum Step {
    Field(String),
    Entry(usize),
}

/// The value of a field; None where the object has none, or the path is not understood.
pub fn field<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = object;
    for step in steps(object, path)? {
        value = match step {
            Step::Field(name) => value.get(name)?,
            Step::Entry(index) => value.get(index)?,
        };
    }
    Some(value)
}

/// Gives a field that an object has another value. False, and nothing changes, where it has none or the path is not
/// understood.
pub fn replace_field(object: &mut Value, path: &str, value: Value) -> bool {
    let Some(steps) = steps(object, path) else { return false };
    let Some(place) = reach(object, steps) else { return false };
    *place = value;
    true
}

/// Takes a field out of an object, or an entry out of a list. False, and nothing changes, where the object has none or
/// the path is not understood, and where the field tells the entries of a list apart.
pub fn remove_field(object: &mut Value, path: &str) -> bool {
    let Some(mut steps) = steps(object, path) else { return false };
    let Some(last) = steps.pop() else { return false };
    if let (Step::Field(name), Some(Step::Entry(_))) = (&last, steps.last())
        && is_key_of_entry(path, name)
    {
        return false;
    }
    let Some(value) = reach(object, steps) else { return false };
    match (value, last) {
        (Value::Object(fields), Step::Field(name)) => fields.remove(&name).is_some(),
        (Value::Array(entries), Step::Entry(index)) if index < entries.len() => {
            entries.remove(index);
            true
        }
        _ => false,
    }
}

fn reach(object: &mut Value, steps: Vec<Step>) -> Option<&mut Value> {
    let mut value = object;
    for step in steps {
        value = match step {
            Step::Field(name) => value.get_mut(name)?,
            Step::Entry(index) => value.get_mut(index)?,
        };
    }
    Some(value)
}

/// Whether the last bracket of a path names this field as a key of its entry.
fn is_key_of_entry(path: &str, name: &str) -> bool {
    let bracket = path.rfind('[').map_or("", |at| &path[at..]);
    bracket.starts_with(&format!("[{name}=")) || bracket.contains(&format!(",{name}="))
}

fn steps(object: &Value, path: &str) -> Option<Vec<Step>> {
    let mut found = Vec::new();
    descend(object, path, &mut found).then_some(found)
}

fn descend(value: &Value, path: &str, found: &mut Vec<Step>) -> bool {
    if path.is_empty() {
        return true;
    }
    match value {
        Value::Object(fields) => {
            let Some(rest) = path.strip_prefix('.') else { return false };
            let mut names: Vec<&String> = fields.keys().filter(|name| rest.starts_with(name.as_str())).collect();
            names.sort_by_key(|name| std::cmp::Reverse(name.len()));
            names.into_iter().any(|name| {
                found.push(Step::Field(name.clone()));
                let fits = descend(&fields[name], &rest[name.len()..], found);
                if !fits {
                    found.pop();
                }
                fits
            })
        }
        Value::Array(entries) => {
            let Some((selector, rest)) = selector(path) else { return false };
            let Some(index) = entries.iter().position(|entry| selector.chooses(entry)) else { return false };
            found.push(Step::Entry(index));
            let fits = descend(&entries[index], rest, found);
            if !fits {
                found.pop();
            }
            fits
        }
        _ => false,
    }
}

/// What chooses an entry of a list.
enum Selector {
    /// All of these fields, as in `[containerPort=80,protocol="TCP"]`.
    Keys(Vec<(String, Value)>),
    /// The entry itself, as in `[="a"]`.
    Value(Value),
}

impl Selector {
    fn chooses(&self, entry: &Value) -> bool {
        match self {
            Self::Value(value) => entry == value,
            Self::Keys(keys) => keys.iter().all(|(name, value)| match entry.get(name) {
                Some(found) => found == value,
                // The API server names ports by their protocol, whose default an object may leave out.
                None => name == "protocol" && value == "TCP",
            }),
        }
    }
}

/// The selector that a path begins with, and what follows it.
fn selector(path: &str) -> Option<(Selector, &str)> {
    let mut rest = path.strip_prefix('[')?;
    if let Some(after) = rest.strip_prefix('=') {
        let (value, after) = json_prefix(after)?;
        return Some((Selector::Value(value), after.strip_prefix(']')?));
    }
    let mut keys = Vec::new();
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = json_prefix(after)?;
        keys.push((name.to_owned(), value));
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Some((Selector::Keys(keys), after.strip_prefix(']')?)),
        }
    }
}

/// The JSON value that a text begins with, and what follows it.
fn json_prefix(text: &str) -> Option<(Value, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next()?.ok()?;
    Some((value, &text[values.byte_offset()..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment() -> Value {
        json!({
            "metadata": {"annotations": {"a": "0", "a.b/c": "1"}, "finalizers": ["x", "y"]},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [
                {"name": "log", "image": "l"},
                {"name": "web", "image": "w", "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}]},
            ]}}}
        })
    }

    #[test]
    fn paths_of_conflicts_lead_to_their_fields() {
        let object = deployment();
        for (path, expected) in [
            (".spec.replicas", Some(json!(2))),
            (r#".spec.template.spec.containers[name="web"].image"#, Some(json!("w"))),
            (".metadata.annotations.a.b/c", Some(json!("1"))),
            (".metadata.annotations.a", Some(json!("0"))),
            (r#".metadata.finalizers[="y"]"#, Some(json!("y"))),
            (
                r#".spec.template.spec.containers[name="web"].ports[containerPort=80,protocol="TCP"].containerPort"#,
                Some(json!(80)),
            ),
            (r#".spec.template.spec.containers[name="other"].image"#, None),
            (".spec.paused", None),
            ("spec", None),
            (".spec.template.spec.containers[name=web]", None),
            (".spec.template.spec.containers[", None),
        ] {
            assert_eq!(field(&object, path), expected.as_ref(), "{path}");
        }
    }

    #[test]
    fn a_value_is_exchanged_where_there_is_one() {
        let mut object = deployment();
        assert!(replace_field(&mut object, ".spec.replicas", json!(5)));
        assert!(!replace_field(&mut object, ".spec.paused", json!(true)));
        let mut expected = deployment();
        expected["spec"]["replicas"] = json!(5);
        assert_eq!(object, expected);
    }

    #[test]
    fn what_is_taken_out_is_gone_and_nothing_else() {
        let mut object = deployment();
        assert!(remove_field(&mut object, ".spec.replicas"));
        assert!(remove_field(&mut object, r#".spec.template.spec.containers[name="web"].image"#));
        assert!(remove_field(&mut object, r#".metadata.finalizers[="x"]"#));
        assert!(!remove_field(&mut object, ".spec.replicas"), "it is gone already");
        assert!(!remove_field(&mut object, r#".spec.template.spec.containers[name="web"].name"#), "it is a key");
        assert!(!remove_field(&mut object, ""), "that would be the whole object");
        let mut expected = deployment();
        expected["spec"].as_object_mut().unwrap().remove("replicas");
        expected["spec"]["template"]["spec"]["containers"][1].as_object_mut().unwrap().remove("image");
        expected["metadata"]["finalizers"] = json!(["y"]);
        assert_eq!(object, expected);
    }
}
