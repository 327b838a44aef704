//! What an installation creates.

use crate::{
    change::{Change, ChangeId, Owner},
    installed::{Installed, InstalledComponent, InstalledResource, VersionRef},
    key::{ComponentKey, ResourceKey, SecretId},
    merge::{Held, Leaf, Merge, Mode, Rule, resource_name, resource_summary, summary},
    model::{Component, ConfigFile, Resource, Scale, Slug, Value, Variable, Volume},
    plan::{AskedValue, Blocker},
    secrets::{NewSecret, Source, SuppliedValues},
    version::{PublishedValue, VersionContent},
};
use std::collections::BTreeSet;

/// Where new identities and names come from. All are the caller's, since this crate draws nothing at random.
pub struct Fresh<'a> {
    /// The own key and the name in the cluster of a new component, given its slug. Names must differ.
    pub component: &'a mut dyn FnMut(&Slug) -> (ComponentKey, String),
    /// The own key of a new resource.
    pub resource: &'a mut dyn FnMut() -> ResourceKey,
    /// The id of a new secret.
    pub secret: &'a mut dyn FnMut() -> SecretId,
}

/// What an installation comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallOutcome {
    /// The desired state. Values that are still asked for are missing in it.
    pub after: Installed,
    /// One line for each component and resource.
    pub changes: Vec<Change>,
    /// What is generated when the plan is committed.
    pub new_secrets: Vec<NewSecret>,
    /// What has to be supplied before.
    pub asks: Vec<AskedValue>,
    /// One for each value that is asked for, and each dependency on what the version does not have.
    pub blockers: Vec<Blocker>,
    /// What does not stop it.
    pub warnings: Vec<String>,
}

/// Installs a whole version; every component starts with the minimum of its replicas.
///
/// `earlier` is what an installation ended with whose volumes are taken over: claims go by names, and what is in them
/// by passwords, so identities, names, volumes and secrets stay what they were. Nothing else of it counts.
pub fn install(
    content: &VersionContent,
    version: &VersionRef,
    supplied: &SuppliedValues,
    earlier: &Installed,
    fresh: &mut Fresh<'_>,
) -> InstallOutcome {
    let accept: BTreeSet<ChangeId> = BTreeSet::new();
    let source = Source::new(&mut *fresh.secret, supplied, &earlier.secret_groups).after(earlier);
    let mut merge = Merge::new(Mode::Upgrade, &accept, source);
    let mut after = Installed::default();
    let mut identities = Vec::new();
    for component in &content.components {
        let (own_key, cluster_name) = match earlier.components.get(&component.key) {
            Some(before) => (before.own_key, before.cluster_name.clone()),
            None => (fresh.component)(&component.slug),
        };
        merge.members.insert(component.key, component.name.clone());
        merge.names.insert(component.key, cluster_name.clone());
        identities.push((own_key, cluster_name));
    }
    for (component, identity) in content.components.iter().zip(identities) {
        merge.enter(Owner::Component(component.key), &component.name);
        merge.decide("component", &Rule::TAKE, None, Some(&summary(component)), None);
        let mut spec = new_component(&mut merge, component);
        if let Some(before) = earlier.components.get(&component.key) {
            spec.volumes = merge.volumes_after(&before.spec.volumes, &spec.volumes);
        }
        after.components.insert(component.key, placed(spec, identity, version));
    }
    for resource in &content.resources {
        merge.enter(Owner::Resource(resource.key), &resource_name(resource));
        merge.decide("resource", &Rule::TAKE, None, Some(&resource_summary(resource)), None);
        let spec = new_resource(&mut merge, resource);
        let before = earlier.resources.get(&resource.key);
        let own_key = before.map_or_else(|| (fresh.resource)(), |before| before.own_key);
        let version = Some(version.clone());
        after
            .resources
            .insert(resource.key, InstalledResource { own_key, spec, version, no_longer_in_template: false });
    }
    let blockers = blockers(&merge, &after);
    let mut warnings = unused(&merge.source);
    let replaced = merge.source.replaced.iter();
    warnings.extend(
        replaced
            .map(|place| format!("the value supplied for {place} takes the place of the one that its volumes know")),
    );
    after.secret_groups = merge.source.groups;
    InstallOutcome {
        after,
        changes: merge.changes,
        new_secrets: merge.source.new,
        asks: merge.source.asks,
        blockers,
        warnings,
    }
}

/// A component under its identity here.
pub(crate) fn placed(
    spec: Component<Value>,
    (own_key, cluster_name): (ComponentKey, String),
    version: &VersionRef,
) -> InstalledComponent {
    InstalledComponent { own_key, cluster_name, spec, version: Some(version.clone()), no_longer_in_template: false }
}

/// What stands in the way of a state: values that are asked for, and texts that name hosts which are not here.
pub(crate) fn blockers(merge: &Merge<'_>, after: &Installed) -> Vec<Blocker> {
    let mut blockers: Vec<Blocker> = merge.source.asks.iter().map(AskedValue::blocker).collect();
    for (key, component) in &after.components {
        for host in component.spec.hosts() {
            // What was composed here may name what is elsewhere; what came from a version names its siblings.
            if component.version.is_some() && !after.components.contains_key(&host) {
                blockers.push(Blocker {
                    code: "HOST_MISSING".to_owned(),
                    message: format!(
                        "{} names the host of the component {host}, which is not here",
                        component.spec.name
                    ),
                    component: Some(*key),
                });
            }
        }
    }
    blockers
}

/// A warning for each supplied value that nothing asked for.
pub(crate) fn unused(source: &Source<'_>) -> Vec<String> {
    source.unused().map(|(_, name)| format!("nothing asks for the supplied value {name}")).collect()
}

/// A component of a version, as it is here at first.
pub(crate) fn new_component(merge: &mut Merge<'_>, wanted: &Component<PublishedValue>) -> Component<Value> {
    let mut dependencies = wanted.dependencies.clone();
    dependencies.retain(|key| {
        let here = merge.members.contains_key(key);
        if !here {
            let leaf = Leaf::new(key, merge.name_of(*key));
            let rule = Rule::never("that component is not here");
            merge.decide(&format!("dependencies/{key}"), &rule, None, Some(&leaf), None);
        }
        here
    });
    Component {
        key: wanted.key,
        name: wanted.name.clone(),
        slug: wanted.slug.clone(),
        kind: wanted.kind,
        image: wanted.image.clone(),
        command: wanted.command.clone(),
        arguments: wanted.arguments.clone(),
        environment: new_variables(merge, "environment", &wanted.environment),
        connection_info: new_variables(merge, "connectionInfo", &wanted.connection_info),
        ports: wanted.ports.clone(),
        volumes: wanted.volumes.iter().map(|volume| Volume { storage_class: None, ..volume.clone() }).collect(),
        config_files: new_files(merge, &wanted.config_files),
        probes: wanted.probes.clone(),
        resources: wanted.resources.clone(),
        scale: Scale { replicas: wanted.scale.rule.min_replicas, rule: wanted.scale.rule.clone() },
        dependencies,
        attributes: wanted.attributes.clone(),
    }
}

/// A resource of a version, as it is here at first.
pub(crate) fn new_resource(merge: &mut Merge<'_>, wanted: &Resource<PublishedValue>) -> Resource<Value> {
    Resource {
        key: wanted.key,
        api_version: wanted.api_version.clone(),
        kind: wanted.kind.clone(),
        name: wanted.name.clone(),
        manifest: wanted.manifest.clone(),
        secret_data: new_variables(merge, "secretData", &wanted.secret_data),
    }
}

fn new_variables<V: Held>(merge: &mut Merge<'_>, prefix: &str, wanted: &[Variable<V>]) -> Vec<Variable<Value>> {
    let one = |variable: &Variable<V>| {
        let path = format!("{prefix}/{}", variable.name);
        let description = variable.description.clone();
        let value = merge.obtain(&path, description.as_deref(), &variable.value)?;
        Some(Variable { name: variable.name.clone(), value, description, decision: None })
    };
    wanted.iter().filter_map(one).collect()
}

fn new_files<V: Held>(merge: &mut Merge<'_>, wanted: &[ConfigFile<V>]) -> Vec<ConfigFile<Value>> {
    let one = |file: &ConfigFile<V>| {
        let content = merge.obtain(&format!("configFiles/{}", file.path), None, &file.content)?;
        Some(ConfigFile { path: file.path.clone(), content, mode: file.mode, decision: None })
    };
    wanted.iter().filter_map(one).collect()
}
