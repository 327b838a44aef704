//! Objects that Kubernetes cannot change as wanted: each is made anew only where a person agreed to that one. The plan
//! lists it as a change of its own, which `accept` takes; until then it stands in the way.

use crate::{
    error::{Error, Result, UserError},
    service::{
        dry_run::{identity, name_of, shown},
        rollout::blocker,
    },
};
use ropeway_clusters::{Error as ClusterError, uid};
use ropeway_domain::{
    Change, ChangeId,
    change::{ChangeKind, Decision, Owner as ChangeOwner},
    plan::Blocker,
    upgrade::AcceptError,
};
use ropeway_drivers::{Manifest, Owner};
use serde_json::Value as Json;
use std::collections::BTreeSet;

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
pub fn answer(manifest: &Manifest, live: &Json, refusal: &ClusterError, accept: &BTreeSet<ChangeId>) -> Answer {
    let name = name_of(&manifest.object);
    let owner = match manifest.owner {
        Owner::Component(key) => Some(ChangeOwner::Component(key)),
        Owner::Resource(key) => Some(ChangeOwner::Resource(key)),
        Owner::Application => None,
    };
    let Some(owner) = owner.filter(|_| !holds_data(&manifest.object)) else {
        let message = format!("{name} would have to be made anew, which would lose what is in it: {refusal}");
        return Answer::Impossible(blocker("IMMUTABLE", message));
    };
    let (_, kind, of) = identity(&manifest.object);
    let path = format!("{kind}/{of}");
    let id = ChangeId::of(owner, &path, ChangeKind::Update, &uid(live), &content(&manifest.object));
    let is_agreed = accept.contains(&id);
    let (decision, reason) = if is_agreed {
        (Decision::Apply, format!("{refusal}; it is deleted and made anew; accepted"))
    } else {
        (Decision::Keep, format!("{refusal}; it has to be deleted and made anew, which is done once accepted"))
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

/// Refuses acceptances of what neither the rules of delivery nor the cluster offered.
pub fn check_accepted(rest: &BTreeSet<ChangeId>, offered: &[Change]) -> Result<()> {
    let is_offered = |id: &&ChangeId| offered.iter().any(|change| change.id == **id);
    let ids: Vec<ChangeId> = rest.iter().filter(|id| !is_offered(id)).cloned().collect();
    if ids.is_empty() { Ok(()) } else { Err(invalid_choice(&AcceptError::Unknown { ids })) }
}

/// The answer to a choice that the plan does not allow.
pub fn invalid_choice(error: &dyn std::error::Error) -> Error {
    UserError::new("INVALID_CHOICE", error.to_string()).into()
}

/// Deleting a claim deletes its volume.
fn holds_data(object: &Json) -> bool {
    object["kind"] == "PersistentVolumeClaim"
}

/// What an object says, without what says something else with every plan: labels, and values that are generated.
fn content(object: &Json) -> Json {
    let mut content = shown(object, None);
    if let Some(metadata) = content.get_mut("metadata").and_then(Json::as_object_mut) {
        metadata.remove("labels");
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;
    use ropeway_domain::{ComponentKey, ResourceKey, SecretId, rendering::placeholder};
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
        let live = json!({ "metadata": { "uid": uid } });
        match answer(manifest, &live, &refusal(), &BTreeSet::new()) {
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
        let agreed = answer(&settings("debug", "1"), &live, &refusal(), &BTreeSet::from([id.clone()]));
        assert!(matches!(agreed, Answer::Agreed(change) if change.id == id && change.decision == Decision::Apply));
    }

    #[test]
    fn a_generated_value_does_not_make_it_another_change() {
        let secret = |id: u128| {
            let value = placeholder(SecretId(Uuid::from_u128(id)));
            let object = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "keys" }, "immutable": true,
                "stringData": { "key": value },
            });
            manifest(Owner::Component(ComponentKey(Uuid::from_u128(1))), object)
        };
        assert_eq!(asked(&secret(1), "a"), asked(&secret(2), "a"));
    }

    #[test]
    fn what_holds_data_or_is_shared_is_never_made_anew() {
        let claim = json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "data" } });
        let claim = manifest(Owner::Resource(ResourceKey(Uuid::from_u128(1))), claim);
        let shared = Manifest { owner: Owner::Application, ..settings("debug", "1") };
        for manifest in [claim, shared] {
            let live = json!({ "metadata": { "uid": "a" } });
            let answer = answer(&manifest, &live, &refusal(), &BTreeSet::new());
            assert!(matches!(answer, Answer::Impossible(blocker) if blocker.code == "IMMUTABLE"));
        }
    }

    #[test]
    fn an_acceptance_of_what_is_not_offered_is_refused() {
        let Answer::Asked(change, _) =
            answer(&settings("debug", "1"), &json!({ "metadata": { "uid": "a" } }), &refusal(), &BTreeSet::new())
        else {
            panic!("it is not asked for")
        };
        let rest = BTreeSet::from([change.id.clone()]);
        assert!(check_accepted(&rest, &[change]).is_ok());
        let refused = check_accepted(&rest, &[]);
        assert!(matches!(refused, Err(Error::Invalid(errors)) if errors[0].code == "INVALID_CHOICE"));
    }
}
