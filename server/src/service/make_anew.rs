//! Objects that Kubernetes cannot change as wanted: each is made anew only where a person agreed to that one. The plan
//! lists it as a change of its own, which `accept` takes; until then it stands in the way.

use crate::{
    error::{Error, Result, UserError},
    service::{
        dry_run::{identity, name_of},
        rollout::blocker,
    },
};
use ropeway_clusters::{Error as ClusterError, FieldConflict, uid};
use ropeway_domain::{
    Change, ChangeId, SecretId,
    change::{ChangeKind, Decision, Owner as ChangeOwner},
    plan::{Blocker, Plan},
    rendering::placeholder_of,
    upgrade::AcceptError,
};
use ropeway_drivers::{Manifest, Owner};
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// API groups of Kubernetes itself, whose objects hold no data but claims.
const WITHOUT_DATA: [&str; 7] =
    ["", "apps", "autoscaling", "batch", "networking.k8s.io", "policy", "rbac.authorization.k8s.io"];

/// What becomes of an object that a cluster refuses to change.
pub enum Answer {
    /// A person agreed: it is made anew.
    Agreed(Change),
    /// It stands in the way, and a person may agree to make it anew.
    Asked(Change, Blocker),
    /// It stands in the way: what is in it would be lost, or it is shared by all of the application.
    Impossible(Blocker),
}

/// What becomes of an object, for which the cluster gave a reason to refuse it.
/// `known` are the secrets that were there before this plan: what it generates differs each time it is made.
pub fn answer(
    manifest: &Manifest,
    live: &Json,
    refusal: &ClusterError,
    conflicts: &[FieldConflict],
    accept: &BTreeSet<ChangeId>,
    known: &BTreeSet<SecretId>,
) -> Answer {
    let name = name_of(&manifest.object);
    let owner = match manifest.owner {
        Owner::Component(key) => Some(ChangeOwner::Component(key)),
        Owner::Resource(key) => Some(ChangeOwner::Resource(key)),
        Owner::Application => None,
    };
    let Some(owner) = owner.filter(|_| !may_hold_data(&manifest.object)) else {
        let message = format!(
            "{name} would have to be made anew, and what belongs to it might be lost: {refusal}. Remove it, deploy that, \
             and set it again"
        );
        return Answer::Impossible(blocker("IMMUTABLE", message));
    };
    let (_, kind, of) = identity(&manifest.object);
    let path = format!("{kind}/{of}");
    let others = of_others(&manifest.object, live, conflicts);
    let content = content(&manifest.object, known);
    let id = ChangeId::of(owner, &path, ChangeKind::Update, &uid(live), &(content, &others));
    let is_agreed = accept.contains(&id);
    let lost = if others.is_empty() { String::new() } else { format!(" without {}, of others", others.join(", ")) };
    let (decision, reason) = if is_agreed {
        (Decision::Apply, format!("{refusal}; it is deleted and made anew{lost}; accepted"))
    } else {
        (Decision::Keep, format!("{refusal}; it has to be deleted and made anew{lost}, which is done once accepted"))
    };
    let message = format!("{name} has to be made anew; accept the change {id} for that: {refusal}");
    let change = Change {
        id,
        owner,
        owner_name: name,
        path,
        kind: ChangeKind::Update,
        before: None,
        after: None,
        decision,
        reason,
    };
    if is_agreed { Answer::Agreed(change) } else { Answer::Asked(change, blocker("IMMUTABLE", message)) }
}

/// What was accepted and neither the rules of delivery nor the cluster offered.
pub fn unknown(rest: &BTreeSet<ChangeId>, offered: &[Change]) -> BTreeSet<ChangeId> {
    let is_offered = |id: &&ChangeId| offered.iter().any(|change| change.id == **id);
    rest.iter().filter(|id| !is_offered(id)).cloned().collect()
}

/// Refuses a plan with acceptances of what it does not offer. What stands in the way is told first: it may be the reason.
pub fn check_accepted(plan: &Plan, unknown: &BTreeSet<ChangeId>) -> Result<()> {
    if unknown.is_empty() || !plan.blockers.is_empty() {
        return Ok(());
    }
    Err(invalid_choice(&AcceptError::Unknown { ids: unknown.iter().cloned().collect() }))
}

/// The answer to a choice that the plan does not allow.
pub fn invalid_choice(error: &dyn std::error::Error) -> Error {
    UserError::new("INVALID_CHOICE", error.to_string()).into()
}

/// Deleting a claim deletes its volume, and nobody knows what else an object of a custom kind has, such as a
/// VolumeSnapshot: its operator may delete what it owns.
fn may_hold_data(object: &Json) -> bool {
    let (api_version, kind, _) = identity(object);
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    kind == "PersistentVolumeClaim" || !WITHOUT_DATA.contains(&group)
}

/// Annotations that Kubernetes and its clients write again by themselves.
const COME_BACK: [&str; 4] = [
    "deployment.kubernetes.io/revision",
    "kubectl.kubernetes.io/last-applied-configuration",
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
];

/// What of an object is others' and goes with it, by names: what they added, the entries of a Secret that they changed,
/// since what is in a Secret is copied nowhere, and the addresses of a Service.
fn of_others(object: &Json, live: &Json, conflicts: &[FieldConflict]) -> Vec<String> {
    let mut found = Vec::new();
    for (pointer, more) in [
        ("/data", Some("/stringData")),
        ("/binaryData", None),
        ("/metadata/annotations", None),
        ("/metadata/labels", None),
    ] {
        let wanted = |name: &String| {
            let at = [Some(pointer), more];
            at.into_iter().flatten().any(|pointer| object.pointer(pointer).is_some_and(|of| of.get(name).is_some()))
        };
        let names = live.pointer(pointer).and_then(Json::as_object).into_iter().flat_map(|entries| entries.keys());
        let names = names.filter(|name| !wanted(name) && !COME_BACK.contains(&name.as_str()));
        found.extend(names.map(|name| format!("{}/{name}", &pointer[1..])));
    }
    match object["kind"].as_str() {
        Some("Secret") => {
            let changed = conflicts.iter().filter_map(|conflict| conflict.path.strip_prefix(".data."));
            found.extend(changed.map(|name| format!("data/{name}")));
        }
        Some("Service") => found.push("its addresses".to_owned()),
        _ => {}
    }
    found
}

/// What an object says, without what says something else with every plan: labels, values that are generated, and what
/// is hashed from them.
fn content(object: &Json, known: &BTreeSet<SecretId>) -> Json {
    let mut content = object.clone();
    if let Some(metadata) = content.get_mut("metadata").and_then(Json::as_object_mut) {
        metadata.remove("labels");
    }
    if let Some(annotations) = content.pointer_mut("/spec/template/metadata/annotations").and_then(Json::as_object_mut)
    {
        annotations.remove("ropeway.dev/content");
    }
    if let Some(entries) = content.get_mut("stringData").and_then(Json::as_object_mut) {
        let is_new = |entry: &Json| entry.as_str().and_then(placeholder_of).is_some_and(|id| !known.contains(&id));
        entries.values_mut().filter(|entry| is_new(entry)).for_each(|entry| *entry = Json::Null);
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;
    use ropeway_domain::{ComponentKey, Digest, ResourceKey, rendering::placeholder};
    use ropeway_drivers::ApplyMode;
    use serde_json::json;
    use uuid::Uuid;

    fn refusal() -> ClusterError {
        let message = "data: field is immutable when `immutable` is set".into();
        ClusterError::Immutable { message, causes: Vec::new() }
    }

    fn manifest(owner: Owner, object: Json) -> Manifest {
        Manifest { wave: 0, mode: ApplyMode::ServerSideApply, owner, object }
    }

    fn settings(level: &str, revision: &str) -> Manifest {
        let labels = json!({ "ropeway.dev/revision": revision });
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings", "labels": labels },
            "data": { "level": level },
        });
        manifest(Owner::Resource(ResourceKey(Uuid::from_u128(1))), object)
    }

    fn asked(manifest: &Manifest, uid: &str) -> ChangeId {
        asked_knowing(manifest, uid, &BTreeSet::new())
    }

    fn asked_knowing(manifest: &Manifest, uid: &str, known: &BTreeSet<SecretId>) -> ChangeId {
        let live = json!({ "metadata": { "uid": uid } });
        match answer(manifest, &live, &refusal(), &[], &BTreeSet::new(), known) {
            Answer::Asked(change, blocker) => {
                assert_eq!((change.decision, blocker.code.as_str()), (Decision::Keep, "IMMUTABLE"));
                assert!(blocker.message.contains(change.id.as_str()), "{}", blocker.message);
                change.id
            }
            _ => panic!("it is not asked for"),
        }
    }

    #[test]
    fn it_is_made_anew_once_a_person_agreed_to_this_object_with_this_content() {
        let id = asked(&settings("debug", "1"), "a");
        assert_eq!(asked(&settings("debug", "2"), "a"), id, "a revision says nothing of what is in it");
        assert_ne!(asked(&settings("info", "1"), "a"), id);
        assert_ne!(asked(&settings("debug", "1"), "b"), id, "it is another object by now");

        let live = json!({ "metadata": { "uid": "a" } });
        let agreed =
            answer(&settings("debug", "1"), &live, &refusal(), &[], &BTreeSet::from([id.clone()]), &BTreeSet::new());
        assert!(matches!(agreed, Answer::Agreed(change) if change.id == id && change.decision == Decision::Apply));
    }

    #[test]
    fn a_value_that_is_generated_now_does_not_make_it_another_change() {
        let secret = |id: u128| {
            let value = placeholder(SecretId(Uuid::from_u128(id)));
            let object = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "keys" }, "immutable": true,
                "stringData": { "key": value },
            });
            manifest(Owner::Component(ComponentKey(Uuid::from_u128(1))), object)
        };
        assert_eq!(asked(&secret(1), "a"), asked(&secret(2), "a"));
        let stored = [1, 2].map(|id| SecretId(Uuid::from_u128(id))).into();
        let [one, other] = [1, 2].map(|id| asked_knowing(&secret(id), "a", &stored));
        assert_ne!(one, other, "these values are there, and are two");
    }

    #[test]
    fn what_may_hold_data_or_is_shared_is_never_made_anew() {
        let resource = |api_version: &str, kind: &str| {
            let object = json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": "data" } });
            manifest(Owner::Resource(ResourceKey(Uuid::from_u128(1))), object)
        };
        let shared = Manifest { owner: Owner::Application, ..settings("debug", "1") };
        let snapshot = resource("snapshot.storage.k8s.io/v1", "VolumeSnapshot");
        let database = resource("db.example.org/v1", "Database");
        for manifest in [resource("v1", "PersistentVolumeClaim"), database, snapshot, shared] {
            let live = json!({ "metadata": { "uid": "a" } });
            let answer = answer(&manifest, &live, &refusal(), &[], &BTreeSet::new(), &BTreeSet::new());
            assert!(matches!(answer, Answer::Impossible(blocker) if blocker.code == "IMMUTABLE"));
        }
        asked(&resource("networking.k8s.io/v1", "Ingress"), "a");
    }

    #[test]
    fn what_is_others_is_named() {
        let live = json!({
            "metadata": {
                "labels": { "ropeway.dev/revision": "1", "cost-centre": "7" },
                "annotations": { "deployment.kubernetes.io/revision": "1", "nginx.ingress.kubernetes.io/x": "y" },
            },
            "data": { "level": "info", "extra": "x" },
        });
        assert_eq!(
            of_others(&settings("debug", "1").object, &live, &[]),
            ["data/extra", "metadata/annotations/nginx.ingress.kubernetes.io/x", "metadata/labels/cost-centre"]
        );
        let secret = json!({ "kind": "Secret", "stringData": { "A": "x" } });
        let conflict = FieldConflict { manager: "kubectl".into(), path: ".data.A".into() };
        assert_eq!(of_others(&secret, &json!({ "data": { "A": "eA==" } }), &[conflict]), ["data/A"]);
    }

    #[test]
    fn an_acceptance_of_what_is_not_offered_is_refused_unless_something_stands_in_the_way() {
        let live = json!({ "metadata": { "uid": "a" } });
        let answer = answer(&settings("debug", "1"), &live, &refusal(), &[], &BTreeSet::new(), &BTreeSet::new());
        let Answer::Asked(change, blocker) = answer else { panic!("it is not asked for") };
        let rest = BTreeSet::from([change.id.clone()]);
        assert_eq!(unknown(&rest, &[change]), BTreeSet::new());
        let unknown = unknown(&rest, &[]);
        let plan = |blockers| Plan {
            digest: Digest::of(b""),
            blockers,
            warnings: Vec::new(),
            changes: Vec::new(),
            left: Vec::new(),
            steps: Vec::new(),
            asks: Vec::new(),
        };
        let refused = check_accepted(&plan(Vec::new()), &unknown);
        assert!(matches!(refused, Err(Error::Invalid(errors)) if errors[0].code == "INVALID_CHOICE"));
        assert!(check_accepted(&plan(vec![blocker]), &unknown).is_ok());
    }
}
