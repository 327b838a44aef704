//! Moving components between the keys of an application and those of the template that they came from.

use crate::{
    key::{ComponentKey, ResourceKey},
    model::{Component, ConfigFile, Resource, Value, Variable},
    version::PublishedValue,
};
use std::collections::BTreeMap;

/// Something that may name components by their keys.
pub trait Rekey {
    /// The same with other keys; a key that `map` does not know stays.
    #[must_use]
    fn map_keys(&self, map: &BTreeMap<ComponentKey, ComponentKey>) -> Self;
}

impl Rekey for Value {
    fn map_keys(&self, map: &BTreeMap<ComponentKey, ComponentKey>) -> Self {
        match self {
            Self::Sealed { sealed } => Self::Sealed { sealed: *sealed },
            Self::Text(text) => Self::Text(text.map_keys(map)),
        }
    }
}

impl Rekey for PublishedValue {
    fn map_keys(&self, map: &BTreeMap<ComponentKey, ComponentKey>) -> Self {
        match self {
            Self::Text(text) => Self::Text(text.map_keys(map)),
            other => other.clone(),
        }
    }
}

impl<V: Rekey + Clone> Rekey for Variable<V> {
    fn map_keys(&self, map: &BTreeMap<ComponentKey, ComponentKey>) -> Self {
        Self { value: self.value.map_keys(map), ..self.clone() }
    }
}

impl<V: Rekey + Clone> Rekey for ConfigFile<V> {
    fn map_keys(&self, map: &BTreeMap<ComponentKey, ComponentKey>) -> Self {
        Self { content: self.content.map_keys(map), ..self.clone() }
    }
}

impl<T: Rekey> Rekey for Vec<T> {
    fn map_keys(&self, map: &BTreeMap<ComponentKey, ComponentKey>) -> Self {
        self.iter().map(|item| item.map_keys(map)).collect()
    }
}

impl<V: Rekey + Clone> Component<V> {
    /// The same component in other keys: its own, those of its dependencies, of the owners of shared volumes, and of
    /// every host that a text names. A key that `map` does not know stays.
    #[must_use]
    pub fn map_keys(&self, map: &BTreeMap<ComponentKey, ComponentKey>) -> Self {
        let mapped = |key: &ComponentKey| *map.get(key).unwrap_or(key);
        let mut component = self.clone();
        component.key = mapped(&self.key);
        component.command = self.command.iter().map(|text| text.map_keys(map)).collect();
        component.arguments = self.arguments.iter().map(|text| text.map_keys(map)).collect();
        component.environment = self.environment.map_keys(map);
        component.connection_info = self.connection_info.map_keys(map);
        component.config_files = self.config_files.map_keys(map);
        component.dependencies = self.dependencies.iter().map(mapped).collect();
        for volume in &mut component.volumes {
            volume.shared_from = volume.shared_from.as_ref().map(mapped);
        }
        component
    }
}

impl<V: Rekey + Clone> Resource<V> {
    /// The same resource under another key, its entries in other keys. A key that a map does not know stays.
    #[must_use]
    pub fn map_keys(
        &self,
        map: &BTreeMap<ComponentKey, ComponentKey>,
        resources: &BTreeMap<ResourceKey, ResourceKey>,
    ) -> Self {
        Self {
            key: *resources.get(&self.key).unwrap_or(&self.key),
            secret_data: self.secret_data.map_keys(map),
            ..self.clone()
        }
    }
}
