//! Where the values of an installation come from: generated, supplied, or published as they are.

use crate::{
    change::Owner,
    installed::Installed,
    key::SecretId,
    model::{GenerateRule, Value},
    plan::AskedValue,
    version::PublishedValue,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A secret that has to be generated and sealed in the transaction that commits the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewSecret {
    /// Under which it is stored. It was drawn by the caller's generator.
    pub id: SecretId,
    /// How it is generated. Where its group's entries want different lengths, the longest.
    pub rule: GenerateRule,
}

/// Values that the caller supplies, by what they belong to and the path that the plan asks for.
pub type SuppliedValues = BTreeMap<(Owner, String), Value>;

/// What obtains values, and remembers what it took to do so.
pub(crate) struct Source<'a> {
    new_id: Option<&'a mut dyn FnMut() -> SecretId>,
    supplied: Option<&'a SuppliedValues>,
    used: BTreeSet<(Owner, String)>,
    /// The secrets that an ended installation left: whatever a version has in their places now, volumes want them.
    left: SuppliedValues,
    /// Of these, those in whose place another value was supplied.
    pub(crate) replaced: Vec<String>,
    /// The values of groups, those made on the way included.
    pub(crate) groups: BTreeMap<String, SecretId>,
    /// What has to be generated.
    pub(crate) new: Vec<NewSecret>,
    /// What is still to be supplied.
    pub(crate) asks: Vec<AskedValue>,
}

/// The place that a value is for.
pub(crate) struct Place<'p> {
    pub(crate) owner: Owner,
    pub(crate) owner_name: &'p str,
    pub(crate) path: &'p str,
    pub(crate) description: Option<&'p str>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(
        new_id: &'a mut dyn FnMut() -> SecretId,
        supplied: &'a SuppliedValues,
        groups: &BTreeMap<String, SecretId>,
    ) -> Self {
        Self { new_id: Some(new_id), supplied: Some(supplied), ..Self::existing(groups) }
    }

    /// For values that exist already, such as those of a snapshot.
    pub(crate) fn existing(groups: &BTreeMap<String, SecretId>) -> Self {
        Self {
            new_id: None,
            supplied: None,
            groups: groups.clone(),
            used: BTreeSet::new(),
            left: SuppliedValues::new(),
            replaced: Vec::new(),
            new: Vec::new(),
            asks: Vec::new(),
        }
    }

    /// The secrets that an ended installation left go before new ones and those of groups, and after what is supplied.
    pub(crate) fn after(self, earlier: &Installed) -> Self {
        Self { left: sealed_in(earlier), ..self }
    }

    /// Whether an ended installation left secrets.
    pub(crate) fn has_left(&self) -> bool {
        !self.left.is_empty()
    }

    /// The value for a place; none where it has to be supplied and was not.
    pub(crate) fn obtain(&mut self, place: &Place<'_>, published: &PublishedValue) -> Option<Value> {
        let name = (place.owner, place.path.to_owned());
        let left = self.left.get(&name);
        match published {
            PublishedValue::Text(text) => Some(left.cloned().unwrap_or_else(|| Value::Text(text.clone()))),
            PublishedValue::Generate { generate } => {
                let left = left.and_then(Value::sealed);
                self.generate(generate, left).map(|sealed| Value::Sealed { sealed })
            }
            PublishedValue::Ask { .. } => {
                let supplied = self.supplied.and_then(|supplied| supplied.get(&name));
                if supplied.is_some() && left.is_some() {
                    self.replaced.push(format!("{} of {}", place.path, place.owner_name));
                }
                let value = supplied.or(left).cloned();
                if supplied.is_some() {
                    self.used.insert(name);
                }
                if value.is_none() {
                    self.asks.push(AskedValue {
                        owner: place.owner,
                        owner_name: place.owner_name.to_owned(),
                        name: place.path.to_owned(),
                        description: place.description.map(str::to_owned),
                    });
                }
                value
            }
        }
    }

    /// The supplied values that nothing asked for.
    pub(crate) fn unused(&self) -> impl Iterator<Item = &(Owner, String)> {
        self.supplied.into_iter().flat_map(BTreeMap::keys).filter(|name| !self.used.contains(*name))
    }

    fn generate(&mut self, rule: &GenerateRule, left: Option<SecretId>) -> Option<SecretId> {
        if let Some(id) = left {
            if let Some(group) = &rule.group {
                self.groups.insert(group.clone(), id);
            }
            return Some(id);
        }
        let shared = rule.group.as_ref().and_then(|group| self.groups.get(group).copied());
        if let Some(id) = shared {
            if let Some(new) = self.new.iter_mut().find(|new| new.id == id) {
                new.rule.length = new.rule.length.max(rule.length);
            }
            return Some(id);
        }
        let id = self.new_id.as_mut()?();
        self.new.push(NewSecret { id, rule: rule.clone() });
        if let Some(group) = &rule.group {
            self.groups.insert(group.clone(), id);
        }
        Some(id)
    }
}

/// The sealed values of an installation, by what they belong to and the path that a plan has for them.
fn sealed_in(installed: &Installed) -> SuppliedValues {
    let mut values = SuppliedValues::new();
    let mut put = |owner, prefix: &str, name: &str, value: &Value| {
        if value.sealed().is_some() {
            values.insert((owner, format!("{prefix}/{name}")), value.clone());
        }
    };
    for (key, component) in &installed.components {
        let (owner, spec) = (Owner::Component(*key), &component.spec);
        for one in &spec.environment {
            put(owner, "environment", &one.name, &one.value);
        }
        for one in &spec.connection_info {
            put(owner, "connectionInfo", &one.name, &one.value);
        }
        for one in &spec.config_files {
            put(owner, "configFiles", &one.path, &one.content);
        }
    }
    for (key, resource) in &installed.resources {
        for one in &resource.spec.secret_data {
            put(Owner::Resource(*key), "secretData", &one.name, &one.value);
        }
    }
    values
}
