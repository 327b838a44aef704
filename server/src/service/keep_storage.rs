//! Storage that is there stays as it is: what Kubernetes cannot change of a claim, or of the claim templates of a
//! StatefulSet, is taken from the live object, whatever the driver would choose today. A volume may grow, and a
//! StatefulSet may get another template: then the claims are patched, and the StatefulSet is made anew without its
//! pods ending.

use crate::{
    clusters::cluster_error,
    error::Result,
    service::{
        claims::{self, CLAIM},
        execute::Observed,
        rollout::{Rollout, Scope, in_scope, reference_of},
    },
};
use ropeway_clusters::{ObjectRef, labels};
use ropeway_domain::Quantity;
use ropeway_drivers::{ApplyMode, Manifest};
use serde_json::{Map, Value as Json, json};

/// The fields of a claim that are settled when it is made.
const SETTLED: [&str; 4] = ["storageClassName", "accessModes", "volumeMode", "volumeName"];

/// Where the size of a claim is.
const SIZE: &str = "/spec/resources/requests/storage";

/// Why an object is made anew, and what becomes of what belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MadeAnew {
    /// The claim templates of a StatefulSet change; its pods run on.
    KeepsPods,
    /// The claim templates of a StatefulSet change; its pods lack a volume and end one after another, since volumes
    /// cannot be added to a pod.
    ReplacesPods,
    /// A person agreed. What belongs to it ends with it, but for the pods of a StatefulSet.
    Agreed,
    /// As agreed, for a StatefulSet.
    AgreedKeepsPods,
}

impl MadeAnew {
    /// Whether what the object owns stays when it goes, to belong to the new one.
    pub fn keeps_pods(self) -> bool {
        self != Self::Agreed
    }
}

/// What of an object's storage changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// How a StatefulSet has to be made anew, if it has.
    pub made_anew: Option<MadeAnew>,
    /// The claim templates whose volumes grow, with the new size.
    pub grown: Vec<(String, String)>,
}

/// Settles in a rollout what stays of the storage that is there.
pub async fn settle(observed: &Observed, rollout: &mut Rollout, scope: &Scope) -> Result<()> {
    let application = &observed.state.application;
    let has_storage = |object: &Json| {
        object["kind"] == CLAIM
            || object.pointer("/spec/volumeClaimTemplates").is_some()
            || object["kind"] == "StatefulSet"
    };
    let asked: Vec<(usize, ObjectRef)> = rollout
        .manifests
        .iter()
        .enumerate()
        .filter(|(_, manifest)| in_scope(manifest, scope) && has_storage(&manifest.object))
        .filter_map(|(index, manifest)| Some((index, reference_of(&manifest.object, &application.namespace)?)))
        .collect();
    if asked.is_empty() || observed.live.is_empty() {
        return Ok(());
    }
    let references: Vec<ObjectRef> = asked.iter().map(|(_, reference)| reference.clone()).collect();
    let reached = &observed.reached;
    let live = reached.cluster.get_many(&references).await.map_err(|error| cluster_error(&reached.row.name, error))?;
    let mut grown = Vec::new();
    for ((index, reference), live) in asked.into_iter().zip(live) {
        let Some(live) = &live.object else { continue };
        let changed = keep(&mut rollout.manifests[index].object, live);
        if let Some(how) = changed.made_anew {
            rollout.made_anew.insert(index, how);
        }
        let (wave, owner) = (rollout.manifests[index].wave, rollout.manifests[index].owner);
        grown.extend(
            changed.grown.into_iter().map(|(template, size)| (reference.name.clone(), template, size, wave, owner)),
        );
    }
    if grown.is_empty() {
        return Ok(());
    }
    let claims = claims::of_application(reached, application).await?;
    for (stateful_set, template, size, wave, owner) in grown {
        for claim in &claims {
            let name = claim.pointer("/metadata/name").and_then(Json::as_str).unwrap_or_default();
            if ordinal(name, &template, &stateful_set).is_none() || !is_larger(&size, claim) {
                continue;
            }
            let object = json!({
                "apiVersion": "v1", "kind": CLAIM,
                "metadata": {
                    "name": name, "namespace": application.namespace,
                    "labels": { labels::APPLICATION: application.id.to_string() },
                },
                "spec": { "resources": { "requests": { "storage": size } } },
            });
            // Before the StatefulSet that uses it.
            let wave = wave.saturating_sub(1);
            rollout.manifests.push(Manifest { wave, mode: ApplyMode::ServerSideApply, owner, object });
        }
    }
    Ok(())
}

/// Writes into an object that is to be applied what stays of its storage.
pub fn keep(object: &mut Json, live: &Json) -> Changed {
    match object.get("kind").and_then(Json::as_str) {
        Some("PersistentVolumeClaim") => {
            keep_claim(object, live);
            Changed::default()
        }
        Some("StatefulSet") => keep_templates(object, live),
        _ => Changed::default(),
    }
}

/// The ordinal of a claim that a StatefulSet made of a template.
pub fn ordinal(claim: &str, template: &str, stateful_set: &str) -> Option<u32> {
    claim.strip_prefix(template)?.strip_prefix('-')?.strip_prefix(stateful_set)?.strip_prefix('-')?.parse().ok()
}

/// Whether a size is more than what a claim asks for: somebody may have enlarged it, and no claim can shrink.
fn is_larger(size: &str, claim: &Json) -> bool {
    let here = claim.pointer(SIZE).and_then(Json::as_str).and_then(|here| here.parse::<Quantity>().ok());
    let wanted = size.parse::<Quantity>().ok();
    wanted.zip(here).is_none_or(|(wanted, here)| wanted.cmp_amount(&here).is_gt())
}

/// Whether the claim grows.
fn keep_claim(object: &mut Json, live: &Json) -> bool {
    let Some(spec) = object.get_mut("spec").and_then(Json::as_object_mut) else { return false };
    for field in SETTLED {
        match live.get("spec").and_then(|spec| spec.get(field)) {
            Some(value) => _ = spec.insert(field.to_owned(), value.clone()),
            None => _ = spec.remove(field),
        }
    }
    let size = |claim: &Json| claim.pointer(SIZE)?.as_str()?.parse::<Quantity>().ok();
    match (size(object), size(live)) {
        (Some(wanted), Some(here)) if wanted.cmp_amount(&here).is_gt() => true,
        // It was made larger in the cluster, and can never be smaller.
        (Some(_), Some(_)) => {
            if let (Some(wanted), Some(here)) = (object.pointer_mut(SIZE), live.pointer(SIZE)) {
                *wanted = here.clone();
            }
            false
        }
        _ => false,
    }
}

fn keep_templates(object: &mut Json, live: &Json) -> Changed {
    let templates = |object: &Json| -> Vec<Json> {
        object.pointer("/spec/volumeClaimTemplates").and_then(Json::as_array).cloned().unwrap_or_default()
    };
    let (mut wanted, here) = (templates(object), templates(live));
    let mut changed = Changed::default();
    if wanted.len() != here.len() {
        changed.made_anew = Some(MadeAnew::KeepsPods);
    }
    for template in &mut wanted {
        let name = name(template).to_owned();
        let Some(same) = here.iter().find(|other| self::name(other) == name) else {
            changed.made_anew = Some(MadeAnew::ReplacesPods);
            continue;
        };
        if keep_claim(template, same) {
            let size = template.pointer(SIZE).and_then(Json::as_str).unwrap_or_default().to_owned();
            changed.grown.push((name.clone(), size));
            changed.made_anew = changed.made_anew.max(Some(MadeAnew::KeepsPods));
        }
        // Labels of a template are as immutable as the rest of it.
        let mut metadata = Map::from_iter([("name".to_owned(), name.into())]);
        for part in ["labels", "annotations"] {
            if let Some(part_of) = same.pointer(&format!("/metadata/{part}")) {
                metadata.insert(part.to_owned(), part_of.clone());
            }
        }
        template["metadata"] = Json::Object(metadata);
    }
    if !here.is_empty() || !wanted.is_empty() {
        object["spec"]["volumeClaimTemplates"] = Json::Array(wanted);
    }
    changed
}

fn name(template: &Json) -> &str {
    template.pointer("/metadata/name").and_then(Json::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claim(class: Option<&str>, size: &str) -> Json {
        let mut claim = json!({"kind": "PersistentVolumeClaim", "metadata": {"name": "data", "labels": {"a": "1"}},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}});
        if let Some(class) = class {
            claim["spec"]["storageClassName"] = class.into();
        }
        claim
    }

    fn set(templates: &[Json]) -> Json {
        json!({"kind": "StatefulSet", "metadata": {"name": "db"}, "spec": {"volumeClaimTemplates": templates}})
    }

    #[test]
    fn a_claim_keeps_its_class_its_modes_and_its_size_unless_it_grows() {
        for (wanted, here, after) in [
            (claim(Some("new"), "1Gi"), claim(Some("old"), "1Gi"), claim(Some("old"), "1Gi")),
            (claim(None, "1Gi"), claim(Some("old"), "1Gi"), claim(Some("old"), "1Gi")),
            (claim(Some("new"), "1Gi"), claim(None, "2Gi"), claim(None, "2Gi")),
            (claim(None, "3Gi"), claim(None, "2Gi"), claim(None, "3Gi")),
        ] {
            let mut object = wanted;
            assert_eq!(keep(&mut object, &here), Changed::default());
            assert_eq!(object, after);
        }
    }

    #[test]
    fn templates_that_stay_make_nothing_anew() {
        let live = set(&[claim(Some("old"), "1024Mi")]);
        let mut object = set(&[claim(Some("new"), "1Gi")]);
        assert_eq!(keep(&mut object, &live), Changed::default());
        assert_eq!(object["spec"]["volumeClaimTemplates"][0]["spec"], live["spec"]["volumeClaimTemplates"][0]["spec"]);
    }

    #[test]
    fn a_new_a_missing_and_a_grown_template_make_it_anew() {
        let live = set(&[claim(Some("old"), "1Gi")]);
        let mut other = claim(None, "1Gi");
        other["metadata"]["name"] = "logs".into();
        let mut object = set(&[claim(None, "1Gi"), other]);
        assert_eq!(keep(&mut object, &live), Changed { made_anew: Some(MadeAnew::ReplacesPods), grown: Vec::new() });
        assert_eq!(keep(&mut set(&[]), &live).made_anew, Some(MadeAnew::KeepsPods));
        let grown = vec![("data".into(), "2Gi".into())];
        let mut larger = set(&[claim(None, "2Gi")]);
        assert_eq!(keep(&mut larger, &live), Changed { made_anew: Some(MadeAnew::KeepsPods), grown });
    }

    #[test]
    fn a_claim_that_is_as_large_already_does_not_grow() {
        for (size, here, grows) in [("2Gi", "1Gi", true), ("2Gi", "2048Mi", false), ("2Gi", "5Gi", false)] {
            assert_eq!(is_larger(size, &claim(None, here)), grows, "{size} {here}");
        }
    }

    #[test]
    fn claims_of_a_template_are_known_by_their_names() {
        assert_eq!(ordinal("data-shop-db-0", "data", "shop-db"), Some(0));
        assert_eq!(ordinal("data-shop-db-12", "data", "shop-db"), Some(12));
        assert_eq!(ordinal("data-shop-db2-0", "data", "shop-db"), None);
        assert_eq!(ordinal("data-shop-db-x", "data", "shop-db"), None);
    }
}
