//! Who wrote a field of a live object, by its record of field managers.

use super::compare::Segment;
use ropeway_clusters::FIELD_MANAGER;
use serde_json::Value as Json;

/// The manager that owns a field: another one than us, where there is one.
pub(super) fn manager(live: &Json, place: &[Segment]) -> Option<String> {
    let entries = live.pointer("/metadata/managedFields")?.as_array()?;
    let owners = entries.iter().filter(|entry| entry.get("fieldsV1").is_some_and(|fields| owns(fields, place)));
    let mut names: Vec<&str> = owners.filter_map(|entry| entry.get("manager")?.as_str()).collect();
    names.sort_by_key(|name| *name == FIELD_MANAGER);
    names.first().map(|name| (*name).to_owned())
}

/// Whether a set of fields holds a place, or something that it is a part of.
fn owns(fields: &Json, place: &[Segment]) -> bool {
    let Some((first, rest)) = place.split_first() else { return true };
    let Some(fields) = fields.as_object() else { return false };
    // A field without anything below it is owned as a whole.
    if fields.is_empty() {
        return true;
    }
    match first {
        Segment::Field(name) => fields.get(&format!("f:{name}")).is_some_and(|below| owns(below, rest)),
        Segment::Entry(entry) => fields.iter().any(|(key, below)| is_entry(key, entry) && owns(below, rest)),
    }
}

/// Whether `k:{"name":"web"}` or `v:"x"` means an entry.
fn is_entry(key: &str, entry: &Json) -> bool {
    let parsed = |text: &str| serde_json::from_str::<Json>(text).ok();
    if let Some(value) = key.strip_prefix("v:") {
        return parsed(value).as_ref() == Some(entry);
    }
    let Some(Json::Object(named)) = key.strip_prefix("k:").and_then(parsed) else { return false };
    named.iter().all(|(name, value)| entry.get(name) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_other_manager_of_a_field_is_named() {
        let live = json!({"metadata": {"managedFields": [
            {"manager": "ropeway", "fieldsV1": {"f:spec": {"f:replicas": {}, "f:paused": {}}}},
            {"manager": "kubectl-scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "kubectl-edit", "fieldsV1": {"f:spec": {"f:containers": {
                "k:{\"name\":\"web\"}": {".": {}, "f:image": {}}
            }}}}
        ]}});
        let field = |name: &str| Segment::Field(name.to_owned());
        assert_eq!(manager(&live, &[field("spec"), field("replicas")]).as_deref(), Some("kubectl-scale"));
        assert_eq!(manager(&live, &[field("spec"), field("paused")]).as_deref(), Some("ropeway"));
        let web = Segment::Entry(json!({"name": "web", "image": "x"}));
        let place = [field("spec"), field("containers"), web, field("image")];
        assert_eq!(manager(&live, &place).as_deref(), Some("kubectl-edit"));
        let other = Segment::Entry(json!({"name": "db", "image": "x"}));
        assert_eq!(manager(&live, &[field("spec"), field("containers"), other, field("image")]), None);
    }
}
