//! The keys under which components and resources are published.

use super::{Notes, PublicationInput, content::Sources};
use crate::key::{ComponentKey, ResourceKey};
use std::collections::{BTreeMap, BTreeSet};

/// From the application's keys to the published ones.
pub(super) struct Keys {
    pub(super) components: BTreeMap<ComponentKey, ComponentKey>,
    pub(super) resources: BTreeMap<ResourceKey, ResourceKey>,
}

/// A component is published under the key that the caller says, else under its template's, else under its own.
pub(super) fn published(input: &PublicationInput, sources: &Sources, notes: &mut Notes) -> Keys {
    let components: BTreeMap<_, _> = sources
        .components
        .iter()
        .map(|source| {
            let own = source.component.key;
            (own, input.key_mapping.get(&own).copied().or(source.template_key).unwrap_or(own))
        })
        .collect();
    let resources: BTreeMap<_, _> = sources
        .resources
        .iter()
        .map(|source| (source.resource.key, source.template_key.unwrap_or(source.resource.key)))
        .collect();

    for own in input.key_mapping.keys().filter(|own| !components.contains_key(own)) {
        let message = format!("{own} is given a key of the template and is not among what is published");
        notes.block("KEY_UNKNOWN", None, message);
    }
    duplicates(
        &components,
        |own| sources.component_name(own),
        |key, names| {
            let message = format!(
                "{names} would have the same key {key} in the template, as when it is installed twice in the application; \
             say which component of the template each of them is, or leave out all but one"
            );
            notes.block("KEY_NOT_UNIQUE", Some(key), message);
        },
    );
    duplicates(
        &resources,
        |own| sources.resource_name(own),
        |key, names| {
            let message = format!("{names} would have the same key {key} in the template; leave out all but one");
            notes.block("KEY_NOT_UNIQUE", None, message);
        },
    );
    if let Some(template) = &input.template_keys
        && !template.is_empty()
        && components.values().all(|key| !template.contains(key))
    {
        let message = "no component of the application is known to the template: what is installed from it would get \
                       all components anew; say which component of the template each of them is, or publish to another \
                       template";
        notes.block("KEYS_NOT_SHARED", None, message.to_owned());
    }
    Keys { components, resources }
}

fn duplicates<K: Ord + Copy>(keys: &BTreeMap<K, K>, name: impl Fn(K) -> String, mut report: impl FnMut(K, String)) {
    let mut of_key: BTreeMap<K, BTreeSet<K>> = BTreeMap::new();
    for (own, key) in keys {
        of_key.entry(*key).or_default().insert(*own);
    }
    for (key, owns) in of_key.into_iter().filter(|(_, owns)| owns.len() > 1) {
        report(key, owns.into_iter().map(&name).collect::<Vec<_>>().join(", "));
    }
}
