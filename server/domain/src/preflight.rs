//! Preflight: whether a cluster can take what is to be installed, before anything in it is changed.
//!
//! Every reason against it is found at once. What a cluster did not say is never taken for a reason, nor for its absence
//! where that matters: a library that was not checked is a blocker.

use crate::{
    key::ComponentKey,
    manifest::{Provider, foreign_annotations, foreign_keys},
    model::{Component, ProbeAction, Resource, Volume, VolumeKind, WorkloadKind},
    plan::{AskedValue, Blocker},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

mod version;

pub use version::ClusterVersion;

/// What is known of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterFacts {
    /// What people call it.
    pub name: String,
    /// As the API server says it, such as `v1.33.2`.
    pub kubernetes_version: String,
    /// Of its nodes, such as `amd64`; empty: not known.
    pub architectures: BTreeSet<String>,
    /// The names of its storage classes; none: not known. Which of them serves a volume, its driver decides.
    pub storage_classes: Option<BTreeSet<String>>,
    /// `group/version/Kind`, `version/Kind` for the core group; empty: not known.
    pub api_resources: BTreeSet<String>,
    /// Memory of its nodes less what pods have set aside, in bytes; none: not known.
    pub free_memory: Option<u64>,
    /// What the quotas of the namespace leave, in bytes; none: no quota.
    pub quota_memory: Option<u64>,
    /// Whether it reaches the library.
    pub library: LibraryReach,
    /// What its driver can do.
    pub features: BTreeSet<String>,
    /// Whose cluster it is, where its driver is that of a provider.
    pub provider: Option<Provider>,
}

/// The record of the last check whether a cluster reaches the library.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LibraryReach {
    /// It was never checked.
    #[default]
    Unchecked,
    /// A pod in the cluster pulled from it.
    Reachable,
    /// It did not.
    Unreachable {
        /// Why not, for people.
        reason: String,
    },
}

/// What is to come to the cluster. Keys are those by which blockers name components.
#[derive(Debug)]
pub struct Wanted<'a, V> {
    /// The components that are new in the cluster.
    pub components: Vec<&'a Component<V>>,
    /// The components that are there already and get another image or other probes.
    pub changed: Vec<&'a Component<V>>,
    /// The components that are there already, each with those of its volumes only that are new.
    pub extended: Vec<Component<V>>,
    /// The Kubernetes resources that are new in the cluster.
    pub resources: Vec<&'a Resource<V>>,
    /// The names that the components get in the cluster.
    pub names: &'a BTreeMap<ComponentKey, String>,
    /// The architectures that each component's image is there for; none: not known.
    pub platforms: &'a BTreeMap<ComponentKey, BTreeSet<String>>,
    /// The slug of an application that is new.
    pub application_slug: Option<&'a str>,
    /// What the installer has not supplied yet.
    pub asks: &'a [AskedValue],
    /// Whether images come from the library.
    pub needs_library: bool,
}

/// What is in the way in the namespace.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The slugs of the team's other applications in the cluster.
    pub application_slugs: BTreeSet<String>,
    /// The names of the claims in the namespace.
    pub claims: BTreeSet<String>,
    /// The claims that may be used: those that the installation takes over, and those of components that are there.
    pub taken_over: BTreeSet<String>,
    /// The installations that claims were left by, where they are known, as the API names them.
    pub left_by: BTreeMap<String, String>,
    /// Kubernetes resources, as `apiVersion/Kind/name`, that are there and not ours.
    pub foreign_objects: BTreeSet<String>,
}

/// What preflight found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preflight {
    /// Every reason for which nothing is changed.
    pub blockers: Vec<Blocker>,
    /// What people should know.
    pub warnings: Vec<String>,
}

/// Whether a cluster can take what is to be installed.
pub fn preflight<V>(facts: &ClusterFacts, wanted: &Wanted<'_, V>, around: &Surroundings) -> Preflight {
    let mut found = Preflight::default();
    library(facts, wanted.needs_library, &mut found);
    for component in wanted.components.iter().chain(&wanted.changed) {
        architecture(facts, component, wanted.platforms.get(&component.key), &mut found);
        probes(facts, component, &mut found);
    }
    for component in wanted.components.iter().copied().chain(&wanted.extended) {
        volumes(facts, component, &mut found);
        claims(component, wanted.names.get(&component.key), around, &mut found);
    }
    for component in &wanted.components {
        for foreign in foreign_annotations(&component.attributes) {
            if facts.provider != Some(foreign.provider) {
                found.warnings.push(format!("{}: {foreign}", component.name));
            }
        }
    }
    for resource in &wanted.resources {
        served(facts, resource, &mut found);
        if resource.kind == "PersistentVolumeClaim" {
            claim_left(&resource.name, None, around, &mut found);
        }
        let name = format!("{}/{}/{}", resource.api_version, resource.kind, resource.name);
        if around.foreign_objects.contains(&name) {
            let message =
                format!("the {} {} is in the namespace already and is not ours", resource.kind, resource.name);
            found.block("NAME_IN_USE", None, message);
        }
        for foreign in foreign_keys(&resource.manifest) {
            if facts.provider != Some(foreign.provider) {
                found.warnings.push(format!("{} {}: {foreign}", resource.kind, resource.name));
            }
        }
    }
    memory(facts, &wanted.components, &mut found);
    if let Some(slug) = wanted.application_slug
        && around.application_slugs.contains(slug)
    {
        found.block("SLUG_IN_USE", None, format!("the team has an application {slug} in this cluster already"));
    }
    found.blockers.extend(wanted.asks.iter().map(AskedValue::blocker));
    found.blockers.sort();
    found.blockers.dedup();
    found.warnings.sort();
    found.warnings.dedup();
    found
}

/// The names of the claims that a component's own volumes get: `<component>-<volume>`, and for the disks of a
/// StatefulSet one for each replica, `<volume>-<component>-<ordinal>`.
pub fn claim_names<'a, V>(
    component: &'a Component<V>,
    cluster_name: &'a str,
    replicas: u32,
) -> impl Iterator<Item = String> + 'a {
    let own = component.volumes.iter().filter(|volume| volume.kind.is_persistent() && volume.shared_from.is_none());
    own.flat_map(move |volume| {
        let each = component.kind == WorkloadKind::StatefulSet && volume.kind == VolumeKind::Exclusive;
        let count = if each { replicas } else { 1 };
        (0..count).map(move |ordinal| {
            if each {
                format!("{}-{cluster_name}-{ordinal}", volume.name)
            } else {
                claim_name(cluster_name, &volume.name)
            }
        })
    })
}

/// The name of the claim of a volume that is no disk of a StatefulSet.
pub fn claim_name(cluster_name: &str, volume: &str) -> String {
    format!("{cluster_name}-{volume}")
}

impl Preflight {
    /// Whether nothing is in the way.
    pub fn is_clear(&self) -> bool {
        self.blockers.is_empty()
    }

    fn block(&mut self, code: &str, component: Option<ComponentKey>, message: String) {
        self.blockers.push(Blocker { code: code.to_owned(), message, component });
    }
}

fn library(facts: &ClusterFacts, needed: bool, found: &mut Preflight) {
    match &facts.library {
        _ if !needed => {}
        LibraryReach::Reachable => {}
        LibraryReach::Unchecked => {
            let message = format!("it was never checked whether {} reaches the library; check it first", facts.name);
            found.block("LIBRARY_UNCHECKED", None, message);
        }
        LibraryReach::Unreachable { reason } => {
            let message = format!("{} does not reach the library: {reason}", facts.name);
            found.block("LIBRARY_UNREACHABLE", None, message);
        }
    }
}

fn volumes<V>(facts: &ClusterFacts, component: &Component<V>, found: &mut Preflight) {
    let persistent = |volume: &&Volume| volume.kind.is_persistent() && volume.shared_from.is_none();
    for volume in component.volumes.iter().filter(persistent) {
        let what = format!("the volume {} of {}", volume.name, component.name);
        let (feature, writers) = match volume.kind {
            VolumeKind::Shared => ("storage.shared", "many writers"),
            _ => ("storage.exclusive", "one writer"),
        };
        if !facts.features.contains(feature) {
            let message = format!("{what} needs storage with {writers}, which the driver of {} lacks", facts.name);
            found.block("FEATURE_MISSING", Some(component.key), message);
        }
        let Some(classes) = &facts.storage_classes else { continue };
        if volume.storage_class.as_ref().map_or(classes.is_empty(), |name| !classes.contains(name)) {
            let class = volume.storage_class.as_ref().map_or(String::new(), |name| format!(" {name}"));
            let message = format!("{what} needs a storage class{class}, and {} has none", facts.name);
            found.block("STORAGE_CLASS_MISSING", Some(component.key), message);
        }
    }
}

fn architecture<V>(
    facts: &ClusterFacts,
    component: &Component<V>,
    platforms: Option<&BTreeSet<String>>,
    found: &mut Preflight,
) {
    let Some(platforms) = platforms.filter(|platforms| !platforms.is_empty()) else { return };
    if facts.architectures.is_empty() {
        return;
    }
    let selected = component.attributes.get("nodeSelector").and_then(|selector| selector.get("kubernetes.io/arch"));
    let selected = selected.and_then(serde_json::Value::as_str);
    let nodes: BTreeSet<&str> = facts
        .architectures
        .iter()
        .map(String::as_str)
        .filter(|architecture| selected.is_none_or(|selected| selected == *architecture))
        .collect();
    let list = |names: &BTreeSet<&str>| names.iter().copied().collect::<Vec<_>>().join(", ");
    let images: BTreeSet<&str> = platforms.iter().map(String::as_str).collect();
    if nodes.is_disjoint(&images) {
        let of = if nodes.is_empty() { "none that it selects".to_owned() } else { list(&nodes) };
        let images = list(&images);
        let message = format!("the image of {} is there for {images}; nodes of {}: {of}", component.name, facts.name);
        found.block("ARCHITECTURE", Some(component.key), message);
    } else if !nodes.is_subset(&images) {
        let missing = nodes.difference(&images).copied().collect();
        let message = format!("the image of {} is not there for the nodes of {}", component.name, list(&missing));
        found.warnings.push(format!("{message}; where its pods may be put on them, select nodes"));
    }
}

fn probes<V>(facts: &ClusterFacts, component: &Component<V>, found: &mut Preflight) {
    const GRPC: ClusterVersion = ClusterVersion { major: 1, minor: 24 };
    let needs_grpc = component.probes.iter().any(|probe| matches!(probe.action, ProbeAction::Grpc { .. }));
    let version = facts.kubernetes_version.parse::<ClusterVersion>();
    if needs_grpc && version.is_ok_and(|version| version < GRPC) {
        let message = format!(
            "the gRPC probe of {} needs Kubernetes {GRPC}; {} has {}",
            component.name, facts.name, facts.kubernetes_version
        );
        found.block("KUBERNETES_VERSION", Some(component.key), message);
    }
}

fn claims<V>(component: &Component<V>, name: Option<&String>, around: &Surroundings, found: &mut Preflight) {
    let Some(name) = name else { return };
    // Claims of replicas that are not started at first would be taken as well once they are.
    for claim in claim_names(component, name, component.scale.rule.max_replicas.min(1000)) {
        claim_left(&claim, Some(component.key), around, found);
    }
}

fn claim_left(claim: &str, component: Option<ComponentKey>, around: &Surroundings, found: &mut Preflight) {
    if !around.claims.contains(claim) || around.taken_over.contains(claim) {
        return;
    }
    let what = match around.left_by.get(claim) {
        Some(id) => format!(
            "of the earlier installation {id} is still there: install its template with it as reuseVolumesOf, which \
             takes its volumes over with their secrets, or delete the claim"
        ),
        None => "is there already and may hold what somebody needs: choose another name, or delete it".to_owned(),
    };
    found.block("CLAIMS_LEFT", component, format!("the claim {claim} {what}"));
}

fn served<V>(facts: &ClusterFacts, resource: &Resource<V>, found: &mut Preflight) {
    if facts.api_resources.is_empty() {
        return;
    }
    let wanted = format!("{}/{}", resource.api_version, resource.kind);
    if facts.api_resources.contains(&wanted) {
        return;
    }
    let group = resource.api_version.split_once('/').map_or("", |(group, _)| group);
    let others: Vec<&str> = facts
        .api_resources
        .iter()
        .filter_map(|served| served.rsplit_once('/'))
        .filter(|(version, kind)| {
            *kind == resource.kind && version.split_once('/').map_or("", |(group, _)| group) == group
        })
        .map(|(version, _)| version)
        .collect();
    if others.is_empty() {
        let message = format!("{} does not serve {} {}", facts.name, resource.api_version, resource.kind);
        found.block("KIND_NOT_SERVED", None, format!("{message}, which {} is", resource.name));
    } else {
        let message = format!(
            "{} {} is {} {}; {} has Kubernetes {} and serves {}",
            resource.kind,
            resource.name,
            resource.api_version,
            resource.kind,
            facts.name,
            facts.kubernetes_version,
            others.join(", ")
        );
        found.block("KUBERNETES_VERSION", None, message);
    }
}

/// What the components need: the least memory of a replica, times the least number of replicas.
fn memory<V>(facts: &ClusterFacts, components: &[&Component<V>], found: &mut Preflight) {
    let needed: u128 = components
        .iter()
        .map(|component| {
            let rule = &component.scale.rule;
            let one = rule.min_memory.as_ref().or(component.resources.memory_request.as_ref());
            one.map_or(0, |one| one.milli().div_ceil(1000)).saturating_mul(u128::from(rule.min_replicas))
        })
        .fold(0, u128::saturating_add);
    let limits = [
        ("MEMORY", facts.free_memory, "the cluster has", "free"),
        ("QUOTA", facts.quota_memory, "the quota of the namespace leaves", ""),
    ];
    for (code, limit, has, end) in limits {
        if let Some(limit) = limit
            && needed > u128::from(limit)
        {
            let message = format!("{} MiB of memory are needed and {has} {} MiB {end}", mebibytes(needed), limit >> 20);
            found.block(code, None, message.trim_end().to_owned());
        }
    }
}

fn mebibytes(bytes: u128) -> u128 {
    bytes.div_ceil(1 << 20)
}

#[cfg(test)]
mod tests;
