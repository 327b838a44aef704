//! Taking an upgrade, or a rollback, back to the snapshot that was stored before it.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result, UserError},
    graphql::id::encode_text,
    id::{OperationId, RecordId},
    operation::journal::{Lock, NewStep},
    service::{
        audit::{Act, Subject, audited_plan},
        authorize,
        begin_record::{self, NewRecord},
        dry_run::{Accepted, Taking},
        execute::{self, Executed, Observed},
        make_anew,
        rollout::blocker,
        state::Side,
        upgrade_installation::{merged, pending_edits},
    },
    store::{
        Conn, application,
        installation::{self, Installation},
        operation::Operation,
        record::{self, Record, RecordRequest},
    },
};
use ropeway_domain::{
    Change, ChangeId, ComponentKey, Decision, Digest,
    access::TeamAction,
    installed::Installed,
    model::WorkloadKind,
    operation::OperationKind,
    plan::{Plan, PlanBasis, plan_digest},
    rollback::{RollbackInput, RollbackOutcome, rollback},
    upgrade::AcceptError,
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
    /// Jobs that are as desired without being run again, by own key.
    finished_jobs: BTreeSet<ComponentKey>,
    /// What was accepted and is not offered.
    unknown: BTreeSet<ChangeId>,
    /// The changes that make an object anew.
    made_anew: BTreeSet<ChangeId>,
}

/// What a rollback rests on.
struct Source {
    record: Record,
    installation: Installation,
    /// The newest record, where that is another one: what it wrote is what is taken back.
    newest: Option<Record>,
}

/// What a rollback would change, and what it would leave.
pub async fn plan(app: &App, actor: &Actor, input: &RollBack) -> Result<Plan> {
    let (observed, source) = observe(app, actor, input, TeamAction::View).await?;
    let decided = decide(app, &observed, &source, input).await?;
    make_anew::check_accepted(&decided.plan, &decided.unknown)?;
    Ok(decided.plan)
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
        check_newest(&source, input)?;
        let decided = decide(app, &observed, &source, input).await?;
        if input.plan_digest.as_ref().is_some_and(|digest| *digest != decided.plan.digest) {
            return Ok(Executed::Stale(decided.plan));
        }
        execute::check_executable(&decided.plan)?;
        make_anew::check_accepted(&decided.plan, &decided.unknown)?;
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
    let newest = newer(&mut conn, &record).await?;
    let observed = Observed::load(app, conn, application).await?;
    let mut input = RollBack {
        record_id,
        accept: BTreeSet::new(),
        plan_digest: None,
        acknowledge_newer: false,
        progress_deadline_seconds: i32::try_from(record.request.0.progress_deadline_seconds).ok(),
    };
    let source = Source { record, installation, newest };
    let mut decided = decide(app, &observed, &source, &input).await?;
    // What a person agreed to make anew on the way there, or to make immutable, may be made anew on the way back.
    let was_agreed = |change: &&Change| {
        let is_it = |one: &&Change| {
            one.owner_name == change.owner_name && (one.path == change.path || one.path == "manifest/immutable")
        };
        source.record.changes.0.iter().filter(is_it).any(|one| one.decision == Decision::Apply)
    };
    let asked = decided.plan.changes.iter().filter(|change| decided.made_anew.contains(&change.id));
    input.accept = asked.filter(was_agreed).map(|change| change.id.clone()).collect();
    if !input.accept.is_empty() {
        decided = decide(app, &observed, &source, &input).await?;
    }
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
        let message = "its installation was uninstalled; there is nothing to roll back";
        return Err(Error::invalid("CANNOT_ROLL_BACK", ["recordId"], message));
    }
    execute::check_not_ending(&installation)?;
    if !record.state.0.can_roll_back() {
        let message = format!("a record that is {} cannot be rolled back", record.state.0);
        return Err(Error::invalid("CANNOT_ROLL_BACK", ["recordId"], message));
    }
    let newest = newer(&mut conn, &record).await?;
    let observed = Observed::load(app, conn, application).await?;
    Ok((observed, Source { record, installation, newest }))
}

/// Rolling an older record back than the newest takes back what came after it as well: that needs a person's word.
fn check_newest(source: &Source, input: &RollBack) -> Result<()> {
    match &source.newest {
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

/// The newest record of an installation, where it is newer than this one.
async fn newer(conn: &mut Conn, record: &Record) -> Result<Option<Record>> {
    let newest = record::newest(conn, record.installation_id).await?;
    Ok(newest.filter(|newest| newest.sequence > record.sequence))
}

async fn decide(app: &App, observed: &Observed, source: &Source, input: &RollBack) -> Result<Decided> {
    let state = &observed.state;
    let deadline = execute::deadline(app, input.progress_deadline_seconds)?;
    let before = state.of_installation(&source.installation, Side::Desired);
    let snapshot = &source.record.snapshot.0;
    let attempt = |accept: &BTreeSet<ChangeId>| {
        rollback(&RollbackInput {
            snapshot: &snapshot.installed,
            written: &source.newest.as_ref().unwrap_or(&source.record).written.0,
            now: &before,
            accept,
        })
    };
    // What the rules do not know may be about an object that the cluster cannot change.
    let (outcome, rest) = match attempt(&input.accept) {
        Err(AcceptError::Unknown { ids }) => {
            let rest = BTreeSet::from_iter(ids);
            (attempt(&(&input.accept - &rest)), rest)
        }
        outcome => (outcome, BTreeSet::new()),
    };
    let mut outcome = outcome.map_err(|error| make_anew::invalid_choice(&error))?;
    state.take_over_removed(&mut outcome.after);
    let (desired, mut scope) = merged(state, &source.installation, &outcome.after);
    let own = |key: &ComponentKey| outcome.after.components.get(key).map(|component| component.own_key);
    scope.components.extend(outcome.apply.iter().filter_map(own));
    scope.resources.extend(
        outcome.apply_resources.iter().filter_map(|key| outcome.after.resources.get(key)).map(|one| one.own_key),
    );
    let edits = pending_edits(state, &scope);
    // What the newest record left undone may be in the cluster in part, whatever is desired and deployed by the rows.
    let newest = source.newest.as_ref().unwrap_or(&source.record);
    scope.components.extend(newest.unfinished().iter().filter_map(own));
    // What the upgrade added and never came to run is left alone, like all that it added.
    scope.components.retain(|key| {
        let pending_addition = state.components.get(key).is_some_and(|row| row.deployed.is_none());
        !pending_addition || outcome.apply.iter().filter_map(own).any(|applied| applied == *key)
    });
    // A Job is never run again by a rollback: it is as desired from now on.
    let is_job = |key: &ComponentKey| desired.components.get(key).is_some_and(|one| one.spec.kind == WorkloadKind::Job);
    scope.components.retain(|key| !is_job(key));
    let was_deployed = |key: &&ComponentKey| state.components.get(*key).is_some_and(|row| row.deployed.is_some());
    let finished_jobs = desired.components.keys().filter(|key| is_job(key)).filter(was_deployed).copied().collect();

    let mut blockers = observed.cluster_blockers();
    let revision = execute::revision(source.installation.generation + 1, Some(source.installation.id));
    let (rollout, findings) =
        observed.roll_out(&desired, &scope, &revision, Taking::Changes, Accepted::now(&input.accept)).await?;
    let unknown = make_anew::unknown(&rest, &findings.made_anew);
    let made_anew: BTreeSet<ChangeId> = findings.made_anew.iter().map(|change| change.id.clone()).collect();
    outcome.changes.extend(findings.made_anew);
    blockers.extend(state.resources_in_the_way(&outcome.after));
    blockers.extend(rollout.blockers.iter().cloned());
    blockers.extend(findings.blockers);
    let mut warnings = outcome.warnings.clone();
    warnings.extend(edits);
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
        accepted: &input.accept - &unknown,
        supplied: BTreeSet::new(),
        live_fields: json!({ "application": state.application.generation, "warnings": warnings, "taken": rollout.taken, "madeAnew": &made_anew }),
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
    Ok(Decided { plan, steps, outcome, before, deadline, finished_jobs, unknown, made_anew })
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
    let Source { record: of, installation, .. } = source;
    let new = NewRecord {
        plan: &decided.plan,
        steps: decided.steps,
        rollback_of: Some(of.id),
        to_version: of.snapshot.0.version_id,
        changes: decided.outcome.changes,
        left: decided.outcome.left_for_people,
        before: decided.before,
        after: decided.outcome.after,
        request: RecordRequest {
            selection: None,
            accepted: input.accept.clone(),
            roll_back_on_failure: false,
            progress_deadline_seconds: decided.deadline,
            completes: true,
        },
        finished_jobs: decided.finished_jobs,
        secrets: None,
        lock,
        audited: actor.map(|actor| (actor, "rollBackUpgrade", encode_text(of.id))),
        created_by: actor.map_or_else(|| of.created_by.clone(), |actor| actor.display_name.clone()),
    };
    let (subject, operation) = begin_record::begin(app, observed, installation, new).await?;
    Ok(Executed::Begun { subject, operation })
}
