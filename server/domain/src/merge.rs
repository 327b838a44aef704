//! The three-way comparison that every delivery decision rests on.
//!
//! Each property is a *leaf* with three sides: the **base** (what was installed or written), the **target** (what is
//! gone to) and what is **live** here. A [`Rule`] says what happens to a leaf that is added, changed or removed;
//! [`Merge::decide`] applies it and writes the line of the plan. The files below split components and resources into
//! leaves; they decide nothing themselves. The same splitting serves upgrades, rollbacks and deployments, which differ
//! in their [`Mode`] alone.

mod component;
mod json;
mod leaf;
mod list;
mod network;
mod resource;
mod rule;
mod runtime;
mod storage;
mod values;

pub(crate) use component::{merge_component, summary};
pub(crate) use leaf::{Held, Leaf};
pub(crate) use resource::{merge_resource, resource_name, resource_summary};
pub(crate) use rule::{Class, Rule};

use crate::{
    change::{Change, ChangeId, ChangeKind, Decision, Owner},
    key::ComponentKey,
    model::Value,
    plan::LeftForPeople,
    secrets::{Place, Source},
};
use std::collections::{BTreeMap, BTreeSet};

/// What a comparison is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// From one version to another, over local edits.
    Upgrade,
    /// From what is here to a snapshot; the base is what the upgrade wrote.
    Rollback,
    /// To exactly the target; there is no base.
    Replace,
}

/// Why changes cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// They are not, or no longer, among the changes.
    #[error("these changes are not in the plan, look at it again: {}", join(ids))]
    Unknown {
        /// As given.
        ids: Vec<ChangeId>,
    },
    /// They are listed, but Kubernetes or the rules of delivery rule them out.
    #[error("these changes cannot be accepted: {}", join(changes.iter().map(|(id, reason)| format!("{id} ({reason})"))))]
    Refused {
        /// Which, and why.
        changes: Vec<(ChangeId, String)>,
    },
}

/// A comparison under way.
pub(crate) struct Merge<'a> {
    pub(crate) mode: Mode,
    /// The changes that a person accepts.
    pub(crate) accept: &'a BTreeSet<ChangeId>,
    /// Where something was kept earlier: there the target counts even if base and target agree.
    pub(crate) pending: BTreeSet<(Owner, String)>,
    /// Host names, for showing texts.
    pub(crate) names: BTreeMap<ComponentKey, String>,
    /// The components that there will be afterwards, with their display names.
    pub(crate) members: BTreeMap<ComponentKey, String>,
    /// The source of values.
    pub(crate) source: Source<'a>,
    /// What is compared at the moment.
    pub(crate) owner: Owner,
    /// Its display name.
    pub(crate) owner_name: String,
    /// All lines so far.
    pub(crate) changes: Vec<Change>,
    /// What a rollback leaves.
    pub(crate) left: Vec<LeftForPeople>,
    /// Accepted changes that cannot be made, with the reason.
    pub(crate) refused: Vec<(ChangeId, String)>,
}

impl<'a> Merge<'a> {
    pub(crate) fn new(mode: Mode, accept: &'a BTreeSet<ChangeId>, source: Source<'a>) -> Self {
        Self {
            mode,
            accept,
            pending: BTreeSet::new(),
            names: BTreeMap::new(),
            members: BTreeMap::new(),
            source,
            owner: Owner::Component(ComponentKey(uuid::Uuid::nil())),
            owner_name: String::new(),
            changes: Vec::new(),
            left: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// What the following leaves belong to.
    pub(crate) fn enter(&mut self, owner: Owner, name: &str) {
        self.owner = owner;
        name.clone_into(&mut self.owner_name);
    }

    /// Whether the live side of a leaf has to become its target. Every difference leaves a line, whether it is applied
    /// or not.
    pub(crate) fn decide(
        &mut self,
        path: &str,
        rule: &Rule,
        base: Option<&Leaf>,
        target: Option<&Leaf>,
        live: Option<&Leaf>,
    ) -> bool {
        let is_here = match (target, live) {
            (Some(target), Some(live)) => target.is_held_by(live),
            (None, None) => true,
            _ => false,
        };
        if is_here {
            return false;
        }
        let (class, reason) = match self.mode {
            Mode::Replace => (Class::Take, "differs from what is deployed"),
            Mode::Upgrade => match self.judge_upgrade(path, rule, base, target, live) {
                Some(judged) => judged,
                None => return false,
            },
            Mode::Rollback => match self.judge_rollback(path, rule, base, target, live) {
                Some(judged) => judged,
                None => return false,
            },
        };
        self.record(path, class, reason, target, live)
    }

    /// A value for a path of what is compared at the moment.
    pub(crate) fn obtain<V: Held>(&mut self, path: &str, description: Option<&str>, value: &V) -> Option<Value> {
        let place = Place { owner: self.owner, owner_name: &self.owner_name, path, description };
        let obtained = value.obtain(&mut self.source, &place)?;
        if self.source.has_left() {
            // Where a secret that was left stays instead, that is a difference.
            let [target, live] = [value.leaf(&self.names), obtained.leaf(&self.names)];
            self.decide(path, &Rule::CONFIGURATION, None, Some(&target), Some(&live));
        }
        Some(obtained)
    }

    /// What a component is called, or its key.
    pub(crate) fn name_of(&self, key: ComponentKey) -> String {
        self.members.get(&key).cloned().unwrap_or_else(|| key.to_string())
    }

    fn judge_upgrade(
        &self,
        path: &str,
        rule: &Rule,
        base: Option<&Leaf>,
        target: Option<&Leaf>,
        live: Option<&Leaf>,
    ) -> Option<(Class, &'static str)> {
        let versions_agree = match (base, target) {
            (Some(base), Some(target)) => base.agrees_with(target),
            (None, None) => true,
            _ => false,
        };
        if versions_agree && !self.is_pending(path) {
            return None;
        }
        Some(match (target, live) {
            (Some(_), None) if base.is_none() => (rule.add, "new in this version"),
            (Some(_), None) => (rule.change, "was removed here"),
            (None, _) => (rule.remove, "no longer in this version"),
            (Some(_), Some(live)) if base.is_some_and(|base| base.is_held_by(live)) => {
                (rule.change, "differs in this version")
            }
            (Some(_), Some(_)) => (rule.change, "differs in this version, and was edited here"),
        })
    }

    /// Whether a path was kept earlier.
    pub(crate) fn is_pending(&self, path: &str) -> bool {
        self.pending.contains(&(self.owner, path.to_owned()))
    }

    fn judge_rollback(
        &mut self,
        path: &str,
        rule: &Rule,
        written: Option<&Leaf>,
        snapshot: Option<&Leaf>,
        live: Option<&Leaf>,
    ) -> Option<(Class, &'static str)> {
        let goes_back = matches!(rule.change, Class::Take) && !rule.only_undone;
        if snapshot.is_none() {
            // Only what the upgrade added concerns a rollback.
            written?;
            if goes_back {
                return Some((Class::Take, "was added by the upgrade"));
            }
            self.leave(path, "was added by the upgrade; a rollback deletes nothing");
            return None;
        }
        if goes_back {
            return Some((Class::Take, "goes back to what it was before the upgrade"));
        }
        let upgrade_changed = written.map(|leaf| &leaf.content) != snapshot.map(|leaf| &leaf.content);
        if !upgrade_changed {
            return None;
        }
        if written.map(|leaf| &leaf.content) == live.map(|leaf| &leaf.content) {
            let class = if matches!(rule.change, Class::Never(_)) { rule.change } else { Class::Take };
            return Some((class, "goes back, since it is still what the upgrade wrote"));
        }
        let class = if matches!(rule.change, Class::Never(_)) { rule.change } else { Class::Offer };
        Some((class, "was changed here since the upgrade"))
    }

    /// Writes a line for a difference that was judged already, and says whether it is applied.
    pub(crate) fn record(
        &mut self,
        path: &str,
        class: Class,
        reason: &str,
        target: Option<&Leaf>,
        live: Option<&Leaf>,
    ) -> bool {
        let is_set = |leaf: Option<&Leaf>| leaf.is_some_and(Leaf::is_set);
        let kind = match (is_set(live), is_set(target)) {
            (false, _) => ChangeKind::Add,
            (true, true) => ChangeKind::Update,
            (true, false) => ChangeKind::Remove,
        };
        let (before, after) = leaf::shown(live, target);
        let content = |leaf: Option<&Leaf>| leaf.map(|leaf| leaf.content.clone());
        let id = ChangeId::of(self.owner, path, kind, &content(live), &content(target));
        let accepted = self.accept.contains(&id);
        let (decision, reason) = match class {
            Class::Take => (Decision::Apply, reason.to_owned()),
            Class::Offer | Class::Recreate if accepted => (Decision::Apply, format!("{reason}; accepted")),
            Class::Offer => (Decision::Keep, format!("{reason}; stays as it is here until it is accepted")),
            Class::Recreate => {
                (Decision::Keep, format!("{reason}; the object has to be created anew, which is done once accepted"))
            }
            Class::Never(why) => (Decision::Keep, format!("{reason}; {why}")),
        };
        if accepted && matches!(class, Class::Never(_)) {
            self.refused.push((id.clone(), reason.clone()));
        }
        let apply = decision == Decision::Apply;
        self.changes.push(Change {
            id,
            owner: self.owner,
            owner_name: self.owner_name.clone(),
            path: path.to_owned(),
            kind,
            before,
            after,
            decision,
            reason,
        });
        apply
    }

    /// The accepted ids that are no change of this comparison, and those that cannot be accepted.
    pub(crate) fn check_accepted(&self) -> Result<(), AcceptError> {
        let offered: BTreeSet<&ChangeId> = self.changes.iter().map(|change| &change.id).collect();
        let unknown: Vec<_> = self.accept.iter().filter(|id| !offered.contains(id)).cloned().collect();
        if !unknown.is_empty() {
            return Err(AcceptError::Unknown { ids: unknown });
        }
        if self.refused.is_empty() { Ok(()) } else { Err(AcceptError::Refused { changes: self.refused.clone() }) }
    }

    /// The components and resources that have an applied change.
    pub(crate) fn touched(&self) -> BTreeSet<Owner> {
        self.changes.iter().filter(|change| change.decision == Decision::Apply).map(|change| change.owner).collect()
    }

    /// Notes something that a rollback leaves for people.
    pub(crate) fn leave(&mut self, path: &str, reason: &str) {
        let (kind, name) = path.split_once('/').unwrap_or((path, ""));
        self.left.push(LeftForPeople {
            kind: kind.to_owned(),
            name: name.to_owned(),
            owner: self.owner,
            owner_name: self.owner_name.clone(),
            reason: reason.to_owned(),
        });
    }
}

fn join<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
