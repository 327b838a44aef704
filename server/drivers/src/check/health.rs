//! Health: of the objects that were asked about, without contradiction.

use super::bounded;
use crate::{
    contract::bindings::ropeway::driver::types as wire,
    error::InvalidOutput,
    types::{Health, HealthItem, HealthState, ObjectRef, Observed},
};
use serde_json::Value as Json;
use std::collections::{HashMap, HashSet};

/// Checks a judgement about some objects.
pub(crate) fn health(observed: &[Observed], found: wire::Health) -> Result<Health, InvalidOutput> {
    let asked: HashMap<&ObjectRef, &Observed> = observed.iter().map(|it| (&it.reference, it)).collect();
    let mut items: Vec<HealthItem> = Vec::with_capacity(found.items.len().min(observed.len()));
    let mut judged: HashSet<ObjectRef> = HashSet::new();
    for (index, item) in found.items.into_iter().enumerate() {
        let path = format!("/items/{index}");
        bounded(&format!("{path}/reason"), &item.reason)?;
        bounded(&format!("{path}/message"), &item.message)?;
        let wire::ObjectRef { api_version, kind, name } = item.ref_;
        let reference = ObjectRef { api_version, kind, name };
        let Some(subject) = asked.get(&reference) else {
            return Err(InvalidOutput::new(path, "nobody asked about this object"));
        };
        let state = state(item.state);
        if subject.object.is_none() && state == HealthState::Healthy {
            return Err(InvalidOutput::new(path, "what is not in the cluster is not healthy"));
        }
        if !judged.insert(reference.clone()) {
            return Err(InvalidOutput::new(path, "a second judgement about one object"));
        }
        items.push(HealthItem { reference, state, reason: item.reason, message: item.message });
    }
    let left_out = observed.iter().find(|it| !is_owned(it) && !judged.contains(&it.reference));
    if let Some(Observed { reference, .. }) = left_out {
        let problem = format!("nothing about the {} {:?}", reference.kind, reference.name);
        return Err(InvalidOutput::new("/items", problem));
    }
    let state = state(found.state);
    let all_healthy = items.iter().all(|item| item.state == HealthState::Healthy);
    if (state == HealthState::Healthy) != all_healthy {
        return Err(InvalidOutput::new("/state", "healthy exactly if every item is"));
    }
    Ok(Health { state, items })
}

/// Whether a controller owns the object, so that it is there to explain its owner.
fn is_owned(observed: &Observed) -> bool {
    let owners = observed.object.as_ref().and_then(|object| object.pointer("/metadata/ownerReferences"));
    owners.and_then(Json::as_array).is_some_and(|owners| owners.iter().any(|owner| owner["controller"] == true))
}

fn state(state: wire::HealthState) -> HealthState {
    match state {
        wire::HealthState::Healthy => HealthState::Healthy,
        wire::HealthState::Progressing => HealthState::Progressing,
        wire::HealthState::Degraded => HealthState::Degraded,
        wire::HealthState::Missing => HealthState::Missing,
        wire::HealthState::Unknown => HealthState::Unknown,
    }
}
