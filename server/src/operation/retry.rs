//! What a retry takes up: the steps of a finished operation that did not succeed.

use super::{
    Action,
    action::Effect,
    journal::{JournalError, NewStep},
};
use crate::store::step::Step;
use ropeway_domain::{ComponentKey, ResourceKey, operation::StepState};
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
            Ok(Action::Delete(delete)) => left.resources.extend(
                delete
                    .on_success
                    .iter()
                    .filter_map(|effect| if let Effect::ResourceGone(key) = effect { Some(*key) } else { None }),
            ),
            _ => {}
        }
    }
    left
}

/// Whether claims, and with them volumes, were to go.
pub fn deletes_claims(steps: &[Step]) -> bool {
    steps.iter().any(|step| match serde_json::from_slice(&step.action) {
        Ok(Action::Delete(delete)) => delete.objects.iter().any(|one| one.reference.kind == "PersistentVolumeClaim"),
        _ => false,
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
