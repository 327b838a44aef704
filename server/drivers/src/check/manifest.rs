//! Rendered objects.

use super::{image::Images, is_dns_name, json, placeholder::Placeholders, shortened, text};
use crate::{
    contract::bindings::ropeway::driver::types as wire,
    error::InvalidOutput,
    types::{ApplyMode, Manifest, Owner},
};
use ropeway_domain::rendering::ApplicationModel;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// Objects of one rendering.
const MAX_OBJECTS: usize = 5000;
/// Bytes of an object.
const MAX_OBJECT: usize = 256 << 10;
/// Bytes of a ConfigMap or a Secret, whose data may be 1 MiB; the rest is for what is around it and for escapes.
const MAX_DATA_OBJECT: usize = (1 << 20) + (256 << 10);
/// Bytes of all objects.
const MAX_TOTAL: usize = 16 << 20;
/// The order among the objects of one component.
const MAX_WAVE: u32 = 100;

/// Kinds of the groups of Kubernetes itself that belong to a cluster as a whole.
const CLUSTER_KINDS: &[(&str, &[&str])] = &[
    ("", &["ComponentStatus", "Namespace", "Node", "PersistentVolume"]),
    ("admissionregistration.k8s.io", &[]),
    ("apiextensions.k8s.io", &[]),
    ("apiregistration.k8s.io", &[]),
    ("certificates.k8s.io", &["CertificateSigningRequest", "ClusterTrustBundle"]),
    ("flowcontrol.apiserver.k8s.io", &[]),
    ("networking.k8s.io", &["IPAddress", "IngressClass", "ServiceCIDR"]),
    ("node.k8s.io", &[]),
    ("rbac.authorization.k8s.io", &["ClusterRole", "ClusterRoleBinding"]),
    ("resource.k8s.io", &["DeviceClass", "DeviceTaintRule", "ResourceSlice"]),
    ("scheduling.k8s.io", &["PriorityClass"]),
    ("storage.k8s.io", &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"]),
    ("storagemigration.k8s.io", &[]),
];

/// Objects of this group grant rights: they come from an application and never from a driver.
const RIGHTS: &str = "rbac.authorization.k8s.io";

/// What a rendering is held against.
pub(crate) struct Expected<'a> {
    application: String,
    namespace: &'a str,
    revision: &'a str,
    owners: BTreeMap<String, (Owner, Option<String>)>,
    /// Group, kind and name of the resources of the application.
    resources: BTreeSet<Identity>,
    images: Images,
    placeholders: Placeholders,
}

type Identity = (String, String, String);

impl<'a> Expected<'a> {
    /// What may come of an application.
    pub(crate) fn new(model: &ApplicationModel, namespace: &'a str, revision: &'a str) -> Self {
        let components = model.components.iter().map(|component| {
            let installation = component.installation.map(|id| id.to_string());
            (component.key.to_string(), (Owner::Component(component.key), installation))
        });
        let resources = model.resources.iter().map(|resource| {
            let installation = resource.installation.map(|id| id.to_string());
            (resource.key.to_string(), (Owner::Resource(resource.key), installation))
        });
        Self {
            application: model.application.id.to_string(),
            namespace,
            revision,
            owners: components.chain(resources).collect(),
            resources: model.resources.iter().map(|it| identity(&Json::Object(it.manifest.clone()))).collect(),
            images: Images::of(model),
            placeholders: Placeholders::of(model),
        }
    }
}

/// Checks all that a rendering returned.
pub(crate) fn manifests(expected: &Expected<'_>, found: Vec<wire::Manifest>) -> Result<Vec<Manifest>, InvalidOutput> {
    if found.len() > MAX_OBJECTS {
        let problem = format!("{} objects; at most {MAX_OBJECTS} are taken", found.len());
        return Err(InvalidOutput::new("/manifests", problem));
    }
    let total: usize = found.iter().map(|manifest| manifest.object.len()).sum();
    if total > MAX_TOTAL {
        let problem = format!("{total} bytes of objects; at most {MAX_TOTAL} are taken");
        return Err(InvalidOutput::new("/manifests", problem));
    }
    let mut seen = BTreeSet::new();
    let mut manifests = Vec::with_capacity(found.len());
    for (index, found) in found.into_iter().enumerate() {
        let path = format!("/manifests/{index}");
        let manifest = manifest(expected, &path, &found)?;
        if !seen.insert(identity(&manifest.object)) {
            let (_, kind, name) = identity(&manifest.object);
            return Err(InvalidOutput::new(path, format!("a second {kind} named {name:?}")));
        }
        manifests.push(manifest);
    }
    Ok(manifests)
}

fn manifest(expected: &Expected<'_>, path: &str, found: &wire::Manifest) -> Result<Manifest, InvalidOutput> {
    if found.wave > MAX_WAVE {
        return Err(InvalidOutput::new(format!("{path}/wave"), format!("waves are 0 to {MAX_WAVE}")));
    }
    let (owner, installation) = match &found.component {
        None => (Owner::Application, None),
        Some(key) => expected.owners.get(key).cloned().ok_or_else(|| {
            let problem = format!("the application has no part with the key {:?}", shortened(key));
            InvalidOutput::new(format!("{path}/component"), problem)
        })?,
    };
    let path = format!("{path}/object");
    let object = json(&path, &found.object, MAX_DATA_OBJECT)?;
    let identity = identity(&object);
    check_identity(expected, &path, &object, &identity)?;
    let (group, kind, _) = &identity;
    let carries_data = group.is_empty() && (kind == "ConfigMap" || kind == "Secret");
    if found.object.len() > MAX_OBJECT && !carries_data {
        let problem = format!("{} bytes; a {kind} has at most {MAX_OBJECT}", found.object.len());
        return Err(InvalidOutput::new(path, problem));
    }
    expected.placeholders.check(&path, &object, group.is_empty() && kind == "Secret")?;
    expected.images.check(&path, &object)?;

    let labels = [
        ("app.kubernetes.io/managed-by", Some("ropeway")),
        ("ropeway.dev/application", Some(expected.application.as_str())),
        ("ropeway.dev/component", found.component.as_deref()),
        ("ropeway.dev/installation", installation.as_deref()),
        ("ropeway.dev/revision", Some(expected.revision)),
    ];
    let own = object.pointer("/metadata/labels");
    for (label, wanted) in labels {
        let found = own.and_then(|own| own.get(label)).and_then(Json::as_str);
        if found != wanted {
            let problem = match wanted {
                Some(wanted) => format!("the label {label} must be {wanted:?}, not {:?}", found.map(shortened)),
                None => format!("the label {label} must not be there"),
            };
            return Err(InvalidOutput::new(format!("{path}/metadata/labels"), problem));
        }
    }
    let mode = match found.mode {
        wire::ApplyMode::ServerSideApply => ApplyMode::ServerSideApply,
        wire::ApplyMode::CreateOnly => ApplyMode::CreateOnly,
        wire::ApplyMode::RecreateOnImmutable => ApplyMode::RecreateOnImmutable,
    };
    Ok(Manifest { wave: found.wave, mode, owner, object })
}

fn check_identity(
    expected: &Expected<'_>,
    path: &str,
    object: &Json,
    identity: &Identity,
) -> Result<(), InvalidOutput> {
    let (group, kind, name) = identity;
    let problem = |pointer: &str, problem: String| Err(InvalidOutput::new(format!("{path}{pointer}"), problem));
    if text(object, "/apiVersion").is_empty() {
        return problem("/apiVersion", "every object has one".to_owned());
    }
    if kind.is_empty() || !kind.bytes().all(|b| b.is_ascii_alphanumeric()) || kind.len() > 63 {
        return problem("/kind", format!("{:?} is no kind", shortened(kind)));
    }
    if kind.ends_with("List") && object.get("items").is_some() {
        return problem("/kind", "a list is not one object".to_owned());
    }
    let is_cluster_wide =
        |(of, kinds): &(&str, &[&str])| of == group && (kinds.is_empty() || kinds.contains(&kind.as_str()));
    if CLUSTER_KINDS.iter().any(is_cluster_wide) {
        return problem("/kind", format!("a {kind} belongs to the cluster as a whole"));
    }
    let is_named_well = if group == RIGHTS { is_dns_name(&name.replace(':', ".")) } else { is_dns_name(name) };
    if !is_named_well {
        return problem("/metadata/name", format!("{:?} is no DNS name", shortened(name)));
    }
    if group == RIGHTS && !expected.resources.contains(identity) {
        return problem(
            "/kind",
            format!("the application has no {kind} named {name:?}, and a driver grants no rights"),
        );
    }
    let namespace = text(object, "/metadata/namespace");
    if namespace != expected.namespace {
        let message = format!("the namespace must be {:?}, not {:?}", expected.namespace, shortened(namespace));
        return problem("/metadata/namespace", message);
    }
    Ok(())
}

fn identity(object: &Json) -> Identity {
    let group = text(object, "/apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
    (group.to_owned(), text(object, "/kind").to_owned(), text(object, "/metadata/name").to_owned())
}
