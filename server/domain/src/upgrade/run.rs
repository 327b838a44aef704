//! The course of an upgrade: who goes where, then property by property.

use super::{UpgradeError, UpgradeInput, UpgradeOutcome};
use crate::{
    change::Owner,
    install::{Fresh, blockers, new_component, new_resource, placed, unused},
    installed::{Installed, InstalledComponent, InstalledResource, VersionRef},
    key::{ComponentKey, ResourceKey},
    merge::{
        Class, Leaf, Merge, Mode, Rule, merge_component, merge_resource, resource_name, resource_summary, summary,
    },
    model::{Component, Resource},
    secrets::Source,
    version::{PublishedValue, VersionContent},
};
use std::collections::BTreeSet;

const REMOVED_HERE: &str = "was deleted here";
const KEEPS_RUNNING: &str = "it keeps running until a person deletes it";

/// Runs an upgrade; where nothing `moves`, everything stays at the version that it is at, and only what was kept
/// earlier is looked at.
pub(crate) fn run(
    input: &UpgradeInput<'_>,
    moves: bool,
    fresh: &mut Fresh<'_>,
) -> Result<UpgradeOutcome, UpgradeError> {
    let installed = input.installed;
    let course = Course::plot(input, moves)?;
    let source = Source::new(&mut *fresh.secret, input.supplied, &installed.secret_groups);
    let mut merge = Merge::new(Mode::Upgrade, input.accept, source);
    merge.pending = input.kept.iter().map(|change| (course.owner_now(change.owner), change.path.clone())).collect();
    merge.members = installed.components.iter().map(|(key, one)| (*key, one.spec.name.clone())).collect();
    merge.names = installed.names();

    let created = create(&mut merge, &course, fresh.component);
    course.check_dependencies(&merge, &created)?;

    let mut after = Installed::default();
    let mut left = BTreeSet::new();
    for (key, here) in &installed.components {
        let (one, in_template) = course.component(&mut merge, key, here)?;
        if !in_template {
            left.insert(*key);
        }
        after.components.insert(*key, one);
    }
    for (wanted, identity) in created {
        merge.enter(Owner::Component(wanted.key), &wanted.name);
        let spec = new_component(&mut merge, wanted);
        after.components.insert(wanted.key, placed(spec, identity, input.target_ref));
    }
    for (key, here) in &installed.resources {
        let key = course.key_now(*key, here);
        if let Some(one) = course.resource(&mut merge, key, here)? {
            after.resources.insert(key, one);
        }
    }
    create_resources(&mut merge, &course, fresh.resource, &mut after);

    merge.check_accepted()?;
    let (apply, apply_resources) = touched(&merge, installed, &after);
    let blockers = blockers(&merge, &after);
    let warnings = unused(&merge.source);
    after.secret_groups = merge.source.groups;
    Ok(UpgradeOutcome {
        after,
        changes: merge.changes,
        new_secrets: merge.source.new,
        asks: merge.source.asks,
        blockers,
        warnings,
        apply,
        apply_resources,
        left,
        is_complete: course.is_complete,
    })
}

/// Who goes where.
struct Course<'a> {
    input: &'a UpgradeInput<'a>,
    moves: bool,
    /// The version that the installation as a whole is at: what it has and is not here was deleted here.
    current: &'a VersionContent,
    is_complete: bool,
}

type Placement<'c> = (&'c Component<PublishedValue>, (ComponentKey, String));

impl<'a> Course<'a> {
    fn plot(input: &'a UpgradeInput<'a>, moves: bool) -> Result<Self, UpgradeError> {
        let known = |key: &&ComponentKey| {
            input.installed.components.contains_key(*key) || component_of(input.target, **key).is_some()
        };
        let keys: Vec<_> = input.selection.into_iter().flatten().filter(|key| !known(key)).copied().collect();
        if !keys.is_empty() {
            return Err(UpgradeError::UnknownSelection { keys });
        }
        let current = content(input, "the installation", input.installation)?;
        let mut course = Self { input, moves, current, is_complete: false };
        course.is_complete = moves
            && input.target.components.iter().all(|wanted| {
                let here = input.installed.components.get(&wanted.key);
                let at_target = here.is_some_and(|here| here.version.as_ref() == Some(input.target_ref));
                at_target || course.goes(wanted.key) || here.is_none() && course.was_deleted(wanted.key)
            });
        Ok(course)
    }

    fn goes(&self, key: ComponentKey) -> bool {
        self.moves && self.input.selection.is_none_or(|chosen| chosen.contains(&key))
    }

    fn was_deleted(&self, key: ComponentKey) -> bool {
        component_of(self.current, key).is_some() && !self.input.installed.components.contains_key(&key)
    }

    /// What the version that new components would come from has.
    fn target(&self) -> &'a VersionContent {
        if self.moves { self.input.target } else { self.current }
    }

    /// A chosen component may name, or depend on, a new one only if that is chosen too.
    fn check_dependencies(&self, merge: &Merge<'_>, created: &[Placement<'_>]) -> Result<(), UpgradeError> {
        let going = self.target().components.iter().filter(|wanted| {
            let here = self.input.installed.components.contains_key(&wanted.key) && self.goes(wanted.key);
            here || created.iter().any(|(other, _)| other.key == wanted.key)
        });
        let mut missing = Vec::new();
        for wanted in going {
            for needed in &wanted.dependencies {
                if !merge.members.contains_key(needed) && !self.was_deleted(*needed) {
                    let name = component_of(self.target(), *needed).map(|needed| needed.name.clone());
                    missing.push((wanted.name.clone(), name.unwrap_or_else(|| needed.to_string())));
                }
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(UpgradeError::UnselectedDependency { missing }) }
    }

    /// What becomes of a component that is here, and whether the version that it goes to, or stays at, has it.
    fn component(
        &self,
        merge: &mut Merge<'_>,
        key: &ComponentKey,
        here: &InstalledComponent,
    ) -> Result<(InstalledComponent, bool), UpgradeError> {
        let mut one = here.clone();
        let own = match &here.version {
            Some(version) => component_of(content(self.input, &here.spec.name, version)?, *key),
            None => None,
        };
        let wanted = if self.moves { component_of(self.input.target, *key) } else { own };
        let is_left = if self.moves { wanted.is_none() } else { here.no_longer_in_template };
        merge.enter(Owner::Component(*key), &here.spec.name);
        if is_left {
            if here.version.is_some() {
                let rule = Rule::never(KEEPS_RUNNING);
                let base = own.map_or_else(|| summary(&here.spec), summary);
                merge.decide("component", &rule, Some(&base), None, Some(&summary(&here.spec)));
                one.no_longer_in_template |= self.is_complete;
            }
            return Ok((one, here.version.is_none()));
        }
        match wanted {
            Some(wanted) if self.goes(*key) => {
                one.spec = merge_component(merge, own, wanted, &here.spec);
                one.version = Some(self.input.target_ref.clone());
                one.no_longer_in_template = false;
            }
            _ => {
                // Only what was kept earlier can differ from the version that it stays at.
                if let Some(own) = own {
                    one.spec = merge_component(merge, Some(own), own, &here.spec);
                }
            }
        }
        Ok((one, true))
    }

    /// The key under which the version has a resource that is here: another one where it was removed from the template
    /// and the same object was made again.
    fn key_now(&self, key: ResourceKey, here: &InstalledResource) -> ResourceKey {
        let target = self.input.target;
        if !self.is_complete || here.version.is_none() || resource_of(target, key).is_some() {
            return key;
        }
        let is_new = |wanted: &&Resource<PublishedValue>| !self.input.installed.resources.contains_key(&wanted.key);
        target.resources.iter().filter(is_new).find(|wanted| same_object(wanted, here)).map_or(key, |wanted| wanted.key)
    }

    fn owner_now(&self, owner: Owner) -> Owner {
        match owner {
            Owner::Resource(key) => {
                let here = self.input.installed.resources.get(&key);
                Owner::Resource(here.map_or(key, |here| self.key_now(key, here)))
            }
            Owner::Component(_) => owner,
        }
    }

    /// What becomes of a resource that is here; none where its deletion was accepted. Resources go along with the
    /// upgrade that brings the last component to the version.
    fn resource(
        &self,
        merge: &mut Merge<'_>,
        key: ResourceKey,
        here: &InstalledResource,
    ) -> Result<Option<InstalledResource>, UpgradeError> {
        let mut one = here.clone();
        one.spec.key = key;
        let name = resource_name(&here.spec);
        let Some(version) = &here.version else { return Ok(Some(one)) };
        let base = content(self.input, &name, version)?;
        let own = resource_of(base, key).or_else(|| base.resources.iter().find(|other| same_object(other, here)));
        let wanted = if self.is_complete { resource_of(self.input.target, key) } else { own };
        merge.enter(Owner::Resource(key), &name);
        if wanted.is_none() || !self.is_complete && here.no_longer_in_template {
            let live = resource_summary(&here.spec);
            let base = own.map_or_else(|| live.clone(), resource_summary);
            one.no_longer_in_template |= self.is_complete;
            let removed = merge.decide("resource", &Rule::OFFER, Some(&base), None, Some(&live));
            return Ok((!removed).then_some(one));
        }
        if let Some(wanted) = wanted {
            one.spec = merge_resource(merge, own, wanted, &one.spec);
            if self.is_complete {
                one.version = Some(self.input.target_ref.clone());
                one.no_longer_in_template = false;
            }
        }
        Ok(Some(one))
    }
}

/// The components that are new, or were deleted here and are wanted back, with the identities that they get.
fn create<'a>(
    merge: &mut Merge<'_>,
    course: &Course<'a>,
    identity: &mut dyn FnMut(&crate::model::Slug) -> (ComponentKey, String),
) -> Vec<Placement<'a>> {
    let mut created = Vec::new();
    for wanted in &course.target().components {
        let here = course.input.installed.components.contains_key(&wanted.key);
        if here || course.moves && !course.goes(wanted.key) {
            continue;
        }
        merge.enter(Owner::Component(wanted.key), &wanted.name);
        if appears(merge, "component", &summary(wanted), course.was_deleted(wanted.key)) {
            let identity = identity(&wanted.slug);
            merge.members.insert(wanted.key, wanted.name.clone());
            merge.names.insert(wanted.key, identity.1.clone());
            created.push((wanted, identity));
        }
    }
    created
}

fn create_resources(
    merge: &mut Merge<'_>,
    course: &Course<'_>,
    own_key: &mut dyn FnMut() -> ResourceKey,
    after: &mut Installed,
) {
    if course.moves && !course.is_complete {
        return;
    }
    for wanted in &course.target().resources {
        if after.resources.contains_key(&wanted.key) {
            continue;
        }
        let was_deleted = resource_of(course.current, wanted.key).is_some();
        merge.enter(Owner::Resource(wanted.key), &resource_name(wanted));
        if appears(merge, "resource", &resource_summary(wanted), was_deleted) {
            let spec = new_resource(merge, wanted);
            let version = Some(course.input.target_ref.clone());
            let own_key = own_key();
            after
                .resources
                .insert(wanted.key, InstalledResource { own_key, spec, version, no_longer_in_template: false });
        }
    }
}

/// Whether something whole is created: what is new is, what was deleted here is offered.
fn appears(merge: &mut Merge<'_>, path: &str, wanted: &Leaf, was_deleted: bool) -> bool {
    let (class, reason) = if was_deleted { (Class::Offer, REMOVED_HERE) } else { (Class::Take, "new in this version") };
    merge.record(path, class, reason, Some(wanted), None)
}

/// What has to be applied: what has an applied change, and what gets other environment from elsewhere.
fn touched(
    merge: &Merge<'_>,
    before: &Installed,
    after: &Installed,
) -> (BTreeSet<ComponentKey>, BTreeSet<ResourceKey>) {
    let mut components = BTreeSet::new();
    let mut resources = BTreeSet::new();
    for owner in merge.touched() {
        match owner {
            Owner::Component(key) => _ = components.insert(key),
            Owner::Resource(key) => _ = resources.insert(key),
        }
    }
    components.extend(dependents(before, after));
    (components, resources)
}

/// The components that get other connection info than before, or name a resource that has another content.
pub(crate) fn dependents(before: &Installed, after: &Installed) -> BTreeSet<ComponentKey> {
    let offered = |installed: &Installed, key: &ComponentKey| {
        installed.components.get(key).map(|component| component.spec.connection_info.clone())
    };
    let changed = |key: &ComponentKey| offered(before, key) != offered(after, key);
    let is_other = |(kind, name): &(&'static str, String)| {
        let of = |installed: &'_ Installed| installed.configuration(kind, name).cloned();
        let (before, after) = (of(before), of(after));
        after.as_ref().is_some_and(|after| before.as_ref().map(Resource::content) != Some(after.content()))
    };
    let gets_other = |one: &InstalledComponent| {
        one.spec.dependencies.iter().any(changed) || one.spec.named_configuration().iter().any(is_other)
    };
    after.components.iter().filter(|(_, one)| gets_other(one)).map(|(key, _)| *key).collect()
}

fn content<'a>(
    input: &UpgradeInput<'a>,
    owner: &str,
    version: &VersionRef,
) -> Result<&'a VersionContent, UpgradeError> {
    let missing = || UpgradeError::NoContent { owner: owner.to_owned(), version: version.clone() };
    input.contents.get(&version.id).copied().ok_or_else(missing)
}

fn component_of(content: &VersionContent, key: ComponentKey) -> Option<&Component<PublishedValue>> {
    content.components.iter().find(|component| component.key == key)
}

fn same_object(resource: &Resource<PublishedValue>, here: &InstalledResource) -> bool {
    resource.is_object(&here.spec.api_version, &here.spec.kind, &here.spec.name)
}

fn resource_of(content: &VersionContent, key: ResourceKey) -> Option<&Resource<PublishedValue>> {
    content.resources.iter().find(|resource| resource.key == key)
}
