//! Volumes: intent to claims, claim templates and volumes of a pod.

use super::{Context, Problems, files, is_dns_label, labels};
use ropeway_domain::{
    model::{VolumeKind, WorkloadKind},
    rendering::{ComponentModel, VolumeModel},
};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeSet;

/// What the volumes of a component are made of.
#[derive(Default)]
pub(super) struct Storage {
    /// PersistentVolumeClaims of the component's own.
    pub(super) claims: Vec<Json>,
    /// Templates of claims of a StatefulSet.
    pub(super) templates: Vec<Json>,
    /// Volumes of the pod.
    pub(super) volumes: Vec<Json>,
    /// Mounts of the container.
    pub(super) mounts: Vec<Json>,
    /// All pods share a disk that one node mounts at a time.
    pub(super) has_single_writer: bool,
}

/// Renders the volumes of a component.
pub(super) fn render(
    context: &Context<'_>,
    index: usize,
    component: &ComponentModel,
    problems: &mut Problems,
) -> Storage {
    let mut storage = Storage::default();
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for (position, volume) in component.volumes.iter().enumerate() {
        let path = format!("/components/{index}/volumes/{position}");
        if !is_dns_label(&volume.name, 63) || volume.name == files::VOLUME {
            problems.error(&format!("{path}/name"), "volume.name", format!("{:?} is no DNS label", volume.name));
        }
        if !names.insert(volume.name.as_str()) {
            problems.error(&format!("{path}/name"), "volume.twice", format!("two volumes are named {:?}", volume.name));
        }
        if !paths.insert(volume.mount_path.as_str()) {
            let message = format!("two volumes are mounted at {:?}", volume.mount_path);
            problems.error(&format!("{path}/mountPath"), "volume.twice", message);
        }
        if !volume.mount_path.starts_with('/') || volume.mount_path.contains(':') {
            let message = format!("{:?} is no absolute path without \":\"", volume.mount_path);
            problems.error(&format!("{path}/mountPath"), "volume.path", message);
        }
        if let Some(sub_path) = &volume.sub_path
            && (sub_path.starts_with('/') || sub_path.split('/').any(|part| part == ".."))
        {
            let message = format!("{sub_path:?} is no relative path inside the volume");
            problems.error(&format!("{path}/subPath"), "volume.path", message);
        }
        storage.mounts.push(mount(volume));
        one(context, component, volume, &path, &mut storage, problems);
    }
    if storage.has_single_writer && component.replicas > 1 {
        let message = format!(
            "{} replicas share a disk with one writer, so all of them must run on one node; a StatefulSet gives each a \
             disk, a shared volume serves many",
            component.replicas
        );
        problems.warning(&format!("/components/{index}/replicas"), "volume.writers", message);
    }
    storage
}

fn one(
    context: &Context<'_>,
    component: &ComponentModel,
    volume: &VolumeModel,
    path: &str,
    storage: &mut Storage,
    problems: &mut Problems,
) {
    let name = volume.name.as_str();
    let mut pod_volume = |source: &str, value: Json| storage.volumes.push(json!({ "name": name, source: value }));
    match volume.kind {
        VolumeKind::Memory => pod_volume("emptyDir", empty_dir(Some("Memory"), volume)),
        VolumeKind::Ephemeral => pod_volume("emptyDir", empty_dir(None, volume)),
        VolumeKind::Exclusive | VolumeKind::Shared if volume.claim.is_some() => {
            pod_volume("persistentVolumeClaim", json!({ "claimName": volume.claim }));
        }
        VolumeKind::Exclusive | VolumeKind::Shared => {
            let Some(spec) = claim_spec(context, component, volume, path, problems) else { return };
            if volume.kind == VolumeKind::Exclusive && component.kind == WorkloadKind::StatefulSet {
                let labels = labels::of_pods(context, component);
                storage.templates.push(json!({ "metadata": { "name": name, "labels": labels }, "spec": spec }));
                return;
            }
            let claim = format!("{}-{name}", component.name);
            pod_volume("persistentVolumeClaim", json!({ "claimName": claim }));
            storage.has_single_writer |= volume.kind == VolumeKind::Exclusive;
            storage.claims.push(json!({
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {
                    "name": claim,
                    "namespace": context.target.namespace,
                    "labels": labels::of_component(context, component),
                },
                "spec": spec,
            }));
        }
    }
}

fn claim_spec(
    context: &Context<'_>,
    component: &ComponentModel,
    volume: &VolumeModel,
    path: &str,
    problems: &mut Problems,
) -> Option<Json> {
    let Some(size) = &volume.size else {
        let message = format!("the volume {:?} needs a size", volume.name);
        problems.error(&format!("{path}/size"), "volume.size", message);
        return None;
    };
    let class = match context.classes.choose(volume, &context.config.storage_classes) {
        Ok(class) => class,
        Err(why) => {
            problems.unsupported(format!("volume {:?} of {:?}: {why}", volume.name, component.name));
            return None;
        }
    };
    let access = if volume.kind == VolumeKind::Shared { "ReadWriteMany" } else { "ReadWriteOnce" };
    let mut spec = Map::new();
    spec.insert("accessModes".to_owned(), json!([access]));
    spec.insert("resources".to_owned(), json!({ "requests": { "storage": size } }));
    if let Some(class) = class {
        spec.insert("storageClassName".to_owned(), Json::from(class));
    }
    Some(Json::Object(spec))
}

fn empty_dir(medium: Option<&str>, volume: &VolumeModel) -> Json {
    let mut source = Map::new();
    if let Some(medium) = medium {
        source.insert("medium".to_owned(), Json::from(medium));
    }
    if let Some(size) = &volume.size {
        source.insert("sizeLimit".to_owned(), Json::from(size.as_str()));
    }
    Json::Object(source)
}

fn mount(volume: &VolumeModel) -> Json {
    let mut mount = Map::new();
    mount.insert("name".to_owned(), Json::from(volume.name.as_str()));
    mount.insert("mountPath".to_owned(), Json::from(volume.mount_path.as_str()));
    if let Some(sub_path) = &volume.sub_path {
        mount.insert("subPath".to_owned(), Json::from(sub_path.as_str()));
    }
    if volume.read_only {
        mount.insert("readOnly".to_owned(), Json::Bool(true));
    }
    Json::Object(mount)
}
