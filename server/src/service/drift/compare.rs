//! Comparing what we applied with what is there.

use ropeway_domain::{Digest, Quantity};
use serde_json::{Map, Value as Json};

/// Labels that change with every rollout, whatever else does.
const PASSING: [&str; 2] = ["ropeway.dev/revision", "app.kubernetes.io/version"];

/// Fields that hold an amount, or amounts by resource.
const AMOUNTS: [&str; 6] = ["cpu", "memory", "storage", "ephemeral-storage", "sizeLimit", "hugepages-2Mi"];

/// What tells the entries of a list apart, the first that all entries have.
const KEYS: [&str; 6] = ["name", "mountPath", "devicePath", "containerPort", "port", "ip"];

/// A field that is not as it was applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// For people.
    pub(super) path: String,
    /// For looking up who wrote it.
    pub(super) place: Vec<Segment>,
    /// What was applied.
    pub(super) deployed: Option<String>,
    /// What is there.
    pub(super) live: Option<String>,
    /// Of what is there.
    pub(super) live_hash: Option<String>,
}

/// One step into an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// A field of it.
    Field(String),
    /// An entry of a list, as it is there.
    Entry(Json),
}

/// Every field of `deployed` that `live` does not have, or has with another value.
pub(super) fn compare(deployed: &Json, live: &Json) -> Vec<Difference> {
    let mut found = Vec::new();
    let Json::Object(fields) = deployed else { return found };
    for (name, wanted) in fields {
        match name.as_str() {
            "apiVersion" | "kind" | "status" => {}
            "metadata" => {
                for part in ["labels", "annotations"] {
                    let Some(Json::Object(entries)) = wanted.get(part) else { continue };
                    let mut entries: Map<String, Json> = entries.clone();
                    entries.retain(|key, _| !PASSING.contains(&key.as_str()));
                    let place = Place::default().field("metadata").field(part);
                    let here = live.get("metadata").and_then(|metadata| metadata.get(part));
                    value(&place, &Json::Object(entries), here, &mut found);
                }
            }
            _ => value(&Place::default().field(name), wanted, live.get(name), &mut found),
        }
    }
    found
}

#[derive(Clone, Default)]
struct Place {
    path: Vec<String>,
    place: Vec<Segment>,
}

impl Place {
    fn field(&self, name: &str) -> Self {
        let mut next = self.clone();
        next.path.push(name.to_owned());
        next.place.push(Segment::Field(name.to_owned()));
        next
    }

    fn entry(&self, shown: &str, entry: &Json) -> Self {
        let mut next = self.clone();
        next.path.push(shown.to_owned());
        next.place.push(Segment::Entry(entry.clone()));
        next
    }

    fn differs(&self, deployed: &Json, live: Option<&Json>) -> Difference {
        Difference {
            path: self.path.join("/"),
            place: self.place.clone(),
            deployed: Some(shown(deployed)),
            live: live.map(shown),
            live_hash: live.map(|live| Digest::of_value(live).hex().to_owned()),
        }
    }
}

fn value(place: &Place, deployed: &Json, live: Option<&Json>, found: &mut Vec<Difference>) {
    let Some(here) = live.filter(|live| !live.is_null()) else {
        if !is_empty(deployed) {
            found.push(place.differs(deployed, None));
        }
        return;
    };
    match (deployed, here) {
        (Json::Object(wanted), Json::Object(fields)) => {
            for (name, wanted) in wanted {
                value(&place.field(name), wanted, fields.get(name), found);
            }
        }
        (Json::Array(wanted), Json::Array(entries)) => match key_of(wanted) {
            Some(key) => {
                for entry in wanted {
                    let same = entries.iter().find(|other| is_same_entry(key, entry, other));
                    let shown = entry.get(key).map(shown).unwrap_or_default();
                    match same {
                        Some(same) => value(&place.entry(&shown, same), entry, Some(same), found),
                        None => found.push(place.entry(&shown, entry).differs(entry, None)),
                    }
                }
            }
            None if wanted.len() == entries.len() => {
                for (index, (wanted, entry)) in wanted.iter().zip(entries).enumerate() {
                    value(&place.entry(&index.to_string(), entry), wanted, Some(entry), found);
                }
            }
            None => found.push(place.differs(deployed, live)),
        },
        _ if deployed == here || same_amount(place, deployed, here) || same_number(deployed, here) => {}
        _ => found.push(place.differs(deployed, live)),
    }
}

/// What tells the entries of a list of objects apart.
fn key_of(entries: &[Json]) -> Option<&'static str> {
    if entries.is_empty() {
        return None;
    }
    KEYS.into_iter().find(|key| entries.iter().all(|entry| entry.get(key).is_some()))
}

/// Ports of one number may differ in their protocol, which is TCP where nobody says.
fn is_same_entry(key: &str, wanted: &Json, here: &Json) -> bool {
    let protocol = |entry: &Json| entry.get("protocol").and_then(Json::as_str).unwrap_or("TCP").to_owned();
    wanted.get(key) == here.get(key) && (!key.ends_with("ort") || protocol(wanted) == protocol(here))
}

/// What the API server leaves out. Where leaving out means something else than zero, it writes the zero.
fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::String(text) => text.is_empty(),
        Json::Array(entries) => entries.iter().all(is_empty),
        Json::Object(fields) => fields.values().all(is_empty),
        Json::Bool(true) => false,
    }
}

fn same_amount(place: &Place, deployed: &Json, live: &Json) -> bool {
    let of_amount = place.path.last().is_some_and(|name| AMOUNTS.contains(&name.as_str()));
    let amount = |value: &Json| -> Option<Quantity> {
        match value {
            Json::String(text) => text.parse().ok(),
            Json::Number(number) => number.to_string().parse().ok(),
            _ => None,
        }
    };
    of_amount && matches!((amount(deployed), amount(live)), (Some(one), Some(other)) if one.cmp_amount(&other).is_eq())
}

/// `1` and `1.0` are one number.
fn same_number(deployed: &Json, live: &Json) -> bool {
    matches!((deployed.as_f64(), live.as_f64()), (Some(one), Some(other)) if (one - other).abs() < f64::EPSILON)
}

fn shown(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn paths(deployed: &Json, live: &Json) -> Vec<(String, Option<String>, Option<String>)> {
        compare(deployed, live).into_iter().map(|one| (one.path, one.deployed, one.live)).collect()
    }

    #[test]
    fn what_the_server_adds_or_writes_otherwise_is_no_drift() {
        let deployed = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "labels": {"ropeway.dev/revision": "3", "app.kubernetes.io/name": "web"}},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [{
                "name": "web", "image": "a", "env": [], "stdin": false,
                "readinessProbe": {"initialDelaySeconds": 0, "periodSeconds": 5},
                "resources": {"limits": {"cpu": "1000m", "memory": "0.5Gi"}},
                "ports": [{"containerPort": 80}]
            }]}}}
        });
        let live = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "uid": "1", "labels": {"ropeway.dev/revision": "9", "app.kubernetes.io/name": "web"}},
            "spec": {"replicas": 2, "strategy": {"type": "RollingUpdate"}, "template": {"spec": {"containers": [
                {"name": "injected", "image": "b"},
                {"name": "web", "image": "a", "imagePullPolicy": "Always",
                 "readinessProbe": {"periodSeconds": 5, "timeoutSeconds": 1},
                 "resources": {"limits": {"cpu": "1", "memory": "512Mi"}},
                 "ports": [{"containerPort": 80, "protocol": "TCP"}]}
            ]}}},
            "status": {"replicas": 2}
        });
        assert_eq!(paths(&deployed, &live), []);
    }

    #[test]
    fn what_was_changed_or_removed_is_told_with_both_values() {
        let deployed = json!({"spec": {"replicas": 2, "containers": [
            {"name": "web", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], "args": ["x"]}
        ]}});
        let live = json!({"spec": {"replicas": 5, "containers": [
            {"name": "web", "env": [{"name": "A", "value": "9"}], "args": ["x", "y"]}
        ]}});
        let text = |text: &str| Some(text.to_owned());
        let mut found = paths(&deployed, &live);
        found.sort();
        assert_eq!(
            found,
            [
                ("spec/containers/web/args".to_owned(), text(r#"["x"]"#), text(r#"["x","y"]"#)),
                ("spec/containers/web/env/A/value".to_owned(), text("1"), text("9")),
                ("spec/containers/web/env/B".to_owned(), text(r#"{"name":"B","value":"2"}"#), None),
                ("spec/replicas".to_owned(), text("2"), text("5")),
            ]
        );
    }
}
