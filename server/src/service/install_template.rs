//! Installing a version: into an application of its own, or into one that exists, of a team that exists or is made on
//! the way.

mod left;
mod place;

pub use place::{ApplicationChoice, TeamChoice};

use crate::{
    actor::Actor,
    app::App,
    clock,
    error::{Error, Result},
    graphql::id::encode_text,
    id::{ClusterId, InstallationId, VersionId},
    operation::journal::{self, NewOperation, NewStep},
    service::{
        audit::{self, Act, Subject, audited_plan},
        authorize, claims, contents, create_team,
        dry_run::{Accepted, Taking},
        execute::{self, Executed},
        rollout::{Scope, blocker},
        state::version_ref,
        supplied::{Held, Supplied},
    },
    store::{
        Stored, Word, application, component,
        installation::{self, Installation},
        team, version,
        version::{Version, VersionImage},
    },
};
use place::Place;
use ropeway_domain::{
    ComponentKey, Decision, Digest, ResourceKey, SecretId, VersionContent,
    install::{Fresh, InstallOutcome, install},
    installed::Installed,
    model::{Slug, cluster_name},
    operation::{InstallationState, OperationKind},
    plan::{Plan, PlanBasis, plan_digest},
    preflight::{Surroundings, Wanted, preflight},
    validate,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// What is to be installed where.
#[derive(Debug, Clone)]
pub struct Install {
    /// Which revision.
    pub version_id: VersionId,
    /// In which cluster.
    pub cluster_id: ClusterId,
    /// For which team.
    pub team: TeamChoice,
    /// In which application.
    pub application: ApplicationChoice,
    /// The ended installation whose volumes are taken over, with their secrets.
    pub reuse_volumes_of: Option<InstallationId>,
    /// The values that the version asks for.
    pub values: Vec<Supplied>,
    /// The plan that was looked at; none: whatever it is now.
    pub plan_digest: Option<Digest>,
    /// Seconds that a wave may take.
    pub progress_deadline_seconds: Option<i32>,
}

/// A plan with what carries it out.
struct Decided {
    plan: Plan,
    steps: Vec<NewStep>,
    outcome: InstallOutcome,
    held: Held,
}

/// What an installation rests on besides its place.
struct Source {
    version: Version,
    content: VersionContent,
    images: Vec<VersionImage>,
    /// What an ended installation left that is taken over.
    left: Installed,
}

/// What an installation would do, and everything that stands in its way.
pub async fn plan(app: &App, actor: &Actor, input: &Install) -> Result<Plan> {
    let (place, source) = observe(app, actor, input).await?;
    Ok(decide(app, &place, &source, input, clock::new_id()).await?.plan)
}

/// Installs. Without a named plan the current one is executed.
pub async fn install_template(app: &App, actor: &Actor, input: &Install) -> Result<Executed<Installation>> {
    let act = Act::new("installTemplate", Subject::Cluster(input.cluster_id), encode_text(input.version_id))
        .with_plan(input.plan_digest.as_ref());
    audited_plan(app, actor, act, async || {
        let (place, source) = observe(app, actor, input).await?;
        if let Some(operation) = place.observed.state.application.locked_by {
            return Err(execute::busy(operation));
        }
        let id = clock::new_id();
        let decided = decide(app, &place, &source, input, id).await?;
        if input.plan_digest.as_ref().is_some_and(|digest| *digest != decided.plan.digest) {
            return Ok(Executed::Stale(decided.plan));
        }
        execute::check_executable(&decided.plan)?;
        commit(app, actor, &place, &source, decided, id).await
    })
    .await
}

async fn observe(app: &App, actor: &Actor, input: &Install) -> Result<(Place, Source)> {
    let mut conn = app.database.read().await?;
    let (version, template) = authorize::version(&mut conn, actor, input.version_id).await?;
    if version.is_hidden {
        return Err(Error::NotFound("the version"));
    }
    let content = contents::load(&mut conn, &[version.id]).await?.remove(&version.id.0);
    let content = content.ok_or_else(|| Error::internal("the content of a version is missing"))?;
    let images = version::images(&mut conn, &[version.id]).await?;
    drop(conn);
    let place = Place::find(app, actor, input, &template).await?;
    let left = left::find(app, &place, template.id, input.reuse_volumes_of).await?;
    Ok((place, Source { version, content, images, left }))
}

async fn decide(
    app: &App,
    place: &Place,
    source: &Source,
    input: &Install,
    installation: InstallationId,
) -> Result<Decided> {
    let observed = &place.observed;
    let application = &observed.state.application;
    let deadline = execute::deadline(app, input.progress_deadline_seconds)?;
    let held = Held::new(&input.values, &source.content)?;
    let slug: Slug = application.slug.parse().map_err(Error::internal)?;
    let mut taken: BTreeSet<String> = names_taken(app, application.cluster_id, &application.namespace).await?;
    let in_use = left::in_use(place, &taken, &source.left);
    let nothing = Installed::default();
    let earlier = if in_use.is_empty() { &source.left } else { &nothing };
    taken.extend(earlier.names().into_values());
    let mut outcome = {
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
        install(&source.content, &version_ref(&source.version), &held.values, earlier, &mut fresh)
    };
    observed.state.take_over_removed(&mut outcome.after);
    let own = outcome.after.to_own_keys();
    let mut desired = observed.state.whole(crate::service::state::Side::Desired);
    desired.components.extend(own.components.clone());
    desired.resources.extend(own.resources.clone());
    let scope = Scope {
        components: own.components.keys().copied().collect(),
        resources: own.resources.keys().copied().collect(),
        ..Scope::default()
    };

    let mut blockers = observed.cluster_blockers();
    blockers.extend(outcome.blockers.iter().cloned());
    blockers.extend(observed.state.resources_in_the_way(&outcome.after));
    blockers.extend(place.blockers.iter().cloned());
    blockers.extend(in_use);
    blockers.extend(left::held(place, &source.left).await?);
    let specs: Vec<_> = own.components.values().map(|one| one.spec.clone()).collect();
    let resources: Vec<_> = own.resources.values().map(|one| one.spec.clone()).collect();
    for problem in validate::application(&specs, &resources) {
        blockers.push(blocker(problem.code.as_str(), format!("{}: {}", problem.path.join("/"), problem.message)));
    }
    let found = check(app, place, source, &outcome).await?;
    blockers.extend(found.blockers);
    let revision = execute::revision(1, Some(installation));
    let (rollout, findings) =
        observed.roll_out(&desired, &scope, &revision, Taking::Changes, Accepted::now(&BTreeSet::new())).await?;
    blockers.extend(rollout.blockers.iter().cloned());
    blockers.extend(findings.blockers);
    let mut warnings = outcome.warnings.clone();
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
        operation: OperationKind::Install.to_string(),
        generation: application.generation,
        version: Some(source.content.digest()),
        driver,
        driver_config,
        selection: None,
        accepted: BTreeSet::new(),
        supplied: held.values.keys().cloned().collect(),
        live_fields: json!({
            "cluster": application.cluster_id,
            "namespace": application.namespace,
            "application": application.slug,
            "reuseVolumesOf": input.reuse_volumes_of,
            "warnings": warnings,
        }),
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
    Ok(Decided { plan, steps, outcome, held })
}

/// Whether the cluster can take the version.
async fn check(
    app: &App,
    place: &Place,
    source: &Source,
    outcome: &InstallOutcome,
) -> Result<ropeway_domain::preflight::Preflight> {
    let observed = &place.observed;
    let platforms: BTreeMap<ComponentKey, BTreeSet<String>> = source
        .images
        .iter()
        .map(|image| {
            let architecture = |platform: &String| platform.split('/').nth(1).map(str::to_owned);
            (image.component_key.0, image.platforms.0.iter().filter_map(architecture).collect())
        })
        .collect();
    let wanted = Wanted {
        components: outcome.after.components.values().map(|one| &one.spec).collect(),
        changed: Vec::new(),
        extended: Vec::new(),
        resources: outcome.after.resources.values().map(|one| &one.spec).collect(),
        names: &outcome.after.names(),
        platforms: &platforms,
        application_slug: place.is_new_application.then_some(observed.state.application.slug.as_str()),
        asks: &[],
        needs_library: execute::needs_library(&outcome.after),
    };
    let own = source.left.own_keys().collect();
    let claims = claims::around(app, &observed.reached, &observed.state.application, &observed.live, &own).await?;
    let around = Surroundings { application_slugs: place.slugs_taken.clone(), ..claims };
    let mut found = preflight(&observed.facts_now().await, &wanted, &around);
    found.warnings.extend(left::warnings(&source.left, &outcome.after, &around));
    Ok(found)
}

async fn names_taken(app: &App, cluster: ClusterId, namespace: &str) -> Result<BTreeSet<String>> {
    let mut conn = app.database.read().await?;
    Ok(component::names_in_namespace(&mut conn, cluster, namespace).await?.into_iter().collect())
}

async fn commit(
    app: &App,
    actor: &Actor,
    place: &Place,
    source: &Source,
    decided: Decided,
    id: InstallationId,
) -> Result<Executed<Installation>> {
    let now = app.clock.now();
    let state = &place.observed.state;
    let application = &state.application;
    let digest = decided.plan.digest.to_string();
    let kept = decided.plan.changes.iter().filter(|change| change.decision == Decision::Keep);
    let installation = Installation {
        id,
        application_id: application.id,
        team_id: application.team_id,
        cluster_id: application.cluster_id,
        template_id: source.version.template_id,
        version_id: source.version.id,
        scope: "FULL".to_owned(),
        state: Word(InstallationState::Installing),
        secret_groups: Stored(decided.outcome.after.secret_groups.clone()),
        kept_changes: Stored(kept.cloned().collect()),
        generation: 1,
        created_at: now,
        uninstalled_at: None,
        ended_as: None,
    };
    let mut conn = app.database.write().await?;
    let operation = conn
        .transaction(async |conn| {
            execute::check_published(conn, source.version.id).await?;
            if let Some(new) = &place.new_team {
                create_team::insert(conn, actor, application.team_id, new, now).await?;
            } else if let Some(opening) = &place.new_opening {
                team::insert_opening(conn, opening).await?;
            }
            if place.is_new_application {
                if application::by_slug(conn, application.cluster_id, &application.namespace, &application.slug)
                    .await?
                    .is_some()
                {
                    return Err(execute::changed_meanwhile());
                }
                application::insert(conn, application).await?;
            } else if !application::advance(conn, application.id, application.generation).await? {
                return Err(execute::changed_meanwhile());
            }
            place.observed.check_surroundings(conn).await?;
            installation::insert(conn, &installation).await?;
            decided.held.seal(app, conn, application.enterprise_id, &decided.outcome.new_secrets).await?;
            state.write_installation(conn, id, &decided.outcome.after, now).await?;
            let new = NewOperation {
                installation_id: Some(id),
                plan_digest: Some(digest.clone()),
                ..NewOperation::in_application(OperationKind::Install, application, &actor.display_name, decided.steps)
            };
            let operation = journal::begin(conn, new, now).await.map_err(execute::begin_error)?;
            let (enterprise, object) = (Some(application.enterprise_id), Some(encode_text(id)));
            audit::done(conn, actor, now, "installTemplate", enterprise, object, Some(digest)).await?;
            Ok::<_, Error>(operation)
        })
        .await?;
    drop(conn);
    execute::wake(app, &operation);
    Ok(Executed::Begun { subject: installation, operation })
}
