//! Configuration files: plain ones in a ConfigMap, secret ones in a Secret, both in one projected volume, of which each
//! file is mounted at its own path.

use super::{Context, Problems, environment::is_data_key, labels};
use ropeway_domain::{
    Digest,
    rendering::{ComponentModel, ModelValue},
};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// The volume that holds the files.
pub(super) const VOLUME: &str = "ropeway-files";

/// What Kubernetes gives to files of no given mode.
const DEFAULT_MODE: u16 = 0o644;

/// The most that a ConfigMap or a Secret can hold.
const MAX_BYTES: usize = 1 << 20;

/// The configuration files of a component.
#[derive(Default)]
pub(super) struct Files {
    /// The objects that hold them.
    pub(super) objects: Vec<Json>,
    /// The volume, where there are any.
    pub(super) volume: Option<Json>,
    /// One mount for each.
    pub(super) mounts: Vec<Json>,
}

/// Renders the configuration files of a component.
pub(super) fn render(
    context: &Context<'_>,
    index: usize,
    component: &ComponentModel,
    problems: &mut Problems,
) -> Files {
    if component.config_files.is_empty() {
        return Files::default();
    }
    let path = format!("/components/{index}/configFiles");
    let name = format!("{}-files", component.name);
    let keys = keys(component);
    let (mut plain, mut secret) = (Map::new(), Map::new());
    let (mut plain_items, mut secret_items, mut mounts) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = 0;
    for (position, file) in component.config_files.iter().enumerate() {
        let key = &keys[position];
        if !file.path.starts_with('/') || file.path.ends_with('/') || !is_data_key(key) {
            let message = format!("{:?} is no absolute path of a file", file.path);
            problems.error(&format!("{path}/{position}/path"), "file.path", message);
        }
        if component.config_files[..position].iter().any(|other| other.path == file.path) {
            problems.error(&format!("{path}/{position}/path"), "file.twice", format!("{:?} is there twice", file.path));
        }
        let mode = file.mode.unwrap_or(DEFAULT_MODE);
        if mode > 0o777 {
            let message = format!("the mode {mode:o} has more than the permission bits 0 to 777");
            problems.error(&format!("{path}/{position}/mode"), "file.mode", message);
        }
        let item = json!({ "key": key, "path": key, "mode": mode });
        match &file.content {
            ModelValue::Plain(text) => {
                bytes += text.len();
                plain.insert(key.clone(), Json::from(text.as_str()));
                plain_items.push(item);
            }
            ModelValue::Secret { secret: placeholder } => {
                secret.insert(key.clone(), Json::from(placeholder.as_str()));
                secret_items.push(item);
            }
        }
        mounts.push(json!({ "name": VOLUME, "mountPath": file.path, "subPath": key, "readOnly": true }));
    }
    if bytes > MAX_BYTES {
        let message = format!("the files of a component have together at most {MAX_BYTES} bytes, not {bytes}");
        problems.error(&path, "files.size", message);
    }

    let object = |kind: &str, field: &str, data: Map<String, Json>| {
        json!({
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": context.target.namespace,
                "labels": labels::of_component(context, component),
            },
            field: data,
        })
    };
    let (mut objects, mut sources) = (Vec::new(), Vec::new());
    if !plain.is_empty() {
        objects.push(object("ConfigMap", "data", plain));
        sources.push(json!({ "configMap": { "name": name, "items": plain_items } }));
    }
    if !secret.is_empty() {
        objects.push(object("Secret", "stringData", secret));
        sources.push(json!({ "secret": { "name": name, "items": secret_items } }));
    }
    let volume = Some(json!({ "name": VOLUME, "projected": { "sources": sources } }));
    Files { objects, volume, mounts }
}

/// A key for each file, in order: its path with `.` for `/`, and a suffix where that is the key of two.
fn keys(component: &ComponentModel) -> Vec<String> {
    let readable = |path: &str| -> String {
        let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
        let key: String = path.trim_matches('/').replace('/', ".").chars().map(allowed).collect();
        let key = key.trim_start_matches('.');
        key[key.len().saturating_sub(200)..].to_owned()
    };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for file in &component.config_files {
        *counts.entry(readable(&file.path)).or_default() += 1;
    }
    let key = |path: &str| {
        let key = readable(path);
        let digest = Digest::of(path.as_bytes());
        if counts[&key] == 1 && !key.is_empty() { key } else { format!("{key}-{}", &digest.hex()[..8]) }
    };
    component.config_files.iter().map(|file| key(&file.path)).collect()
}
