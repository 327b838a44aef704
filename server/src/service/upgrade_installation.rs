//! Upgrading an installation to another version.

use crate::{
    actor::Actor,
    app::App,
    clock,
    error::{Error, Result},
    graphql::id::encode_text,
    id::{InstallationId, TeamId, VersionId},
    operation::journal::{Lock, NewStep},
    service::{
        audit::{Act, Subject, audited_plan},
        authorize,
        begin_record::{self, NewRecord},
        claims, contents,
        dry_run::{Accepted, Taking},
        execute::{self, Executed, Observed},
        make_anew,
        rollout::{Scope, blocker},
        state::{Side, version_ref},
        supplied::{Held, Supplied},
    },
    store::{
        component,
        installation::Installation,
        record::{self, Record, RecordRequest},
        template::{Scope as TemplateScope, Template},
        version::{self, Version},
    },
};
use ropeway_domain::{
    Change, ChangeId, ComponentKey, Digest, ResourceKey, SecretId, VersionContent,
    access::TeamAction,
    change::Owner,
    deploy::plan_deployment,
    install::Fresh,
    installed::Installed,
    model::{Slug, cluster_name},
    number::{VersionNumber, is_upgrade},
    operation::OperationKind,
    plan::{Plan, PlanBasis, plan_digest},
    preflight::{Surroundings, Wanted, preflight},
    upgrade::{AcceptError, UpgradeError, UpgradeInput, UpgradeOutcome, upgrade},
    validate,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What is to be upgraded to what.
#[derive(Debug, Clone)]
pub struct Upgrade {
    /// Which installation.
    pub installation_id: InstallationId,
    /// To which revision.
    pub version_id: VersionId,
    /// The chosen components, by template key; none: all.
    pub components: Option<BTreeSet<ComponentKey>>,
    /// The offered changes that are accepted.
    pub accept: BTreeSet<ChangeId>,
    /// The values that the version asks for.
    pub values: Vec<Supplied>,
    /// The plan that was looked at; none: whatever it is now.
    pub plan_digest: Option<Digest>,
    /// Whether a failure is rolled back by itself.
    pub roll_back_on_failure: bool,
    /// Seconds that a wave may take.
    pub progress_deadline_seconds: Option<i32>,
}

/// What an upgrade rests on besides the application.
struct Source {
    installation: Installation,
    target: Version,
    contents: BTreeMap<Uuid, VersionContent>,
    platforms: BTreeMap<ComponentKey, BTreeSet<String>>,
    names_taken: BTreeSet<String>,
    /// The components, by template key, that the newest record did not bring to where it wanted them.
    unfinished: BTreeSet<ComponentKey>,
    /// The claims in the namespace.
    around: Surroundings,
}

/// A plan with what carries it out.
struct Decided {
    plan: Plan,
    steps: Vec<NewStep>,
    outcome: UpgradeOutcome,
    before: Installed,
    held: Held,
    deadline: u32,
    /// Jobs that are as desired without being run again, by own key.
    finished_jobs: BTreeSet<ComponentKey>,
    /// What was accepted and is not offered.
    unknown: BTreeSet<ChangeId>,
}

/// What an upgrade would change, keep and offer.
pub async fn plan(app: &App, actor: &Actor, input: &Upgrade) -> Result<Plan> {
    let (observed, source) = observe(app, actor, input, TeamAction::View).await?;
    let decided = decide(app, &observed, &source, input).await?;
    make_anew::check_accepted(&decided.plan, &decided.unknown)?;
    Ok(decided.plan)
}

/// Upgrades. Without a named plan the current one is made, recorded and executed.
pub async fn upgrade_installation(app: &App, actor: &Actor, input: &Upgrade) -> Result<Executed<Record>> {
    let subject = Subject::Installation(input.installation_id);
    let act = Act::new("upgradeInstallation", subject, encode_text(input.installation_id))
        .with_plan(input.plan_digest.as_ref());
    audited_plan(app, actor, act, async || {
        let (observed, source) = observe(app, actor, input, TeamAction::Install).await?;
        if let Some(operation) = observed.state.application.locked_by {
            return Err(execute::busy(operation));
        }
        let decided = decide(app, &observed, &source, input).await?;
        if input.plan_digest.as_ref().is_some_and(|digest| *digest != decided.plan.digest) {
            return Ok(Executed::Stale(decided.plan));
        }
        execute::check_executable(&decided.plan)?;
        make_anew::check_accepted(&decided.plan, &decided.unknown)?;
        commit(app, actor, &observed, &source, input, decided).await
    })
    .await
}

async fn observe(app: &App, actor: &Actor, input: &Upgrade, action: TeamAction) -> Result<(Observed, Source)> {
    let mut conn = app.database.read().await?;
    let (installation, application) = authorize::installation(&mut conn, actor, input.installation_id, action).await?;
    if installation.uninstalled_at.is_some() {
        return Err(Error::NotFound("the installation"));
    }
    execute::check_not_ending(&installation)?;
    let (target, template) = authorize::version(&mut conn, actor, input.version_id).await?;
    check_reach(&template, installation.team_id)?;
    let at = version::find(&mut conn, installation.version_id).await?;
    let at = at.ok_or_else(|| Error::internal("the version of an installation is missing"))?;
    check_target(&at, &target)?;
    let names_taken = component::names_in_namespace(&mut conn, application.cluster_id, &application.namespace).await?;
    let images = version::images(&mut conn, &[target.id]).await?;
    let unfinished = record::newest(&mut conn, installation.id).await?.map(|newest| newest.unfinished());
    let observed = Observed::load(app, conn, application).await?;
    let state = &observed.state;
    let around = claims::around(app, &observed.reached, &state.application, &observed.live, &state.own_keys()).await?;
    let mut ids: BTreeSet<VersionId> = observed.state.versions.keys().copied().collect();
    ids.insert(target.id);
    let contents = contents::load(&mut app.database.read().await?, &Vec::from_iter(ids)).await?;
    let architecture = |platform: &String| platform.split('/').nth(1).map(str::to_owned);
    let platforms = images
        .iter()
        .map(|image| (image.component_key.0, image.platforms.0.iter().filter_map(architecture).collect()))
        .collect();
    let names_taken = names_taken.into_iter().collect();
    let unfinished = unfinished.unwrap_or_default();
    Ok((observed, Source { installation, target, contents, platforms, names_taken, unfinished, around }))
}

/// Newer time alone is not enough: the number must be greater, or the revision of the same number later.
fn check_target(at: &Version, target: &Version) -> Result<()> {
    let number = |version: &Version| version.number.parse::<VersionNumber>().map_err(Error::internal);
    let revision = |version: &Version| u32::try_from(version.revision).unwrap_or(u32::MAX);
    if target.template_id != at.template_id {
        let message = "this is a version of another template";
        return Err(Error::invalid("OTHER_TEMPLATE", ["versionId"], message));
    }
    let (from, to) = (number(at)?, number(target)?);
    if target.is_hidden || !target.is_current || !is_upgrade((&from, revision(at)), (&to, revision(target))) {
        let message = format!(
            "{} is no upgrade of {}: its number must be greater, or it must be a later revision of the same number",
            target.number, at.number
        );
        return Err(Error::invalid("NO_UPGRADE", ["versionId"], message));
    }
    Ok(())
}

async fn decide(app: &App, observed: &Observed, source: &Source, input: &Upgrade) -> Result<Decided> {
    let state = &observed.state;
    let deadline = execute::deadline(app, input.progress_deadline_seconds)?;
    let target = source.contents.get(&source.target.id.0);
    let target = target.ok_or_else(|| Error::internal("the content of a version is missing"))?;
    let held = Held::new(&input.values, target)?;
    let before = state.of_installation(&source.installation, Side::Desired);
    let at = state.version_ref(source.installation.version_id);
    let at = at.ok_or_else(|| Error::internal("the version of an installation is missing"))?;
    let slug: Slug = state.application.slug.parse().map_err(Error::internal)?;
    let attempt = |accept: &BTreeSet<ChangeId>| {
        let mut taken = source.names_taken.clone();
        let mut component = |own: &Slug| {
            let name = cluster_name(&slug, own, |name| taken.contains(name));
            taken.insert(name.clone());
            (ComponentKey(clock::new_uuid()), name)
        };
        let mut fresh = Fresh {
            component: &mut component,
            resource: &mut || ResourceKey(clock::new_uuid()),
            secret: &mut || SecretId(clock::new_uuid()),
        };
        let input = UpgradeInput {
            installed: &before,
            installation: &at,
            contents: &source.contents.iter().map(|(id, content)| (*id, content)).collect(),
            target,
            target_ref: &version_ref(&source.target),
            selection: input.components.as_ref(),
            accept,
            kept: &source.installation.kept_changes.0,
            supplied: &held.values,
        };
        upgrade(&input, &mut fresh)
    };
    // What the rules do not know may be about an object that the cluster cannot change.
    let (outcome, rest) = match attempt(&input.accept) {
        Err(UpgradeError::Accept(AcceptError::Unknown { ids })) => {
            let rest = BTreeSet::from_iter(ids);
            (attempt(&(&input.accept - &rest)), rest)
        }
        outcome => (outcome, BTreeSet::new()),
    };
    let mut outcome = outcome.map_err(|error| make_anew::invalid_choice(&error))?;
    state.take_over_removed(&mut outcome.after);
    let (desired, mut scope) = merged(state, &source.installation, &outcome.after);
    let own = |key: &ComponentKey| outcome.after.components.get(key).map(|component| component.own_key);
    let is_chosen = |key: &&ComponentKey| input.components.as_ref().is_none_or(|chosen| chosen.contains(*key));
    if input.components.is_some() {
        // What was not chosen waits, with what was desired of it before.
        let chosen: BTreeSet<_> = outcome.after.components.keys().filter(is_chosen).filter_map(own).collect();
        scope.components.retain(|key| chosen.contains(key));
    }
    if !outcome.is_complete {
        scope.resources.clear();
    }
    let edits = pending_edits(state, &scope);
    let unfinished = source.unfinished.iter().filter(is_chosen);
    scope.components.extend(outcome.apply.iter().chain(unfinished).filter_map(own));
    for key in &outcome.apply_resources {
        match (outcome.after.resources.get(key), before.resources.get(key)) {
            (Some(resource), _) => _ = scope.resources.insert(resource.own_key),
            // A person accepted its deletion: also where it is a claim.
            (None, Some(resource)) => {
                scope.gone_resources.insert(resource.own_key);
                scope.doomed_claims.insert(resource.own_key);
            }
            (None, None) => {}
        }
    }

    let finished_jobs = scope.leave_finished_jobs(state, &desired);
    let mut blockers = observed.cluster_blockers();
    blockers.extend(outcome.blockers.iter().cloned());
    blockers.extend(state.resources_in_the_way(&outcome.after));
    let specs: Vec<_> = desired.components.values().map(|one| one.spec.clone()).collect();
    let resources: Vec<_> = desired.resources.values().map(|one| one.spec.clone()).collect();
    for problem in validate::application(&specs, &resources) {
        blockers.push(blocker(problem.code.as_str(), format!("{}: {}", problem.path.join("/"), problem.message)));
    }
    let found = {
        let new = |key: &&ComponentKey| !before.components.contains_key(*key);
        let new_resource = |key: &&ResourceKey| !before.resources.contains_key(*key);
        let wanted = Wanted {
            components: outcome
                .after
                .components
                .keys()
                .filter(new)
                .map(|key| &outcome.after.components[key].spec)
                .collect(),
            changed: outcome
                .after
                .components
                .iter()
                .filter(|(key, after)| {
                    before.components.get(*key).is_some_and(|here| {
                        (&here.spec.image, &here.spec.probes) != (&after.spec.image, &after.spec.probes)
                    })
                })
                .map(|(_, after)| &after.spec)
                .collect(),
            extended: outcome
                .after
                .components
                .iter()
                .filter_map(|(key, after)| Some(after.spec.with_new_volumes(&before.components.get(key)?.spec)))
                .collect(),
            resources: outcome
                .after
                .resources
                .keys()
                .filter(new_resource)
                .map(|key| &outcome.after.resources[key].spec)
                .collect(),
            names: &outcome.after.names(),
            platforms: &source.platforms,
            application_slug: None,
            asks: &[],
            needs_library: execute::needs_library(&outcome.after),
        };
        preflight(&observed.facts_now().await, &wanted, &source.around)
    };
    blockers.extend(found.blockers);
    let revision = execute::revision(source.installation.generation + 1, Some(source.installation.id));
    let (rollout, findings) =
        observed.roll_out(&desired, &scope, &revision, Taking::Changes, Accepted::now(&input.accept)).await?;
    let unknown = make_anew::unknown(&rest, &findings.made_anew);
    let made_anew: Vec<ChangeId> = findings.made_anew.iter().map(|change| change.id.clone()).collect();
    outcome.changes.extend(findings.made_anew);
    blockers.extend(rollout.blockers.iter().cloned());
    blockers.extend(findings.blockers);
    let mut warnings = outcome.warnings.clone();
    warnings.extend(edits);
    warnings.extend(found.warnings);
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
        operation: OperationKind::Upgrade.to_string(),
        generation: source.installation.generation,
        version: Some(target.digest()),
        driver,
        driver_config,
        selection: input.components.clone(),
        accepted: &input.accept - &unknown,
        supplied: held.values.keys().cloned().collect(),
        live_fields: json!({ "application": state.application.generation, "warnings": warnings, "taken": rollout.taken, "madeAnew": made_anew }),
    };
    let plan = Plan {
        digest: plan_digest(&basis),
        blockers,
        warnings,
        changes: outcome.changes.clone(),
        left: Vec::new(),
        steps: execute::shown(&steps),
        asks: outcome.asks.clone(),
    };
    Ok(Decided { plan, steps, outcome, before, held, deadline, finished_jobs, unknown })
}

/// A template of one team is for that team only, whoever asks.
pub(super) fn check_reach(template: &Template, team: TeamId) -> Result<()> {
    match template.team_id {
        Some(owner) if template.scope.0 == TemplateScope::Team && owner != team => Err(Error::NotFound("the version")),
        _ => Ok(()),
    }
}

/// Edits that were never deployed and go along, one line each.
pub(super) fn pending_edits(state: &crate::service::state::ApplicationState, scope: &Scope) -> Vec<String> {
    let changes = plan_deployment(&state.whole(Side::Deployed), &state.whole(Side::Desired));
    let goes = |owner: Owner| match owner {
        Owner::Component(key) => scope.components.contains(&key),
        Owner::Resource(key) => scope.resources.contains(&key),
    };
    let line = |change: &Change| {
        format!("{}: {} was desired already and not deployed; it goes along", change.owner_name, change.path)
    };
    changes.iter().filter(|change| goes(change.owner)).map(line).collect()
}

/// The whole application with an installation in another state, in own keys, and what of it was never brought to the
/// cluster as it is desired: it is applied as well.
pub(super) fn merged(
    state: &crate::service::state::ApplicationState,
    installation: &Installation,
    after: &Installed,
) -> (Installed, Scope) {
    let own = after.to_own_keys();
    let mut desired = state.whole(Side::Desired);
    desired.components.retain(|key, _| state.components[key].installation_id != Some(installation.id));
    desired.resources.retain(|key, _| state.resources[key].installation_id != Some(installation.id));
    desired.components.extend(own.components.clone());
    desired.resources.extend(own.resources.clone());
    let pending = state.components.iter().filter(|(key, row)| {
        row.installation_id == Some(installation.id) && row.desired != row.deployed && own.components.contains_key(key)
    });
    let pending_resources = state.resources.iter().filter(|(key, row)| {
        row.installation_id == Some(installation.id) && row.desired != row.deployed && own.resources.contains_key(key)
    });
    let scope = Scope {
        components: pending.map(|(key, _)| *key).collect(),
        resources: pending_resources.map(|(key, _)| *key).collect(),
        ..Scope::default()
    };
    (desired, scope)
}

async fn commit(
    app: &App,
    actor: &Actor,
    observed: &Observed,
    source: &Source,
    input: &Upgrade,
    decided: Decided,
) -> Result<Executed<Record>> {
    let installation = &source.installation;
    let new = NewRecord {
        plan: &decided.plan,
        steps: decided.steps,
        rollback_of: None,
        to_version: source.target.id,
        changes: decided.outcome.changes,
        left: Vec::new(),
        before: decided.before,
        after: decided.outcome.after,
        request: RecordRequest {
            selection: input.components.clone(),
            accepted: input.accept.clone(),
            roll_back_on_failure: input.roll_back_on_failure,
            progress_deadline_seconds: decided.deadline,
            completes: decided.outcome.is_complete,
        },
        finished_jobs: decided.finished_jobs,
        secrets: Some((decided.held, decided.outcome.new_secrets)),
        lock: Lock::Free,
        audited: Some((actor, "upgradeInstallation", encode_text(installation.id))),
        created_by: actor.display_name.clone(),
    };
    let (subject, operation) = begin_record::begin(app, observed, installation, new).await?;
    Ok(Executed::Begun { subject, operation })
}
