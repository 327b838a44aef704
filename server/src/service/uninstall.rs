//! Ending an installation: its objects are deleted in reverse order of dependencies; volumes stay unless asked.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result},
    graphql::id::encode_text,
    id::{InstallationId, OperationId},
    operation::journal::{self, NewOperation, NewStep},
    service::{
        audit::{self, Act, Subject, audited},
        authorize, claims,
        execute::{self, Observed},
        rollout::{Rollout, Scope, blocker},
        state::Side,
    },
    store::{
        Stored, Word, application, component,
        installation::{self, Installation},
        operation::Operation,
        resource,
    },
};
use ropeway_domain::{
    access::TeamAction,
    change::{Change, ChangeId, ChangeKind, Decision, Owner},
    installed::Installed,
    operation::OperationKind,
    plan::{Plan, PlanBasis, plan_digest},
    uninstall::uninstall as decide_uninstall,
};
use serde_json::json;
use std::collections::BTreeSet;

/// What is to be ended.
#[derive(Debug, Clone)]
pub struct Uninstall {
    /// Which installation.
    pub installation_id: InstallationId,
    /// Whether its volumes are deleted as well, with all that is in them.
    pub delete_volumes: bool,
    /// The operation whose unfinished work this takes up.
    pub retry_of: Option<OperationId>,
}

/// A plan with what carries it out.
struct Decided {
    plan: Plan,
    steps: Vec<NewStep>,
    scope: Scope,
}

/// What ending an installation would delete and keep.
pub async fn plan(app: &App, actor: &Actor, input: &Uninstall) -> Result<Plan> {
    let (observed, installation) = observe(app, actor, input, TeamAction::View).await?;
    Ok(decide(app, &observed, &installation, input)?.plan)
}

/// Ends an installation.
pub async fn uninstall(app: &App, actor: &Actor, input: &Uninstall) -> Result<(Installation, Operation)> {
    let act = Act::new("uninstall", Subject::Installation(input.installation_id), encode_text(input.installation_id));
    audited(app, actor, act, async || {
        let (observed, installation) = observe(app, actor, input, TeamAction::Install).await?;
        if let Some(operation) = observed.state.application.locked_by {
            return Err(execute::busy(operation));
        }
        let decided = decide(app, &observed, &installation, input)?;
        execute::check_executable(&decided.plan)?;
        commit(app, actor, &observed, installation, input, decided).await
    })
    .await
}

async fn observe(app: &App, actor: &Actor, input: &Uninstall, action: TeamAction) -> Result<(Observed, Installation)> {
    let mut conn = app.database.read().await?;
    let (installation, application) = authorize::installation(&mut conn, actor, input.installation_id, action).await?;
    if installation.uninstalled_at.is_some() {
        return Err(Error::NotFound("the installation"));
    }
    let mut observed = Observed::load(app, conn, application).await?;
    if input.delete_volumes {
        let claims = claims::unrecorded(app, &observed.reached, &observed.state.application, &observed.live).await?;
        // Objects go in the reverse order: claims after what uses them.
        observed.live.splice(0..0, claims);
    }
    Ok((observed, installation))
}

fn decide(app: &App, observed: &Observed, installation: &Installation, input: &Uninstall) -> Result<Decided> {
    let state = &observed.state;
    let belongs = |id: Option<InstallationId>| id == Some(installation.id);
    let here = state.of_installation(installation, Side::Desired);
    let mut blockers = observed.cluster_blockers();
    let scope = Scope {
        gone_components: state
            .components
            .iter()
            .filter(|(_, row)| belongs(row.installation_id))
            .map(|(key, _)| *key)
            .collect(),
        gone_resources: state
            .resources
            .iter()
            .filter(|(_, row)| belongs(row.installation_id))
            .map(|(key, _)| *key)
            .collect(),
        delete_volumes: input.delete_volumes,
        left_keys: installation.ended_as.iter().flat_map(|ended| ended.0.own_keys()).collect(),
        ..Scope::default()
    };
    let gone: Vec<_> = scope.gone_components.iter().filter_map(|key| state.components.get(key)).collect();
    for (_, row) in state.components.iter().filter(|(key, _)| !scope.gone_components.contains(key)) {
        for needed in &gone {
            if let Some(why) = row.desired.as_ref().and_then(|spec| spec.0.need_of(needed.key.0)) {
                let message = format!("{} {why} {}, which would be deleted", row.name, needed.name);
                blockers.push(blocker("IN_USE", message));
            }
        }
    }
    // An earlier attempt has left volumes as well.
    let was = installation.ended_as.as_ref().map_or(&here, |ended| &ended.0);
    let left = decide_uninstall(was, input.delete_volumes);
    let left = left.map_err(|error| Error::invalid::<&str>("CYCLE", [], error.to_string()))?.kept;
    let nothing = Installed::default();
    let deadline = app.config.operations.progress_deadline_seconds;
    let steps = observed
        .steps(&nothing, &Rollout::default(), &scope, deadline)
        .map_err(|error| Error::invalid::<&str>("CYCLE", [], error.to_string()))?;
    let (driver, driver_config) = observed.driver_digests();
    let basis = PlanBasis {
        operation: OperationKind::Uninstall.to_string(),
        generation: installation.generation,
        version: None,
        driver,
        driver_config,
        selection: None,
        accepted: BTreeSet::new(),
        supplied: BTreeSet::new(),
        live_fields: json!({ "deleteVolumes": input.delete_volumes }),
    };
    let changes = here.components.iter().map(|(key, one)| removal(Owner::Component(*key), "component", &one.spec.name));
    let resources = here
        .resources
        .iter()
        .map(|(key, one)| removal(Owner::Resource(*key), "resource", &format!("{} {}", one.spec.kind, one.spec.name)));
    let plan = Plan {
        digest: plan_digest(&basis),
        blockers,
        warnings: Vec::new(),
        changes: changes.chain(resources).collect(),
        left,
        steps: execute::shown(&steps),
        asks: Vec::new(),
    };
    Ok(Decided { plan, steps, scope })
}

fn removal(owner: Owner, path: &str, name: &str) -> Change {
    Change {
        id: ChangeId::of(owner, path, ChangeKind::Remove, &name, &()),
        owner,
        owner_name: name.to_owned(),
        path: path.to_owned(),
        kind: ChangeKind::Remove,
        before: Some(name.to_owned()),
        after: None,
        decision: Decision::Apply,
        reason: "belongs to the installation".to_owned(),
    }
}

async fn commit(
    app: &App,
    actor: &Actor,
    observed: &Observed,
    installation: Installation,
    input: &Uninstall,
    Decided { plan, steps, scope }: Decided,
) -> Result<(Installation, Operation)> {
    let now = app.clock.now();
    let state = &observed.state;
    let application = &state.application;
    let digest = plan.digest.to_string();
    // A second attempt finds less than there was.
    let ended_as = installation.ended_as.clone().unwrap_or_else(|| Stored(state.as_it_runs(&installation)));
    let ending = Installation {
        state: Word(installation.state.0.uninstall()?),
        ended_as: Some(ended_as),
        ..installation.clone()
    };
    let mut conn = app.database.write().await?;
    let operation = conn
        .transaction(async |conn| {
            let current = installation::find(conn, installation.id).await?;
            if current.is_none_or(|current| current.generation != installation.generation)
                || !application::advance(conn, application.id, application.generation).await?
            {
                return Err(execute::changed_meanwhile());
            }
            for key in &scope.gone_components {
                if let Some(row) = state.components.get(key) {
                    let gone = component::Component { desired: None, ..row.clone() };
                    component::update_desired(conn, &gone).await?;
                }
            }
            for key in &scope.gone_resources {
                if let Some(row) = state.resources.get(key) {
                    let gone = resource::KubernetesResource { desired: None, ..row.clone() };
                    resource::update_desired(conn, &gone).await?;
                }
            }
            installation::update(conn, &ending).await?;
            let new = NewOperation {
                installation_id: Some(installation.id),
                retry_of: input.retry_of,
                plan_digest: Some(digest.clone()),
                ..NewOperation::in_application(OperationKind::Uninstall, application, &actor.display_name, steps)
            };
            let operation = journal::begin(conn, new, now).await.map_err(execute::begin_error)?;
            let (enterprise, object) = (Some(application.enterprise_id), Some(encode_text(installation.id)));
            audit::done(conn, actor, now, "uninstall", enterprise, object, Some(digest)).await?;
            Ok::<_, Error>(operation)
        })
        .await?;
    drop(conn);
    execute::wake(app, &operation);
    Ok((ending, operation))
}
