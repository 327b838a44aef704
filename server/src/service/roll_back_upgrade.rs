//! Taking an upgrade, or a rollback, back to the snapshot that was stored before it.

use crate::{
    actor::Actor,
    app::App,
    clock,
    error::{Error, Result, UserError},
    graphql::id::encode_text,
    id::{OperationId, RecordId},
    operation::journal::{self, Lock, NewOperation, NewStep},
    service::{
        audit::{self, Act, Subject, audited_plan},
        authorize,
        execute::{self, Executed, Observed},
        rollout::blocker,
        state::Side,
        upgrade_installation::merged,
    },
    store::{
        Stored, Word, application,
        installation::{self, Installation},
        operation::Operation,
        record::{self, ComponentOutcome, Record, RecordKind, RecordRequest, Snapshot},
    },
};
use ropeway_domain::{
    ChangeId, ComponentKey, Digest,
    access::TeamAction,
    installed::Installed,
    operation::{OperationKind, UpgradeState},
    plan::{Plan, PlanBasis, plan_digest},
    rollback::{RollbackInput, RollbackOutcome, rollback},
};
use serde_json::json;
use std::collections::BTreeSet;

/// What is to be taken back.
#[derive(Debug, Clone)]
pub struct RollBack {
    /// Which record.
    pub record_id: RecordId,
    /// The offered changes that are accepted.
    pub accept: BTreeSet<ChangeId>,
    /// The plan that was looked at; none: whatever it is now.
    pub plan_digest: Option<Digest>,
    /// Whether a record is taken back although there is a newer one.
    pub acknowledge_newer: bool,
    /// Seconds that a wave may take.
    pub progress_deadline_seconds: Option<i32>,
}

/// A plan with what carries it out.
struct Decided {
    plan: Plan,
    steps: Vec<NewStep>,
    outcome: RollbackOutcome,
    before: Installed,
    deadline: u32,
}

/// What a rollback rests on.
struct Source {
    record: Record,
    installation: Installation,
}

/// What a rollback would change, and what it would leave.
pub async fn plan(app: &App, actor: &Actor, input: &RollBack) -> Result<Plan> {
    let (observed, source) = observe(app, actor, input, TeamAction::View).await?;
    Ok(decide(app, &observed, &source, input).await?.plan)
}

/// Rolls back. Without a named plan the current one is made, recorded and executed.
pub async fn roll_back_upgrade(app: &App, actor: &Actor, input: &RollBack) -> Result<Executed<Record>> {
    let act = Act::new("rollBackUpgrade", Subject::Record(input.record_id), encode_text(input.record_id))
        .with_plan(input.plan_digest.as_ref());
    audited_plan(app, actor, act, async || {
        let (observed, source) = observe(app, actor, input, TeamAction::Install).await?;
        if let Some(operation) = observed.state.application.locked_by {
            return Err(execute::busy(operation));
        }
        check_newest(app, &source, input).await?;
        let decided = decide(app, &observed, &source, input).await?;
        if input.plan_digest.as_ref().is_some_and(|digest| *digest != decided.plan.digest) {
            return Ok(Executed::Stale(decided.plan));
        }
        execute::check_executable(&decided.plan)?;
        commit(app, Some(actor), &observed, &source, input, decided, Lock::Free).await
    })
    .await
}

/// Rolls a failed upgrade back for whoever asked for that when it began. Its operation still holds the application.
pub async fn roll_back_failed(app: &App, record_id: RecordId, held_by: OperationId) -> Result<Option<Operation>> {
    let mut conn = app.database.read().await?;
    let Some(record) = record::find(&mut conn, record_id).await? else { return Ok(None) };
    let Some(installation) = installation::find(&mut conn, record.installation_id).await? else { return Ok(None) };
    let Some(application) = application::find(&mut conn, record.application_id).await? else { return Ok(None) };
    let observed = Observed::load(app, conn, application).await?;
    let input = RollBack {
        record_id,
        accept: BTreeSet::new(),
        plan_digest: None,
        acknowledge_newer: false,
        progress_deadline_seconds: i32::try_from(record.request.0.progress_deadline_seconds).ok(),
    };
    let source = Source { record, installation };
    let decided = decide(app, &observed, &source, &input).await?;
    execute::check_executable(&decided.plan)?;
    match commit(app, None, &observed, &source, &input, decided, Lock::HandedOverBy(held_by)).await? {
        Executed::Begun { operation, .. } => Ok(Some(operation)),
        Executed::Stale(_) => Ok(None),
    }
}

async fn observe(app: &App, actor: &Actor, input: &RollBack, action: TeamAction) -> Result<(Observed, Source)> {
    let mut conn = app.database.read().await?;
    let (record, installation, application) = authorize::record(&mut conn, actor, input.record_id, action).await?;
    if installation.uninstalled_at.is_some() {
        return Err(Error::NotFound("the upgrade record"));
    }
    if !record.state.0.can_roll_back() {
        let message = format!("a record that is {} cannot be rolled back", record.state.0);
        return Err(Error::invalid("CANNOT_ROLL_BACK", ["recordId"], message));
    }
    let observed = Observed::load(app, conn, application).await?;
    Ok((observed, Source { record, installation }))
}

/// Rolling an older record back than the newest takes back what came after it as well: that needs a person's word.
async fn check_newest(app: &App, source: &Source, input: &RollBack) -> Result<()> {
    let mut conn = app.database.read().await?;
    let newest = record::newest(&mut conn, source.installation.id).await?;
    match newest.filter(|newest| newest.sequence > source.record.sequence) {
        Some(newest) if !input.acknowledge_newer => Err(UserError::new(
            "NEWER_RECORD",
            "there is a newer record; say acknowledgeNewer to take back what it did as well",
        )
        .at(["acknowledgeNewer"])
        .naming(encode_text(newest.id))
        .into()),
        _ => Ok(()),
    }
}

async fn decide(app: &App, observed: &Observed, source: &Source, input: &RollBack) -> Result<Decided> {
    let state = &observed.state;
    let deadline = execute::deadline(app, input.progress_deadline_seconds)?;
    let before = state.of_installation(&source.installation, Side::Desired);
    let snapshot = &source.record.snapshot.0;
    let outcome = rollback(&RollbackInput {
        snapshot: &snapshot.installed,
        written: &source.record.written.0,
        now: &before,
        accept: &input.accept,
    })
    .map_err(|error| UserError::new("INVALID_CHOICE", error.to_string()))?;
    let (desired, mut scope) = merged(state, &source.installation, &outcome.after);
    let own = |key: &ComponentKey| outcome.after.components.get(key).map(|component| component.own_key);
    scope.components.extend(outcome.apply.iter().filter_map(own));
    scope.resources.extend(
        outcome.apply_resources.iter().filter_map(|key| outcome.after.resources.get(key)).map(|one| one.own_key),
    );
    // What the upgrade added and never came to run is left alone, like all that it added.
    scope.components.retain(|key| {
        let pending_addition = state.components.get(key).is_some_and(|row| row.deployed.is_none());
        !pending_addition || outcome.apply.iter().filter_map(own).any(|applied| applied == *key)
    });

    let mut blockers = observed.cluster_blockers();
    let revision = execute::revision(source.installation.generation + 1, Some(source.installation.id));
    let (rollout, findings) = observed.roll_out(&desired, &scope, &revision).await?;
    blockers.extend(rollout.blockers.iter().cloned());
    blockers.extend(findings.blockers);
    let mut warnings = outcome.warnings.clone();
    warnings.extend(rollout.warnings.iter().cloned());
    warnings.extend(findings.warnings);
    let steps = match observed.steps(&desired, &rollout, &scope, deadline) {
        Ok(steps) => steps,
        Err(error) => {
            blockers.push(blocker("CYCLE", error.to_string()));
            Vec::new()
        }
    };
    blockers.sort();
    blockers.dedup();
    warnings.dedup();
    let (driver, driver_config) = observed.driver_digests();
    let basis = PlanBasis {
        operation: OperationKind::Rollback.to_string(),
        generation: source.installation.generation,
        version: Some(Digest::of_value(&snapshot.installed)),
        driver,
        driver_config,
        selection: None,
        accepted: input.accept.clone(),
        supplied: BTreeSet::new(),
        live_fields: json!({ "application": state.application.generation, "warnings": warnings }),
    };
    let plan = Plan {
        digest: plan_digest(&basis),
        blockers,
        warnings,
        changes: outcome.changes.clone(),
        left: outcome.left_for_people.clone(),
        steps: execute::shown(&steps),
        asks: Vec::new(),
    };
    Ok(Decided { plan, steps, outcome, before, deadline })
}

async fn commit(
    app: &App,
    actor: Option<&Actor>,
    observed: &Observed,
    source: &Source,
    input: &RollBack,
    decided: Decided,
    lock: Lock,
) -> Result<Executed<Record>> {
    let now = app.clock.now();
    let state = &observed.state;
    let application = &state.application;
    let Source { record: of, installation } = source;
    let created_by = actor.map_or_else(|| of.created_by.clone(), |actor| actor.display_name.clone());
    let outcomes = decided
        .outcome
        .after
        .components
        .values()
        .filter(|component| decided.steps.iter().any(|step| step.component_key == Some(component.own_key)))
        .map(|component| ComponentOutcome {
            key: component.spec.key,
            name: component.spec.name.clone(),
            state: UpgradeState::Pending,
            error: None,
        })
        .collect();
    let mut record = Record {
        id: clock::new_id(),
        installation_id: installation.id,
        application_id: application.id,
        sequence: 0,
        kind: Word(RecordKind::Rollback),
        rollback_of: Some(of.id),
        from_version_id: installation.version_id,
        to_version_id: of.snapshot.0.version_id,
        state: Word(UpgradeState::Running),
        changes: Stored(decided.outcome.changes.clone()),
        outcomes: Stored(outcomes),
        left_for_people: Stored(decided.outcome.left_for_people.clone()),
        snapshot: Stored(Snapshot {
            installed: decided.before,
            kept_changes: installation.kept_changes.0.clone(),
            version_id: installation.version_id,
            driver_digest: observed.reached.driver.digest().to_string(),
            driver_config: observed.reached.row.config.0.clone(),
        }),
        written: Stored(decided.outcome.after.clone()),
        request: Stored(RecordRequest {
            selection: None,
            accepted: input.accept.clone(),
            roll_back_on_failure: false,
            progress_deadline_seconds: decided.deadline,
            completes: true,
        }),
        plan_digest: decided.plan.digest.to_string(),
        operation_id: None,
        created_by: created_by.clone(),
        created_at: now,
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
            record.sequence = record::newest(conn, installation.id).await?.map_or(0, |newest| newest.sequence) + 1;
            record::insert(conn, &record).await?;
            state.write_installation(conn, installation.id, &decided.outcome.after, now).await?;
            let rolling = Installation {
                state: Word(installation.state.0.roll_back()?),
                secret_groups: Stored(decided.outcome.after.secret_groups.clone()),
                ..installation.clone()
            };
            installation::update(conn, &rolling).await?;
            let new = NewOperation {
                kind: OperationKind::Rollback,
                enterprise_id: application.enterprise_id,
                team_id: Some(application.team_id),
                application_id: Some(application.id),
                cluster_id: Some(application.cluster_id),
                publication_id: None,
                installation_id: Some(installation.id),
                record_id: Some(record.id),
                retry_of: None,
                created_by,
                plan_digest: Some(record.plan_digest.clone()),
                lock,
                steps: decided.steps,
            };
            let operation = journal::begin(conn, new, now).await.map_err(execute::begin_error)?;
            record::set_operation(conn, record.id, operation.id).await?;
            if let Some(actor) = actor {
                let (enterprise, object) = (Some(application.enterprise_id), Some(encode_text(of.id)));
                let digest = Some(record.plan_digest.clone());
                audit::done(conn, actor, now, "rollBackUpgrade", enterprise, object, digest).await?;
            }
            Ok::<_, Error>(operation)
        })
        .await?;
    drop(conn);
    record.operation_id = Some(operation.id);
    execute::wake(app, &operation);
    Ok(Executed::Begun { subject: record, operation })
}
