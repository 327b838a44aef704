//! What a retry takes up: the steps of a finished operation that did not succeed.

use super::{
    Action,
    action::{Delete, Effect},
    journal::{JournalError, NewStep},
};
use crate::store::step::Step;
use ropeway_domain::{ChangeId, ComponentKey, ResourceKey, operation::StepState};
use std::collections::{BTreeMap, BTreeSet};

/// The steps that failed or never ran.
pub fn unfinished(steps: &[Step]) -> impl Iterator<Item = &Step> {
    steps.iter().filter(|step| step.state.0 != StepState::Succeeded)
}

/// The components of these steps, by their own keys: what is planned again from what is there. Kinds that apply
/// manifests retry in this way, since a stale manifest is never applied again.
pub fn components(steps: &[Step]) -> BTreeSet<ComponentKey> {
    unfinished(steps).filter_map(|step| step.component_key.map(|key| key.0)).collect()
}

/// What steps that failed or never ran were about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// Components, by their own keys.
    pub components: BTreeSet<ComponentKey>,
    /// Kubernetes resources.
    pub resources: BTreeSet<ResourceKey>,
}

/// What an operation left undone: it is planned again from what is there.
pub fn left(steps: &[Step]) -> Left {
    let mut left = Left { components: components(steps), resources: BTreeSet::new() };
    for step in unfinished(steps).filter(|step| step.component_key.is_none()) {
        match serde_json::from_slice(&step.action) {
            Ok(Action::Apply(apply)) => left.resources.extend(apply.owner_key.map(|key| ResourceKey(key.0))),
            Ok(Action::Delete(delete)) => left.resources.extend(gone_resources(&delete)),
            _ => {}
        }
    }
    left
}

/// Whether claims, and with them volumes, were to go.
pub fn deletes_claims(steps: &[Step]) -> bool {
    steps
        .iter()
        .any(|step| matches!(serde_json::from_slice(&step.action), Ok(Action::Delete(delete)) if names_claim(&delete)))
}

/// The Kubernetes resources that are claims, were to go, and did not.
pub fn doomed_claims(steps: &[Step]) -> BTreeSet<ResourceKey> {
    let claims = unfinished(steps).filter_map(|step| match serde_json::from_slice(&step.action) {
        Ok(Action::Delete(delete)) if names_claim(&delete) => Some(gone_resources(&delete).collect::<Vec<_>>()),
        _ => None,
    });
    claims.flatten().collect()
}

/// The changes by which a person agreed that objects are made anew, in steps that failed or never ran.
pub fn agreed(steps: &[Step]) -> BTreeSet<ChangeId> {
    let objects = unfinished(steps).filter_map(|step| match serde_json::from_slice(&step.action) {
        Ok(Action::Apply(apply)) => Some(apply.objects),
        _ => None,
    });
    objects.flatten().filter_map(|object| object.accepted).collect()
}

fn names_claim(delete: &Delete) -> bool {
    delete.objects.iter().any(|one| one.reference.kind == "PersistentVolumeClaim")
}

fn gone_resources(delete: &Delete) -> impl Iterator<Item = ResourceKey> {
    delete.on_success.iter().filter_map(|effect| match effect {
        Effect::ResourceGone(key) => Some(*key),
        _ => None,
    })
}

/// The same steps, for a new operation: exactly those that failed or never ran, after each other as before. What
/// succeeded is done and is needed no more. For kinds whose actions say the same at any time, such as copying images.
pub fn steps(steps: &[Step]) -> Result<Vec<NewStep>, JournalError> {
    let numbers: BTreeMap<u32, u32> = unfinished(steps).map(Step::number).zip(1..).collect();
    unfinished(steps)
        .map(|step| {
            let action: Action = serde_json::from_slice(&step.action).map_err(JournalError::Action)?;
            Ok(NewStep {
                name: step.name.clone(),
                component_key: step.component_key.map(|key| key.0),
                component_name: step.component_name.clone(),
                needs: step.needs.0.iter().filter_map(|need| numbers.get(need).copied()).collect(),
                action,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock,
        operation::action::{Apply, ApplyMode, DoomedObject, PlannedObject},
        store::{Stored, Word},
    };
    use ropeway_clusters::ObjectRef;
    use serde_json::json;
    use uuid::Uuid;

    fn step(number: i64, state: StepState, action: &Action) -> Step {
        Step {
            operation_id: clock::new_id(),
            number,
            name: "do it".into(),
            component_key: None,
            component_name: None,
            needs: Stored(BTreeSet::new()),
            action: serde_json::to_vec(action).unwrap(),
            state: Word(state),
            attempts: 1,
            error: None,
            deadline_at: None,
            started_at: None,
            finished_at: None,
        }
    }

    fn deletion(key: u128, kind: &str) -> Action {
        Action::Delete(Delete {
            cluster_id: clock::new_id(),
            application_id: clock::new_id(),
            objects: vec![DoomedObject {
                reference: ObjectRef::namespaced("v1", kind, "north", "data"),
                uid: "a".into(),
                orphan: false,
            }],
            await_gone: true,
            deadline_seconds: 60,
            on_success: vec![Effect::ResourceGone(ResourceKey(Uuid::from_u128(key)))],
        })
    }

    #[test]
    fn only_claims_that_were_to_go_and_did_not_go_with_a_retry() {
        let claim = "PersistentVolumeClaim";
        let steps = [
            step(1, StepState::Succeeded, &deletion(1, claim)),
            step(2, StepState::Failed, &deletion(2, claim)),
            step(3, StepState::Skipped, &deletion(3, "ConfigMap")),
        ];
        assert_eq!(doomed_claims(&steps), BTreeSet::from([ResourceKey(Uuid::from_u128(2))]));
    }

    #[test]
    fn what_a_person_agreed_to_is_agreed_to_until_it_is_done() {
        let change = |digit: &str| digit.repeat(32).parse::<ChangeId>().unwrap();
        let apply = |id: &ChangeId| {
            Action::Apply(Apply {
                cluster_id: clock::new_id(),
                namespace: "north".into(),
                cluster_scoped: false,
                application_id: clock::new_id(),
                owner_key: None,
                objects: vec![PlannedObject {
                    manifest: json!({}),
                    mode: ApplyMode::Recreate { orphan: false },
                    wave: 0,
                    force: false,
                    accepted: Some(id.clone()),
                }],
                await_healthy: true,
                deadline_seconds: 60,
                on_success: Vec::new(),
            })
        };
        let steps = [
            step(1, StepState::Succeeded, &apply(&change("a"))),
            step(2, StepState::Failed, &apply(&change("b"))),
            step(3, StepState::Skipped, &apply(&change("c"))),
        ];
        assert_eq!(agreed(&steps), BTreeSet::from([change("b"), change("c")]));
    }
}
