//! From a desired state to the steps that bring it into a cluster: rendered by the driver, in the order of
//! dependencies. It decides nothing about what is desired.

use crate::{
    clusters::Reached,
    error::{Error, Result, UserError},
    libraries::PULL_SECRET,
    operation::{
        Action,
        action::{Apply, ApplyMode, Delete, DoomedObject, Effect, EnsureNamespace, PlannedObject, PullSecret},
        journal::NewStep,
    },
    service::{keep_storage::MadeAnew, state::ApplicationState},
    store::{
        cluster_object::{ClusterObject, OwnerKey},
        team::Team,
    },
};
use ropeway_clusters::ObjectRef;
use ropeway_domain::{
    ChangeId, Component, ComponentKey, Resource, ResourceKey, Value,
    graph::GraphError,
    installed::Installed,
    model::WorkloadKind,
    plan::{Blocker, start_order},
    render::{RenderContext, RenderError, application_model},
    rendering::ApplicationNaming,
};
use ropeway_drivers::{ApplyMode as Wanted, CallError, Diagnostic, Manifest, Owner, RenderRequest, Severity};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that is applied, rendered.
#[derive(Debug, Clone, Default)]
pub struct Rollout {
    /// All objects of the whole application, in the driver's order.
    pub manifests: Vec<Manifest>,
    /// Reasons for which it cannot be applied.
    pub blockers: Vec<Blocker>,
    /// What does not stop it.
    pub warnings: Vec<String>,
    /// Fields that are taken over from other managers.
    pub taken: Vec<TakenField>,
    /// The places, among the manifests, of objects that are made anew, and why.
    pub made_anew: BTreeMap<usize, MadeAnew>,
    /// The changes by which a person agreed to that, by the same places.
    pub agreed: BTreeMap<usize, ChangeId>,
}

/// A field that is taken over from another manager. A plan rests on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TakenField {
    /// The place of its object among the manifests.
    pub manifest: usize,
    /// The field, as the cluster writes it.
    pub path: String,
    /// A hash of the value that is there, by a key: it may be a secret.
    pub live: Option<String>,
}

/// What of a whole application is applied and deleted, by own keys.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Components that are applied.
    pub components: BTreeSet<ComponentKey>,
    /// Kubernetes resources that are applied.
    pub resources: BTreeSet<ResourceKey>,
    /// Components whose objects are deleted.
    pub gone_components: BTreeSet<ComponentKey>,
    /// Kubernetes resources that are deleted.
    pub gone_resources: BTreeSet<ResourceKey>,
    /// Whether claims of what is deleted go as well.
    pub delete_volumes: bool,
    /// What volumes are deleted of although nothing else of it is there any more, by its own key.
    pub left_keys: BTreeSet<uuid::Uuid>,
    /// Kubernetes resources that are claims and whose own deletion was accepted.
    pub doomed_claims: BTreeSet<ResourceKey>,
}

impl Scope {
    /// Leaves Jobs out that ran already as they are desired, but for what people call things: a Job that succeeded is
    /// never run again. They are told, since nothing will tell that they are as desired.
    pub fn leave_finished_jobs(&mut self, state: &ApplicationState, desired: &Installed) -> BTreeSet<ComponentKey> {
        let finished = |key: &ComponentKey| {
            let wanted = desired.components.get(key).map(|one| &one.spec);
            let ran = state.components.get(key).and_then(|row| row.deployed.as_ref());
            matches!((wanted, ran), (Some(wanted), Some(ran)) if wanted.kind == WorkloadKind::Job && wanted.runs_as(&ran.0))
        };
        let left: BTreeSet<ComponentKey> = self.components.iter().copied().filter(finished).collect();
        self.components.retain(|key| !left.contains(key));
        left
    }
}

/// Renders the whole desired state of an application, in its own keys.
pub async fn render(
    reached: &Reached,
    state: &ApplicationState,
    desired: &Installed,
    registry: &str,
    pull_secret: bool,
    revision: &str,
) -> Result<Rollout> {
    let namespace = &state.application.namespace;
    let target = reached.target(namespace);
    let (components, resources) = (state.component_installations(), state.resource_installations());
    let naming = ApplicationNaming { id: state.application.id.0, slug: state.application.slug.clone() };
    let model = {
        let context = RenderContext {
            registry,
            pull_secret: pull_secret.then_some(PULL_SECRET),
            rewrite_image: &|_| None,
            installations: &components,
            resource_installations: &resources,
        };
        application_model(naming, desired, &context)
    };
    let mut model = match model {
        Ok(model) => model,
        Err(error) => return Ok(Rollout::blocked(vec![render_blocker(&error)])),
    };
    for component in &mut model.components {
        let rewritten = reached.driver.rewrite_image(&target, &component.image).await.map_err(driver_error)?;
        if let Some(image) = rewritten {
            component.image = image;
        }
    }
    let request = RenderRequest { application: &model, target: &target, revision };
    match reached.driver.render(request).await {
        Ok(rendered) => Ok(Rollout {
            manifests: rendered.manifests,
            blockers: Vec::new(),
            warnings: rendered.diagnostics.iter().filter(|d| d.severity != Severity::Info).map(said).collect(),
            ..Rollout::default()
        }),
        Err(CallError::Invalid(diagnostics)) => {
            let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error);
            Ok(Rollout::blocked(errors.map(|d| blocker("DRIVER_REFUSED", said(d))).collect()))
        }
        Err(CallError::Unsupported(message)) => Ok(Rollout::blocked(vec![blocker("FEATURE_MISSING", message)])),
        Err(error) => Err(driver_error(error)),
    }
}

/// The steps: the namespace, what belongs to the application as a whole, Kubernetes resources, components along their
/// dependencies, and last what is deleted.
#[expect(clippy::too_many_arguments, reason = "each is a part of the plan")]
pub fn steps(
    state: &ApplicationState,
    team: &Team,
    desired: &Installed,
    rollout: &Rollout,
    scope: &Scope,
    live: &[ClusterObject],
    pulls: bool,
    deadline_seconds: u32,
) -> Result<Vec<NewStep>, GraphError> {
    let application = &state.application;
    let mut steps: Vec<NewStep> = Vec::new();
    let apply = |owner_key, objects: Vec<PlannedObject>, on_success| {
        Action::Apply(Apply {
            cluster_id: application.cluster_id,
            namespace: application.namespace.clone(),
            cluster_scoped: false,
            application_id: application.id,
            owner_key,
            objects,
            await_healthy: true,
            deadline_seconds,
            on_success,
        })
    };
    let objects_of = |owner: Owner| -> Vec<PlannedObject> {
        let of_owner = |(_, manifest): &(usize, &Manifest)| manifest.owner == owner;
        let planned = |(index, manifest)| planned(manifest, index, rollout);
        rollout.manifests.iter().enumerate().filter(of_owner).map(planned).collect()
    };

    let ensure = Action::EnsureNamespace(EnsureNamespace {
        cluster_id: application.cluster_id,
        namespace: application.namespace.clone(),
        labels: namespace_labels(team),
        is_named_by_administrator: application.namespace != team.slug,
        pull_secret: pulls.then(|| PullSecret { name: PULL_SECRET.to_owned(), owner: team.id.to_string() }),
    });
    let shared = objects_of(Owner::Application);
    let mut before = BTreeSet::new();
    // What is only ended needs no namespace: it may be gone already, or be on its way out.
    if !(shared.is_empty() && scope.components.is_empty() && scope.resources.is_empty()) {
        before.insert(push(&mut steps, format!("namespace {}", application.namespace), None, BTreeSet::new(), ensure));
    }
    let namespace = before.clone();
    if !shared.is_empty() {
        let number = push(&mut steps, "shared objects".to_owned(), None, before.clone(), apply(None, shared, vec![]));
        before.insert(number);
    }
    for key in &scope.resources {
        let Some(resource) = desired.resources.get(key) else { continue };
        let name = format!("{} {}", resource.spec.kind, resource.spec.name);
        let done = vec![Effect::ResourceDeployed(Box::new(resource.spec.clone()))];
        let action = apply(Some(OwnerKey::new(key.0)), objects_of(Owner::Resource(*key)), done);
        let number = push(&mut steps, name, None, namespace.clone(), action);
        // Components may need what is configuration or storage; the rest may need components.
        if resource.spec.is_configuration() {
            before.insert(number);
        }
    }
    let mut numbers: BTreeMap<ComponentKey, u32> = BTreeMap::new();
    for key in start_order(desired)?.into_iter().flatten().filter(|key| scope.components.contains(key)) {
        let Some(component) = desired.components.get(&key) else { continue };
        let mut needs = before.clone();
        needs.extend(needed(desired, key).iter().filter_map(|needed| numbers.get(needed)));
        let done = vec![Effect::ComponentDeployed(Box::new(component.spec.clone()))];
        let action = apply(Some(OwnerKey::new(key.0)), objects_of(Owner::Component(key)), done);
        let of = Some((key, component.spec.name.clone()));
        let number = push(&mut steps, component.spec.name.clone(), of, needs, action);
        numbers.insert(key, number);
    }
    deletions(state, desired, rollout, scope, live, deadline_seconds, &mut steps);
    Ok(steps)
}

/// What a component needs, directly or through others: those in between may not be touched by this rollout.
fn needed(desired: &Installed, key: ComponentKey) -> BTreeSet<ComponentKey> {
    let mut found = BTreeSet::new();
    let mut open = vec![key];
    while let Some(next) = open.pop() {
        let dependencies = desired.components.get(&next).map(|one| &one.spec.dependencies);
        open.extend(dependencies.into_iter().flatten().filter(|dependency| found.insert(**dependency)));
    }
    found
}

/// Deletes what is gone, each component before what it depended on, and objects that a component has no more.
fn deletions(
    state: &ApplicationState,
    desired: &Installed,
    rollout: &Rollout,
    scope: &Scope,
    live: &[ClusterObject],
    deadline_seconds: u32,
    steps: &mut Vec<NewStep>,
) {
    // What is desired is never deleted, whoever's it was: it may have got another owner, or another version of its kind.
    let desired_objects: BTreeSet<(&str, &str, &str)> = rollout
        .manifests
        .iter()
        .filter_map(|manifest| {
            let text = |pointer: &str| manifest.object.pointer(pointer)?.as_str();
            Some((group(text("/apiVersion")?), text("/kind")?, text("/metadata/name")?))
        })
        .collect();
    let doomed = |owner: uuid::Uuid, all: bool, claims: bool| -> Vec<DoomedObject> {
        live.iter()
            .rev()
            .filter(|object| object.owner_key == Some(OwnerKey::new(owner)))
            .filter(|object| {
                !desired_objects.contains(&(group(&object.api_version), object.kind.as_str(), object.name.as_str()))
            })
            .filter(|object| {
                // A Job that ran stays: it is the record of what it did.
                let claim = object.kind == "PersistentVolumeClaim";
                if all { claims || !claim } else { !claim && object.kind != "Job" }
            })
            .map(|object| DoomedObject {
                reference: ObjectRef::namespaced(&object.api_version, &object.kind, &object.namespace, &object.name),
                uid: object.uid.clone(),
                orphan: false,
            })
            .collect()
    };
    let delete = |objects, on_success| {
        Action::Delete(Delete {
            cluster_id: state.application.cluster_id,
            application_id: state.application.id,
            objects,
            await_gone: true,
            deadline_seconds,
            on_success,
        })
    };
    let everything: BTreeSet<u32> = (1..=u32::try_from(steps.len()).unwrap_or(u32::MAX)).collect();
    for key in &scope.components {
        let left = doomed(key.0, false, false);
        if let Some(component) = desired.components.get(key).filter(|_| !left.is_empty()) {
            let name = format!("delete what {} has no more", component.spec.name);
            let of = Some((*key, component.spec.name.clone()));
            push(steps, name, of, everything.clone(), delete(left, vec![]));
        }
    }
    let mut before = everything.clone();
    for key in ended_first(state, &scope.gone_components) {
        let Some(row) = state.components.get(&key) else { continue };
        let action = delete(doomed(key.0, true, scope.delete_volumes), vec![Effect::ComponentGone(key)]);
        let number = push(steps, format!("delete {}", row.name), Some((key, row.name.clone())), before.clone(), action);
        before.insert(number);
    }
    for key in &scope.gone_resources {
        let Some(row) = state.resources.get(key) else { continue };
        let objects = doomed(key.0, true, scope.delete_volumes || scope.doomed_claims.contains(key));
        let action = delete(objects, vec![Effect::ResourceGone(*key)]);
        push(steps, format!("delete {} {}", row.kind, row.name), None, before.clone(), action);
    }
    if scope.delete_volumes {
        let is_gone = |key: &&uuid::Uuid| {
            !state.components.contains_key(&ComponentKey(**key)) && !state.resources.contains_key(&ResourceKey(**key))
        };
        let left: Vec<_> = scope.left_keys.iter().filter(is_gone).flat_map(|key| doomed(*key, true, true)).collect();
        if !left.is_empty() {
            push(steps, "delete volumes that were left".to_owned(), None, before, delete(left, vec![]));
        }
    }
}

/// The API group of an `apiVersion`; empty for the core group.
fn group(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

/// Components in the order in which they end: each before what it depends on.
fn ended_first(state: &ApplicationState, keys: &BTreeSet<ComponentKey>) -> Vec<ComponentKey> {
    let dependencies = |key: &ComponentKey| -> BTreeSet<ComponentKey> {
        let row = state.components.get(key);
        let spec = row.and_then(|row| row.deployed.as_ref().or(row.desired.as_ref()));
        spec.map(|spec| spec.0.dependencies.intersection(keys).copied().collect()).unwrap_or_default()
    };
    let graph = keys.iter().map(|key| (*key, dependencies(key))).collect();
    // What cannot be ordered, such as what was never deployed, ends in the order of keys.
    match ropeway_domain::graph::waves(&graph, &BTreeMap::new()) {
        Ok(waves) => waves.into_iter().rev().flatten().collect(),
        Err(_) => keys.iter().copied().collect(),
    }
}

fn push(
    steps: &mut Vec<NewStep>,
    name: String,
    component: Option<(ComponentKey, String)>,
    needs: BTreeSet<u32>,
    action: Action,
) -> u32 {
    let (component_key, component_name) = component.unzip();
    steps.push(NewStep { name, component_key, component_name, needs, action });
    u32::try_from(steps.len()).unwrap_or(u32::MAX)
}

fn planned(manifest: &Manifest, index: usize, rollout: &Rollout) -> PlannedObject {
    let takes_over = rollout.taken.iter().any(|taken| taken.manifest == index);
    let mode = match (rollout.made_anew.get(&index), manifest.mode) {
        (Some(why), _) => ApplyMode::Recreate { orphan: why.keeps_pods() },
        (None, Wanted::CreateOnly) => ApplyMode::CreateOnly,
        // Making anew needs a person's agreement, which is a change of its own.
        (None, Wanted::ServerSideApply | Wanted::RecreateOnImmutable) => ApplyMode::ServerSideApply,
    };
    let accepted = rollout.agreed.get(&index).cloned();
    PlannedObject { manifest: manifest.object.clone(), mode, wave: manifest.wave, force: takes_over, accepted }
}

/// Whether a manifest belongs to what a rollout is about.
pub fn in_scope(manifest: &Manifest, scope: &Scope) -> bool {
    match manifest.owner {
        Owner::Application => true,
        Owner::Component(key) => scope.components.contains(&key),
        Owner::Resource(key) => scope.resources.contains(&key),
    }
}

/// What names an object in a namespace.
pub fn reference_of(object: &serde_json::Value, namespace: &str) -> Option<ObjectRef> {
    let text = |pointer: &str| object.pointer(pointer)?.as_str();
    Some(ObjectRef::namespaced(text("/apiVersion")?, text("/kind")?, namespace, text("/metadata/name")?))
}

/// What a namespace of a team carries.
pub fn namespace_labels(team: &Team) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/managed-by".to_owned(), "ropeway".to_owned()),
        ("ropeway.dev/team".to_owned(), team.id.to_string()),
    ])
}

/// What a step of each component stores once it has succeeded.
pub fn deployed(spec: &Component<Value>) -> Effect {
    Effect::ComponentDeployed(Box::new(spec.clone()))
}

/// As [`deployed`], for a Kubernetes resource.
pub fn applied(spec: &Resource<Value>) -> Effect {
    Effect::ResourceDeployed(Box::new(spec.clone()))
}

/// Errors of a driver that no user can mend.
pub fn driver_error(error: CallError) -> Error {
    match error {
        CallError::Busy { .. } => Error::unavailable("the drivers are busy; try again"),
        error => Error::internal(error),
    }
}

/// Refuses to execute a plan that has blockers.
pub fn refuse_blocked(blockers: &[Blocker]) -> Result<()> {
    if blockers.is_empty() {
        return Ok(());
    }
    Err(Error::Invalid(blockers.iter().map(|blocker| UserError::new(&blocker.code, &blocker.message)).collect()))
}

impl Rollout {
    fn blocked(blockers: Vec<Blocker>) -> Self {
        Self { blockers, ..Self::default() }
    }
}

/// A blocker about nothing in particular.
pub fn blocker(code: &str, message: impl Into<String>) -> Blocker {
    Blocker { code: code.to_owned(), message: message.into(), component: None }
}

fn render_blocker(error: &RenderError) -> Blocker {
    blocker("CANNOT_RENDER", error.to_string())
}

fn said(diagnostic: &Diagnostic) -> String {
    if diagnostic.path.is_empty() {
        diagnostic.message.clone()
    } else {
        format!("{}: {}", diagnostic.path, diagnostic.message)
    }
}
