//! Plans: what an operation will do, decided before it begins.

use crate::{
    change::{Change, ChangeId, Decision, Owner},
    digest::Digest,
    graph::{GraphError, waves},
    installed::Installed,
    key::{ComponentKey, ResourceKey},
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeSet;

mod text;

/// Everything that a person sees before agreeing, and all that is carried out afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Over what the plan rests on, see [`plan_digest`]. Executing a plan names it.
    pub digest: Digest,
    /// What must be settled before it can be executed; all reasons at once.
    pub blockers: Vec<Blocker>,
    /// What does not stop it.
    pub warnings: Vec<String>,
    /// Every difference, applied or kept.
    pub changes: Vec<Change>,
    /// What is left for people to decide, such as what a rollback does not delete.
    #[serde(default)]
    pub left: Vec<LeftForPeople>,
    /// What is done, in this order.
    pub steps: Vec<PlannedStep>,
    /// The values that the caller has to supply.
    pub asks: Vec<AskedValue>,
}

/// A reason for which a plan cannot be executed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Blocker {
    /// For programs, in capitals, such as `VALUE_MISSING`.
    pub code: String,
    /// For people: what is wrong and what helps.
    pub message: String,
    /// The template key of the component that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<ComponentKey>,
}

/// One step, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStep {
    /// From 1.
    pub number: u32,
    /// The template key of the component that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<ComponentKey>,
    /// For people.
    pub summary: String,
}

/// A value that a version asks of whoever installs it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AskedValue {
    /// What the value belongs to.
    pub owner: Owner,
    /// The display name of that.
    pub owner_name: String,
    /// The path under which it is supplied, such as `environment/DB_PASSWORD`.
    pub name: String,
    /// What the publisher says of it.
    pub description: Option<String>,
}

/// Something that exists and that no plan decides about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftForPeople {
    /// `component`, `resource`, or the first part of a change's path: `environment`, `volumes` and so on.
    pub kind: String,
    /// What people call it.
    pub name: String,
    /// What it belongs to, or what it is, in template keys.
    pub owner: Owner,
    /// The display name of the owner.
    pub owner_name: String,
    /// Why it is left.
    pub reason: String,
}

/// What a plan rests on, and nothing else: no status, no resource version, no quota, no random value. Where none of it
/// has changed, the plan still holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanBasis {
    /// What is done, such as `UPGRADE`.
    pub operation: String,
    /// The generation of the installation's desired state.
    pub generation: i64,
    /// The content that is gone to; the digest of the snapshot for a rollback.
    pub version: Option<Digest>,
    /// The driver's component.
    pub driver: Digest,
    /// The driver's configuration.
    pub driver_config: Digest,
    /// The chosen components; none: all.
    pub selection: Option<BTreeSet<ComponentKey>>,
    /// The accepted changes.
    pub accepted: BTreeSet<ChangeId>,
    /// The names of the values that were supplied, not what they hold.
    pub supplied: BTreeSet<(Owner, String)>,
    /// The fields of live objects that the plan takes, as it found them.
    pub live_fields: Json,
}

/// The digest of a plan.
pub fn plan_digest(basis: &PlanBasis) -> Digest {
    Digest::of_value(basis)
}

impl Plan {
    /// Whether it can be executed.
    pub fn is_executable(&self) -> bool {
        self.blockers.is_empty()
    }

    /// The changes that are applied.
    pub fn applied(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.decision == Decision::Apply)
    }

    /// The changes that are not.
    pub fn kept(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.decision == Decision::Keep)
    }

    /// The plan as a person reads it.
    pub fn text(&self) -> String {
        text::render(self)
    }
}

/// The steps that bring what was decided to the cluster: Kubernetes resources first, since components may need them,
/// then components, each after what it depends on.
pub fn planned_steps(
    after: &Installed,
    components: &BTreeSet<ComponentKey>,
    resources: &BTreeSet<ResourceKey>,
) -> Result<Vec<PlannedStep>, GraphError> {
    let mut steps = Vec::new();
    let mut push = |component, summary| {
        let number = u32::try_from(steps.len() + 1).unwrap_or(u32::MAX);
        steps.push(PlannedStep { number, component, summary });
    };
    for key in resources {
        match after.resources.get(key) {
            Some(resource) => push(None, format!("apply {} {}", resource.spec.kind, resource.spec.name)),
            None => push(None, format!("delete the resource {key}")),
        }
    }
    for key in start_order(after)?.into_iter().flatten().filter(|key| components.contains(key)) {
        push(Some(key), format!("apply {} and wait until it is healthy", after.components[&key].spec.name));
    }
    Ok(steps)
}

/// The components in waves: each after what it depends on. A dependency on what is elsewhere orders nothing.
pub fn start_order(installed: &Installed) -> Result<Vec<Vec<ComponentKey>>, GraphError> {
    let here = |key: &&ComponentKey| installed.components.contains_key(*key);
    let dependencies = installed
        .components
        .iter()
        .map(|(key, component)| (*key, component.spec.dependencies.iter().filter(here).copied().collect()))
        .collect();
    let names = installed.components.iter().map(|(key, component)| (*key, component.spec.name.clone())).collect();
    waves(&dependencies, &names)
}

impl AskedValue {
    /// What stands in the way until the value is supplied.
    pub fn blocker(&self) -> Blocker {
        Blocker {
            code: "VALUE_MISSING".to_owned(),
            message: format!("supply a value for {} of {}", self.name, self.owner_name),
            component: match self.owner {
                Owner::Component(key) => Some(key),
                Owner::Resource(_) => None,
            },
        }
    }
}
