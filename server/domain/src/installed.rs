//! The desired state of what runs: of one installation, or of an application that was composed by hand.
//!
//! It is kept in the key space of the template: keys in specs, dependencies and texts are those of the template that a
//! component came from, so that it can be compared with versions as it is. A component that came from nowhere stands
//! under its own key. [`Installed::to_template_keys`] and [`Installed::to_own_keys`] lead from one space to the other.

use crate::{
    key::{ComponentKey, ResourceKey, SecretId},
    model::{Component, Resource, Value},
    text::Text,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The desired state of an installation, or of an application composed by hand. It is also what a snapshot holds: it
/// names every property, and sealed values by their immutable ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Installed {
    /// By template key.
    pub components: BTreeMap<ComponentKey, InstalledComponent>,
    /// By template key.
    pub resources: BTreeMap<ResourceKey, InstalledResource>,
    /// The values that entries of one group share, by the group's name.
    #[serde(default)]
    pub secret_groups: BTreeMap<String, SecretId>,
}

/// One component that runs, or shall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstalledComponent {
    /// Its identity in its application. The template's key of it is `spec.key`.
    pub own_key: ComponentKey,
    /// The name of its objects and its host name: derived once, kept for life.
    pub cluster_name: String,
    /// All that was defined, in template keys.
    pub spec: Component<Value>,
    /// The version that it is at; none where it came from no template.
    pub version: Option<VersionRef>,
    /// Whether the version that the installation is at has no counterpart of it.
    #[serde(default)]
    pub no_longer_in_template: bool,
}

/// One Kubernetes resource that exists, or shall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstalledResource {
    /// Its identity in its application. The template's key of it is `spec.key`.
    pub own_key: ResourceKey,
    /// All that was defined, in template keys.
    pub spec: Resource<Value>,
    /// The version that it is at; none where it came from no template.
    pub version: Option<VersionRef>,
    /// Whether the version that the installation is at has no counterpart of it.
    #[serde(default)]
    pub no_longer_in_template: bool,
}

/// A revision of a version, as an installed component remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionRef {
    /// The revision's id in the store.
    pub id: Uuid,
    /// The version's number, for people and labels.
    pub number: String,
}

impl Installed {
    /// The host name of each component, by template key.
    pub fn names(&self) -> BTreeMap<ComponentKey, String> {
        self.components.iter().map(|(key, component)| (*key, component.cluster_name.clone())).collect()
    }

    /// What another installation took over of this one, and left again, is as that left it: components and resources by
    /// their own keys, and with them the values of groups.
    pub fn had_since(&mut self, later: &Self) {
        let mut had_some = false;
        for (key, one) in &mut self.components {
            if let Some(since) = later.components.get(key).filter(|since| since.own_key == one.own_key) {
                one.clone_from(since);
                had_some = true;
            }
        }
        for (key, one) in &mut self.resources {
            if let Some(since) = later.resources.get(key).filter(|since| since.own_key == one.own_key) {
                one.clone_from(since);
                had_some = true;
            }
        }
        if had_some {
            self.secret_groups.extend(later.secret_groups.clone());
        }
    }

    /// The own keys of all components and resources.
    pub fn own_keys(&self) -> impl Iterator<Item = Uuid> + '_ {
        let components = self.components.values().map(|component| component.own_key.0);
        components.chain(self.resources.values().map(|resource| resource.own_key.0))
    }

    /// Every sealed value that is named: what must live as long as this does.
    pub fn secrets(&self) -> BTreeSet<SecretId> {
        let mut ids: BTreeSet<_> = self.secret_groups.values().copied().collect();
        for component in self.components.values() {
            ids.extend(component.spec.values().filter_map(Value::sealed));
        }
        for resource in self.resources.values() {
            ids.extend(resource.spec.secret_data.iter().filter_map(|variable| variable.value.sealed()));
        }
        ids
    }

    /// The same state with its specs in template keys, given how each component's own key is called in the template.
    #[must_use]
    pub fn to_template_keys(
        &self,
        components: &BTreeMap<ComponentKey, ComponentKey>,
        resources: &BTreeMap<ResourceKey, ResourceKey>,
    ) -> Self {
        self.rekeyed(components, resources)
    }

    /// The same state with its specs in the keys of the application, as it is stored and rendered.
    #[must_use]
    pub fn to_own_keys(&self) -> Self {
        let components = self.components.iter().map(|(key, component)| (*key, component.own_key)).collect();
        let resources = self.resources.iter().map(|(key, resource)| (*key, resource.own_key)).collect();
        self.rekeyed(&components, &resources)
    }

    /// The ConfigMap or Secret of a name among the resources.
    pub fn configuration(&self, kind: &str, name: &str) -> Option<&Resource<Value>> {
        self.resources.values().map(|one| &one.spec).find(|spec| spec.is_object("v1", kind, name))
    }

    fn rekeyed(
        &self,
        components: &BTreeMap<ComponentKey, ComponentKey>,
        resources: &BTreeMap<ResourceKey, ResourceKey>,
    ) -> Self {
        let one = |component: &InstalledComponent| {
            let spec = component.spec.map_keys(components);
            (spec.key, InstalledComponent { spec, ..component.clone() })
        };
        let other = |resource: &InstalledResource| {
            let spec = resource.spec.map_keys(components, resources);
            (spec.key, InstalledResource { spec, ..resource.clone() })
        };
        Self {
            components: self.components.values().map(one).collect(),
            resources: self.resources.values().map(other).collect(),
            secret_groups: self.secret_groups.clone(),
        }
    }
}

impl Value {
    /// The id of a sealed value.
    pub fn sealed(&self) -> Option<SecretId> {
        match self {
            Self::Sealed { sealed } => Some(*sealed),
            Self::Text(_) => None,
        }
    }
}

impl Component<Value> {
    /// The values of its environment, its connection info and its files.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        let variables = self.environment.iter().chain(&self.connection_info).map(|variable| &variable.value);
        variables.chain(self.config_files.iter().map(|file| &file.content))
    }

    /// How it needs another component, for people; none where it does not.
    pub fn need_of(&self, other: ComponentKey) -> Option<&'static str> {
        if self.dependencies.contains(&other) {
            Some("depends on")
        } else if self.volumes.iter().any(|volume| volume.shared_from == Some(other)) {
            Some("mounts a volume of")
        } else if self.hosts().contains(&other) {
            Some("names the host of")
        } else {
            None
        }
    }

    /// The components that its texts name, as hosts.
    pub fn hosts(&self) -> BTreeSet<ComponentKey> {
        let texts = self.values().filter_map(|value| match value {
            Value::Text(text) => Some(text),
            Value::Sealed { .. } => None,
        });
        self.command.iter().chain(&self.arguments).chain(texts).flat_map(Text::hosts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    #[test]
    fn a_component_is_needed_in_three_ways() {
        let (other, third) = (ComponentKey(Uuid::from_u128(2)), ComponentKey(Uuid::from_u128(3)));
        let need = |more: Json| {
            let mut json = json!({
                "key": Uuid::from_u128(1), "name": "web", "slug": "web", "kind": "Deployment",
                "image": {"reference": "web:1"},
                "scale": {"rule": {"minReplicas": 1, "maxReplicas": 1, "step": 1}, "replicas": 1},
            });
            json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let component: Component<Value> = serde_json::from_value(json).unwrap();
            assert_eq!(component.need_of(third), None);
            component.need_of(other)
        };
        let shared = json!({"name": "data", "mountPath": "/data", "kind": "shared", "sharedFrom": other});
        assert_eq!(need(json!({})), None);
        assert_eq!(need(json!({"dependencies": [other]})), Some("depends on"));
        assert_eq!(need(json!({"volumes": [shared]})), Some("mounts a volume of"));
        assert_eq!(need(json!({"command": [["http://", {"host": other}]]})), Some("names the host of"));
    }
}
