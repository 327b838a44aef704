//! Bringing the edits of an application into its cluster.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result},
    graphql::id::encode_text,
    id::{ApplicationId, ComponentId, OperationId},
    operation::journal::{self, NewOperation, NewStep},
    service::{
        audit::{self, Act, Subject, audited_plan},
        claims,
        dry_run::{Accepted, Taking},
        execute::{self, Executed, Observed},
        make_anew,
        rollout::{Scope, blocker},
        state::Side,
    },
    store::{application, application::Application, component},
};
use ropeway_domain::{
    ChangeId, Component, ComponentKey, Digest, ResourceKey, Value,
    access::TeamAction,
    change::Owner,
    deploy::plan_deployment,
    operation::OperationKind,
    plan::{Plan, PlanBasis, plan_digest},
    preflight::{Wanted, preflight},
    validate,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// What is to be deployed.
#[derive(Debug, Clone)]
pub struct Deploy {
    /// Of which application.
    pub application_id: ApplicationId,
    /// Which components; none: everything, Kubernetes resources and removals included.
    pub component_ids: Option<Vec<ComponentId>>,
    /// Kubernetes resources that go along with chosen components, as a retry takes them up.
    pub resources: BTreeSet<ResourceKey>,
    /// The objects that may be made anew, by the ids of their changes.
    pub accept: BTreeSet<ChangeId>,
    /// The plan that was looked at; none: whatever it is now.
    pub plan_digest: Option<Digest>,
    /// Seconds that a wave may take.
    pub progress_deadline_seconds: Option<i32>,
    /// The operation whose unfinished work this takes up.
    pub retry_of: Option<OperationId>,
}

/// A plan with what carries it out.
struct Decided {
    plan: Plan,
    steps: Vec<NewStep>,
    /// Jobs that are as desired without being run again.
    finished_jobs: Vec<Component<Value>>,
    /// What was accepted and is not offered.
    unknown: BTreeSet<ChangeId>,
}

/// What deploying would change.
pub async fn plan(app: &App, actor: &Actor, input: &Deploy) -> Result<Plan> {
    let observed = Observed::of(app, actor, input.application_id, TeamAction::View).await?;
    let decided = decide(app, &observed, input).await?;
    make_anew::check_accepted(&decided.plan, &decided.unknown)?;
    Ok(decided.plan)
}

/// Deploys. Without a named plan the current one is executed.
pub async fn deploy_application(app: &App, actor: &Actor, input: &Deploy) -> Result<Executed<Application>> {
    let act =
        Act::new("deployApplication", Subject::Application(input.application_id), encode_text(input.application_id))
            .with_plan(input.plan_digest.as_ref());
    audited_plan(app, actor, act, async || {
        let observed = Observed::of(app, actor, input.application_id, TeamAction::Deploy).await?;
        if let Some(operation) = observed.state.application.locked_by {
            return Err(execute::busy(operation));
        }
        let decided = decide(app, &observed, input).await?;
        if input.plan_digest.as_ref().is_some_and(|digest| *digest != decided.plan.digest) {
            return Ok(Executed::Stale(decided.plan));
        }
        execute::check_executable(&decided.plan)?;
        if input.retry_of.is_none() {
            make_anew::check_accepted(&decided.plan, &decided.unknown)?;
        }
        commit(app, actor, &observed, input, decided).await
    })
    .await
}

async fn commit(
    app: &App,
    actor: &Actor,
    observed: &Observed,
    input: &Deploy,
    decided: Decided,
) -> Result<Executed<Application>> {
    let application = observed.state.application.clone();
    let now = app.clock.now();
    let digest = decided.plan.digest.to_string();
    let mut conn = app.database.write().await?;
    let operation = conn
        .transaction(async |conn| {
            if !application::advance(conn, application.id, application.generation).await? {
                return Err(execute::changed_meanwhile());
            }
            observed.check_surroundings(conn).await?;
            for job in &decided.finished_jobs {
                component::set_deployed(conn, application.id, job).await?;
            }
            let new = NewOperation {
                retry_of: input.retry_of,
                plan_digest: Some(digest.clone()),
                ..NewOperation::in_application(OperationKind::Deploy, &application, &actor.display_name, decided.steps)
            };
            let operation = journal::begin(conn, new, now).await.map_err(execute::begin_error)?;
            let object = Some(encode_text(application.id));
            let enterprise = Some(application.enterprise_id);
            audit::done(conn, actor, now, "deployApplication", enterprise, object, Some(digest)).await?;
            Ok::<_, Error>(operation)
        })
        .await?;
    drop(conn);
    execute::wake(app, &operation);
    let application = Application { locked_by: Some(operation.id), ..application };
    Ok(Executed::Begun { subject: application, operation })
}

async fn decide(app: &App, observed: &Observed, input: &Deploy) -> Result<Decided> {
    let state = &observed.state;
    let deadline = execute::deadline(app, input.progress_deadline_seconds)?;
    let (desired, deployed) = (state.whole(Side::Desired), state.whole(Side::Deployed));
    let selection = selection(observed, input)?;
    let chosen = |owner: Owner| match (&selection, owner) {
        (None, _) => true,
        (Some(keys), Owner::Component(key)) => keys.contains(&key),
        (Some(_), Owner::Resource(key)) => input.resources.contains(&key),
    };
    let mut changes: Vec<_> =
        plan_deployment(&deployed, &desired).into_iter().filter(|change| chosen(change.owner)).collect();
    let mut scope = Scope {
        components: desired.components.keys().copied().filter(|key| chosen(Owner::Component(*key))).collect(),
        resources: desired.resources.keys().copied().filter(|key| chosen(Owner::Resource(*key))).collect(),
        gone_components: state
            .components
            .iter()
            .filter(|(key, row)| row.desired.is_none() && chosen(Owner::Component(**key)))
            .map(|(key, _)| *key)
            .collect(),
        gone_resources: state
            .resources
            .iter()
            .filter(|(key, row)| row.desired.is_none() && chosen(Owner::Resource(**key)))
            .map(|(key, _)| *key)
            .collect(),
        ..Scope::default()
    };

    let finished_jobs = scope.leave_finished_jobs(state, &desired);
    let finished_jobs = finished_jobs.iter().map(|key| desired.components[key].spec.clone()).collect();
    let mut blockers = observed.cluster_blockers();
    let components: Vec<_> = desired.components.values().map(|one| one.spec.clone()).collect();
    let resources: Vec<_> = desired.resources.values().map(|one| one.spec.clone()).collect();
    for problem in validate::application(&components, &resources) {
        blockers.push(blocker(problem.code.as_str(), format!("{}: {}", problem.path.join("/"), problem.message)));
    }
    let revision = execute::revision(state.application.generation + 1, None);
    let accepted = Accepted::now(&input.accept);
    let (rollout, findings) = observed.roll_out(&desired, &scope, &revision, Taking::Everything, accepted).await?;
    let unknown = make_anew::unknown(&input.accept, &findings.made_anew);
    let made_anew: Vec<ChangeId> = findings.made_anew.iter().map(|change| change.id.clone()).collect();
    changes.extend(findings.made_anew);
    let found = check(app, observed, &desired, &deployed, &scope).await?;
    blockers.extend(rollout.blockers.iter().cloned());
    blockers.extend(findings.blockers);
    blockers.extend(found.blockers);
    let mut warnings = rollout.warnings.clone();
    warnings.extend(findings.warnings);
    warnings.extend(found.warnings);
    warnings.dedup();

    let steps = match observed.steps(&desired, &rollout, &scope, deadline) {
        Ok(steps) => steps,
        Err(error) => {
            blockers.push(blocker("CYCLE", error.to_string()));
            Vec::new()
        }
    };
    blockers.sort();
    blockers.dedup();
    let (driver, driver_config) = observed.driver_digests();
    let basis = PlanBasis {
        operation: OperationKind::Deploy.to_string(),
        generation: state.application.generation,
        version: None,
        driver,
        driver_config,
        selection: selection.clone(),
        accepted: &input.accept - &unknown,
        supplied: BTreeSet::new(),
        live_fields: json!({ "warnings": warnings, "taken": rollout.taken, "madeAnew": made_anew }),
    };
    let plan = Plan {
        digest: plan_digest(&basis),
        blockers,
        warnings,
        changes,
        left: Vec::new(),
        steps: execute::shown(&steps),
        asks: Vec::new(),
    };
    Ok(Decided { plan, steps, finished_jobs, unknown })
}

/// Whether the cluster can take what is new.
async fn check(
    app: &App,
    observed: &Observed,
    desired: &ropeway_domain::installed::Installed,
    deployed: &ropeway_domain::installed::Installed,
    scope: &Scope,
) -> Result<ropeway_domain::preflight::Preflight> {
    let new_component =
        |key: &&ComponentKey| scope.components.contains(*key) && !deployed.components.contains_key(*key);
    let new_resource = |key: &&ResourceKey| scope.resources.contains(*key) && !deployed.resources.contains_key(*key);
    let components = desired.components.keys().filter(new_component).map(|key| &desired.components[key].spec).collect();
    let resources = desired.resources.keys().filter(new_resource).map(|key| &desired.resources[key].spec).collect();
    let extended = scope.components.iter().filter_map(|key| {
        Some(desired.components.get(key)?.spec.with_new_volumes(&deployed.components.get(key)?.spec))
    });
    let wanted = Wanted {
        components,
        changed: Vec::new(),
        extended: extended.collect(),
        resources,
        names: &desired.names(),
        platforms: &BTreeMap::new(),
        application_slug: None,
        asks: &[],
        needs_library: execute::needs_library(desired),
    };
    let state = &observed.state;
    let around = claims::around(app, &observed.reached, &state.application, &observed.live, &state.own_keys()).await?;
    Ok(preflight(&observed.facts_now().await, &wanted, &around))
}

/// The chosen components, by key. One that is not of this application is told.
fn selection(observed: &Observed, input: &Deploy) -> Result<Option<BTreeSet<ComponentKey>>> {
    let Some(ids) = &input.component_ids else { return Ok(None) };
    let mut keys = BTreeSet::new();
    for (place, id) in ids.iter().enumerate() {
        let row = observed.state.component(*id);
        let row = row.ok_or_else(|| {
            let path = ["componentIds".to_owned(), place.to_string()];
            Error::invalid("UNKNOWN_COMPONENT", path, "this is no component of the application")
        })?;
        keys.insert(row.key.0);
    }
    Ok(Some(keys))
}
