//! Deleting applications, with whatever lives in them.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result},
    graphql::id::encode_text,
    id::{ApplicationId, OperationId},
    operation::{
        Action,
        action::{Delete, DoomedObject, Effect},
        journal::{self, NewOperation, NewStep},
    },
    service::{
        audit::{self, Act, Subject, audited},
        authorize,
        claims::{self, CLAIM},
        edit, execute,
        state::{ApplicationState, Side},
    },
    store::{
        Stored,
        application::{self, Application},
        cluster_object::{self, ClusterObject, OwnerKey},
        component,
        installation::{self, Installation},
        operation::Operation,
        resource,
    },
};
use ropeway_clusters::ObjectRef;
use ropeway_domain::{
    ComponentKey, access::TeamAction, graph::waves, operation::OperationKind, plan::LeftForPeople, uninstall::uninstall,
};
use std::collections::{BTreeMap, BTreeSet};

/// What became of a deletion.
#[derive(Debug, Clone)]
pub struct Deleted {
    /// The application as it was.
    pub application: Application,
    /// The operation that deletes its objects and then the application; none: it is gone already.
    pub operation: Option<Operation>,
    /// What is kept.
    pub kept: Vec<LeftForPeople>,
}

/// Deletes an application: its objects first, each component before what it depended on, and once all are gone the
/// application itself, with its installations and their records. Claims are kept unless it is asked that they go too.
/// `retry_of` is the operation whose unfinished work this takes up.
pub async fn delete_application(
    app: &App,
    actor: &Actor,
    id: ApplicationId,
    delete_volumes: bool,
    retry_of: Option<OperationId>,
) -> Result<Deleted> {
    let act = Act::new("deleteApplication", Subject::Application(id), encode_text(id));
    audited(app, actor, act, async || {
        let mut conn = app.database.read().await?;
        let application = authorize::application(&mut conn, actor, id, TeamAction::DeleteApplications).await?;
        if let Some(operation) = application.locked_by {
            return Err(execute::busy(operation));
        }
        let mut live = cluster_object::of_application(&mut conn, id).await?;
        let state = ApplicationState::load(&mut conn, application).await?;
        drop(conn);
        let was_deployed = state.components.values().any(|row| row.deployed.is_some())
            || state.resources.values().any(|row| row.deployed.is_some())
            || !live.is_empty();
        if !was_deployed {
            return forget(app, actor, &state).await;
        }
        if delete_volumes {
            let reached = app.reach(state.application.cluster_id).await?;
            // Objects go in the reverse order: claims after what uses them.
            let claims = claims::unrecorded(app, &reached, &state.application, &live).await?;
            live.splice(0..0, claims);
        }
        let kept = uninstall(&state.whole(Side::Deployed), delete_volumes).map(|end| end.kept).unwrap_or_default();
        let deadline = execute::deadline(app, None)?;
        let steps = steps(&state, &live, delete_volumes, deadline);
        begin(app, actor, state, steps, kept, retry_of).await
    })
    .await
}

/// Nothing of it was ever in the cluster.
async fn forget(app: &App, actor: &Actor, state: &ApplicationState) -> Result<Deleted> {
    let application = state.application.clone();
    let now = app.clock.now();
    let mut conn = app.database.write().await?;
    conn.transaction(async |conn| {
        edit::begin(conn, state, &[]).await?;
        edit::end(conn, actor, now, "deleteApplication", state, None).await?;
        application::delete(conn, application.id).await?;
        Ok::<_, Error>(())
    })
    .await?;
    drop(conn);
    edit::tell(app, application.id);
    Ok(Deleted { application, operation: None, kept: Vec::new() })
}

async fn begin(
    app: &App,
    actor: &Actor,
    state: ApplicationState,
    steps: Vec<NewStep>,
    kept: Vec<LeftForPeople>,
    retry_of: Option<OperationId>,
) -> Result<Deleted> {
    let application = state.application.clone();
    let now = app.clock.now();
    let mut conn = app.database.write().await?;
    let operation = conn
        .transaction(async |conn| {
            if !application::advance(conn, application.id, application.generation).await? {
                return Err(execute::changed_meanwhile());
            }
            // Nothing of it is wanted any more: what is gone is forgotten, step by step.
            for row in state.components.values() {
                let row = component::Component { desired: None, ..row.clone() };
                component::update_desired(conn, &row).await?;
            }
            for row in state.resources.values() {
                let row = resource::KubernetesResource { desired: None, ..row.clone() };
                resource::update_desired(conn, &row).await?;
            }
            // The same goes for its installations, where this does not succeed.
            for row in state.installations.iter().filter(|row| row.ended_as.is_none()) {
                let ended_as = Some(Stored(state.as_it_runs(row)));
                installation::update(conn, &Installation { ended_as, ..row.clone() }).await?;
            }
            let new = NewOperation {
                retry_of,
                ..NewOperation::in_application(OperationKind::Uninstall, &application, &actor.display_name, steps)
            };
            let operation = journal::begin(conn, new, now).await.map_err(execute::begin_error)?;
            let (enterprise, object) = (Some(application.enterprise_id), Some(encode_text(application.id)));
            audit::done(conn, actor, now, "deleteApplication", enterprise, object, None).await?;
            Ok::<_, Error>(operation)
        })
        .await?;
    drop(conn);
    execute::wake(app, &operation);
    let application = Application { locked_by: Some(operation.id), ..application };
    Ok(Deleted { application, operation: Some(operation), kept })
}

/// The steps: components, each before what it depended on, then Kubernetes resources, then what belongs to all.
fn steps(
    state: &ApplicationState,
    live: &[ClusterObject],
    delete_volumes: bool,
    deadline_seconds: u32,
) -> Vec<NewStep> {
    let mut steps: Vec<NewStep> = Vec::new();
    let doomed = |owner: Option<OwnerKey>| -> Vec<DoomedObject> {
        let of_owner = live.iter().rev().filter(|object| object.owner_key == owner);
        let goes = of_owner.filter(|object| delete_volumes || object.kind != CLAIM);
        goes.map(|object| DoomedObject {
            reference: ObjectRef::namespaced(&object.api_version, &object.kind, &object.namespace, &object.name),
            uid: object.uid.clone(),
            orphan: false,
        })
        .collect()
    };
    let mut push = |name: String, of: Option<(ComponentKey, String)>, objects, on_success| {
        let needs: BTreeSet<u32> = (1..=u32::try_from(steps.len()).unwrap_or(u32::MAX)).collect();
        let (component_key, component_name) = of.unzip();
        let action = Action::Delete(Delete {
            cluster_id: state.application.cluster_id,
            application_id: state.application.id,
            objects,
            await_gone: true,
            deadline_seconds,
            on_success,
        });
        steps.push(NewStep { name, component_key, component_name, needs, action });
    };
    for key in ended_first(state) {
        let Some(row) = state.components.get(&key) else { continue };
        let of = Some((key, row.name.clone()));
        push(format!("delete {}", row.name), of, doomed(Some(OwnerKey::new(key.0))), vec![Effect::ComponentGone(key)]);
    }
    for (key, row) in &state.resources {
        let objects = doomed(Some(OwnerKey::new(key.0)));
        push(format!("delete {} {}", row.kind, row.name), None, objects, vec![Effect::ResourceGone(*key)]);
    }
    // What belongs to no component or resource that is known any more goes last.
    let known: BTreeSet<OwnerKey> = (state.components.keys().map(|key| key.0))
        .chain(state.resources.keys().map(|key| key.0))
        .map(OwnerKey::new)
        .collect();
    let others: BTreeSet<Option<OwnerKey>> = live
        .iter()
        .map(|object| object.owner_key)
        .filter(|owner| owner.is_none_or(|key| !known.contains(&key)))
        .collect();
    let shared: Vec<DoomedObject> = others.into_iter().flat_map(doomed).collect();
    push("delete what is left of the application".to_owned(), None, shared, vec![]);
    steps
}

/// Components in the order in which they end: each before what it depends on.
fn ended_first(state: &ApplicationState) -> Vec<ComponentKey> {
    let all: BTreeSet<ComponentKey> = state.components.keys().copied().collect();
    let dependencies = |row: &component::Component| -> BTreeSet<ComponentKey> {
        let spec = row.deployed.as_ref().or(row.desired.as_ref());
        spec.map(|spec| spec.0.dependencies.intersection(&all).copied().collect()).unwrap_or_default()
    };
    let graph = state.components.iter().map(|(key, row)| (*key, dependencies(row))).collect();
    match waves(&graph, &BTreeMap::new()) {
        Ok(waves) => waves.into_iter().rev().flatten().collect(),
        // A cycle was never deployed: its components end in any order.
        Err(_) => all.into_iter().collect(),
    }
}
