//! Plans: what an operation will do, decided and shown before it begins.

use crate::error::{Error, Result};
use async_graphql::{Enum, ID, SimpleObject};
use ropeway_domain::{Digest, change as changes, plan as domain};

/// Everything that a person sees before agreeing. Executing it names its digest; where that does not hold any more, it
/// is refused and the new plan is returned.
#[derive(Debug, Clone, SimpleObject)]
pub struct Plan {
    /// Over what the plan rests on.
    pub digest: String,
    /// What must be settled before it can be executed; all reasons at once.
    pub blockers: Vec<Blocker>,
    /// What does not stop it.
    pub warnings: Vec<String>,
    /// Every difference, applied or kept.
    pub changes: Vec<Change>,
    /// What is done, in this order where one step needs another.
    pub steps: Vec<PlannedStep>,
    /// The values that the caller has to supply.
    pub asks: Vec<AskedValue>,
    /// What is left for people to decide, such as what a rollback does not delete.
    pub left_for_people: Vec<LeftForPeople>,
    /// The plan as a person reads it.
    pub text: String,
}

/// One step, as it is shown.
#[derive(Debug, Clone, SimpleObject)]
pub struct PlannedStep {
    /// From 1.
    pub number: i32,
    /// The key of the component that it is about.
    pub component: Option<String>,
    /// For people.
    pub summary: String,
}

/// A reason for which a plan cannot be executed.
#[derive(Debug, Clone, SimpleObject)]
pub struct Blocker {
    /// For programs, in capitals, such as `VALUE_MISSING`.
    pub code: String,
    /// For people: what is wrong and what helps.
    pub message: String,
    /// The key of the component that it is about.
    pub component: Option<String>,
}

/// One difference, whether it is applied or not.
#[derive(Debug, Clone, SimpleObject)]
pub struct Change {
    /// A hash of the change's content: it stays the same while the change does. `accept` takes it.
    pub id: ID,
    /// What people call the component or Kubernetes resource.
    pub component: Option<String>,
    /// Which property, such as `environment/DB_HOST` or `image`.
    pub path: String,
    /// What happens to it.
    pub kind: ChangeKind,
    /// As it is; null where nothing is. Secrets are `(secret)`.
    pub before: Option<String>,
    /// As it will be, or would be; null where nothing will be. A secret that differs is `(secret, changed)`.
    pub after: Option<String>,
    /// Whether it is applied.
    pub decision: Decision,
    /// Why it was decided so.
    pub reason: String,
}

/// What happens to a property.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "changes::ChangeKind")]
pub enum ChangeKind {
    /// It was not there.
    Add,
    /// It has another value.
    Update,
    /// It is no longer there.
    Remove,
}

/// Whether a change is applied.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "changes::Decision")]
pub enum Decision {
    /// It is.
    Apply,
    /// What is here is kept. The change is offered where a person may accept it.
    Keep,
}

/// A value that a version asks of whoever installs it.
#[derive(Debug, Clone, SimpleObject)]
pub struct AskedValue {
    /// The key of the component or Kubernetes resource.
    pub owner: ID,
    /// What people call it.
    pub component: Option<String>,
    /// The place, such as `environment/DB_PASSWORD`: `name` of the supplied value.
    pub name: String,
    /// What the publisher says of it.
    pub description: Option<String>,
}

/// Something that no plan decides about.
#[derive(Debug, Clone, SimpleObject)]
pub struct LeftForPeople {
    /// `component`, `resource`, or the kind of property: `environment`, `volumes` and so on.
    pub kind: String,
    /// The key of the component or Kubernetes resource that it is, or belongs to.
    pub id: Option<ID>,
    /// Its name, with that of its owner where it has one.
    pub name: String,
    /// Why it is left.
    pub reason: String,
}

impl From<domain::Plan> for Plan {
    fn from(plan: domain::Plan) -> Self {
        let text = plan.text();
        Self {
            digest: plan.digest.into(),
            blockers: plan.blockers.into_iter().map(Into::into).collect(),
            warnings: plan.warnings,
            changes: plan.changes.into_iter().map(Into::into).collect(),
            steps: plan.steps.into_iter().map(Into::into).collect(),
            asks: plan.asks.into_iter().map(Into::into).collect(),
            left_for_people: plan.left.into_iter().map(Into::into).collect(),
            text,
        }
    }
}

impl From<domain::PlannedStep> for PlannedStep {
    fn from(step: domain::PlannedStep) -> Self {
        let number = i32::try_from(step.number).unwrap_or(i32::MAX);
        Self { number, component: step.component.map(|key| key.to_string()), summary: step.summary }
    }
}

impl From<domain::Blocker> for Blocker {
    fn from(blocker: domain::Blocker) -> Self {
        let component = blocker.component.map(|key| key.to_string());
        Self { code: blocker.code, message: blocker.message, component }
    }
}

impl From<changes::Change> for Change {
    fn from(change: changes::Change) -> Self {
        Self {
            id: ID(change.id.into()),
            component: Some(change.owner_name),
            path: change.path,
            kind: change.kind.into(),
            before: change.before,
            after: change.after,
            decision: change.decision.into(),
            reason: change.reason,
        }
    }
}

impl From<domain::AskedValue> for AskedValue {
    fn from(asked: domain::AskedValue) -> Self {
        Self {
            owner: owner_key(asked.owner),
            component: Some(asked.owner_name),
            name: asked.name,
            description: asked.description,
        }
    }
}

impl From<domain::LeftForPeople> for LeftForPeople {
    fn from(left: domain::LeftForPeople) -> Self {
        let name = if left.name.is_empty() || left.name == left.owner_name {
            left.owner_name
        } else {
            format!("{} of {}", left.name, left.owner_name)
        };
        Self { kind: left.kind, id: Some(owner_key(left.owner)), name, reason: left.reason }
    }
}

/// The key of what something belongs to.
pub fn owner_key(owner: changes::Owner) -> ID {
    match owner {
        changes::Owner::Component(key) => ID(key.to_string()),
        changes::Owner::Resource(key) => ID(key.to_string()),
    }
}

/// The digest of the plan that a person looked at.
pub fn decode_digest(text: Option<String>) -> Result<Option<Digest>> {
    let parsed = text.map(Digest::try_from).transpose();
    parsed.map_err(|error| Error::invalid("INVALID_DIGEST", ["planDigest"], error.to_string()))
}
