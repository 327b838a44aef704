//! Planning a publication: everything that it would contain, and everything that stands in its way.

mod input;

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result, UserError},
    id::TemplateId,
    service::{
        authorize, contents,
        drift::{self, Drift},
        execute,
        problems::Problems,
        publication::{DriftChoice, PublicationRequest},
        resolve_images::{FoundImage, ImageSource, ImageTrouble, resolve_images},
        rollout::blocker,
        running_images::{Running, moved, running_images},
        state::{ApplicationState, Side},
        template::may_keep,
    },
    store::{
        self, Conn,
        application::Application,
        template::{Scope, Template},
        version::{self, Version},
    },
};
use ropeway_domain::{
    Change, ComponentKey, Digest, SecretId, VersionContent, VersionNumber,
    access::TeamAction,
    change::Owner,
    deploy::plan_deployment,
    model::{Image, SecretDecision, Value},
    plan::Blocker,
    publication::{
        CurrentRevision, LibraryImage, Outcome, PublicationInput, PublicationPreview, SecretPlace, SourceComponent,
        SourceResource, SourceRun, preview,
    },
};
use ropeway_library::Platform;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What a person reviews before they submit.
#[derive(Debug, Clone)]
pub struct PublicationPlan {
    /// What would be published, what is undecided, and what stands in the way.
    pub preview: PublicationPreview,
    /// The visible revision that the number has now.
    pub replaces: Option<Version>,
    /// Edits that are not deployed, and so not published.
    pub undeployed: Vec<Change>,
    /// What was changed in the cluster, and is not published either.
    pub drift: Vec<Drift>,
    /// Over all that the plan rests on.
    pub digest: Digest,
}

/// A plan with what it takes to carry it out.
pub(super) struct Prepared {
    pub(super) plan: PublicationPlan,
    pub(super) state: ApplicationState,
    pub(super) template: Template,
    pub(super) number: VersionNumber,
    /// By published key.
    pub(super) images: Vec<PlannedImage>,
    /// Repositories of the library that may hold the same blobs.
    pub(super) known_repositories: Vec<String>,
}

/// An image of the version.
pub(super) struct PlannedImage {
    /// Of which component, by its published key.
    pub(super) key: ComponentKey,
    /// That component's key in the application.
    pub(super) own_key: ComponentKey,
    /// What people call it.
    pub(super) component_name: String,
    /// As its registry has it.
    pub(super) found: FoundImage,
    /// Where in the library it will be.
    pub(super) repository: String,
}

/// What a publication rests on, as it was observed.
struct Observed {
    base: execute::Observed,
    drift: Vec<Drift>,
    running: Running,
    template: Template,
    number: VersionNumber,
    /// The current revision of the number, hidden or not.
    current: Option<Version>,
    /// Of the template's greatest number.
    latest: Option<VersionContent>,
    platforms: Vec<Platform>,
}

/// What would be published.
pub async fn plan_publication(app: &App, actor: &Actor, request: &PublicationRequest) -> Result<PublicationPlan> {
    Ok(prepare(app, actor, request).await?.plan)
}

/// Observes and decides.
pub(super) async fn prepare(app: &App, actor: &Actor, request: &PublicationRequest) -> Result<Prepared> {
    let observed = observe(app, actor, request).await?;
    decide(app, observed, request).await
}

/// The template that an application may be published to by whoever asks: one that they keep. One that only its team sees
/// takes no version of another team, whose people would see it through what they publish.
pub(super) async fn target(
    conn: &mut Conn,
    actor: &Actor,
    application: &Application,
    id: TemplateId,
) -> Result<Template> {
    let row = authorize::template(conn, actor, id).await?;
    if row.enterprise_id != application.enterprise_id {
        return Err(Error::NotFound("the template"));
    }
    may_keep(conn, actor, row.enterprise_id, row.team_id).await?;
    if row.scope.0 == Scope::Team && row.team_id != Some(application.team_id) {
        let message = "only its own team sees this template, and the application is another team's";
        return Err(UserError::new("TEMPLATE_OF_ANOTHER_TEAM", message).at(["templateId"]).into());
    }
    Ok(row)
}

async fn observe(app: &App, actor: &Actor, request: &PublicationRequest) -> Result<Observed> {
    let mut conn = app.database.read().await?;
    let application = authorize::application(&mut conn, actor, request.application_id, TeamAction::Publish).await?;
    let template = target(&mut conn, actor, &application, request.template_id).await?;
    let (number, platforms) = input::check(request)?;
    let current = version::current(&mut conn, template.id, number.sort_key()).await?;
    let latest = version::latest(&mut conn, &[template.id]).await?.pop();
    let latest = match latest {
        None => None,
        Some(row) => {
            let bytes = version::contents(&mut conn, &[row.id]).await?.pop();
            bytes.map(|(_, bytes)| contents::read(&bytes)).transpose()?
        }
    };
    let base = execute::Observed::load(app, conn, application).await?;
    let drift = drift::drift(app, &base).await?;
    let running = running_images(&base.reached, &base.state.application).await?;
    Ok(Observed { base, drift, running, template, number, current, latest, platforms })
}

async fn decide(app: &App, observed: Observed, request: &PublicationRequest) -> Result<Prepared> {
    let Observed { base, drift, running, template, number, current, latest, platforms } = observed;
    let execute::Observed { state, library, .. } = base;
    let mut problems = Problems::new();
    let mut input = publication_input(&state, &template);
    input::apply(&mut problems, &mut input, &state, request);
    problems.finish()?;
    input.template_keys = latest.as_ref().map(|content| content.components.iter().map(|one| one.key).collect());
    input.current = current.as_ref().map(|row| CurrentRevision {
        revision: u32::try_from(row.revision).unwrap_or(u32::MAX),
        digest: row.digest.parse().unwrap_or_else(|_| Digest::of(&[])),
    });
    (input.plaintexts, input.hidden_texts) = plaintexts(app, &state, &input).await?;

    let mut found = HashMap::new();
    if let Some(library) = &library {
        let wanted = published(&input).map(|component| component.component.image.clone());
        found = resolve_images(app, library, wanted, &platforms).await;
    }
    let prefix = library.as_ref().map(|library| library.prefix.as_str()).unwrap_or_default();
    let repositories = repositories(&input, &found, &template, prefix, latest.as_ref());
    for component in published(&input).map(|source| &source.component).cloned().collect::<Vec<_>>() {
        if let (Some(Ok(image)), Some(repository)) = (found.get(&component.image), repositories.get(&component.key)) {
            let image = LibraryImage { repository: repository.clone(), digest: image.digest.clone() };
            input.images.insert(component.key, image);
        }
    }

    let mut preview = preview(&input);
    note_images(&mut preview, &input, &found);
    note_moved(&mut preview, &input, &found, &running);
    let undeployed: Vec<Change> = plan_deployment(&state.whole(Side::Deployed), &state.whole(Side::Desired))
        .into_iter()
        .filter(|change| !is_excluded(&input, change.owner))
        .collect();
    let drift: Vec<Drift> = drift
        .into_iter()
        .filter(|one| match one.owner {
            ropeway_drivers::Owner::Application => true,
            ropeway_drivers::Owner::Component(key) => !is_excluded(&input, Owner::Component(key)),
            ropeway_drivers::Owner::Resource(key) => !is_excluded(&input, Owner::Resource(key)),
        })
        .collect();
    if library.is_none() {
        preview.blockers.push(blocker("NO_LIBRARY", "the enterprise has no library: configure one first"));
    }
    if state.application.locked_by.is_some() {
        let message = "an operation is changing the application; what is deployed is known when it has ended";
        preview.blockers.push(blocker("APPLICATION_BUSY", message));
    }
    note_differences(&mut preview, &undeployed, &drift, request.on_drift);
    if let (Outcome::Unchanged { revision }, Some(_)) = (preview.outcome, &current) {
        let message = format!(
            "{number} has this very content as its revision {revision}: there will be no new revision, only its alias, \
             description and spelling are written anew"
        );
        preview.warnings.push(message);
    }
    preview.blockers.sort();
    preview.blockers.dedup();
    preview.warnings.sort();
    preview.warnings.dedup();

    let images = planned_images(&input, &preview, &found, &repositories);
    let digest =
        plan_digest(&state, &template, &number, current.as_ref(), &preview, &undeployed, &drift, &images, request);
    let known_repositories = known_repositories(latest.as_ref());
    let replaces = current.filter(|row| !row.is_hidden);
    let plan = PublicationPlan { preview, replaces, undeployed, drift, digest };
    Ok(Prepared { plan, state, template, number, images, known_repositories })
}

/// The application as it is deployed. What never was stands in it as well, so that it is told.
fn publication_input(state: &ApplicationState, template: &Template) -> PublicationInput {
    let of_template: BTreeSet<_> =
        state.installations.iter().filter(|one| one.template_id == template.id).map(|one| one.id).collect();
    let components = state.components.values().filter_map(|row| {
        let (spec, run) = match (&row.deployed, &row.desired) {
            (Some(deployed), _) if deployed.0.scale.replicas == 0 => (deployed, SourceRun::Stopped),
            (Some(deployed), _) => (deployed, SourceRun::Running),
            (None, Some(desired)) => (desired, SourceRun::NeverRan),
            (None, None) => return None,
        };
        let installed = row.installation_id.is_some_and(|id| of_template.contains(&id));
        let template_key = row.template_key.filter(|_| installed).map(|key| key.0);
        Some(SourceComponent { component: spec.0.clone(), template_key, run })
    });
    let resources = state.resources.values().filter_map(|row| {
        let installed = row.installation_id.is_some_and(|id| of_template.contains(&id));
        let template_key = row.template_key.filter(|_| installed).map(|key| key.0);
        Some(SourceResource { resource: row.deployed.as_ref()?.0.clone(), template_key })
    });
    let names = state.components.iter().map(|(key, row)| (*key, row.cluster_name.as_str()));
    PublicationInput {
        components: components.collect(),
        resources: resources.collect(),
        hosts: ropeway_domain::names::host_names(names, &state.application.namespace),
        ..PublicationInput::default()
    }
}

/// The components that are not left out.
fn published(input: &PublicationInput) -> impl Iterator<Item = &SourceComponent> {
    input.components.iter().filter(|source| !input.excluded_components.contains(&source.component.key))
}

/// The plain texts of the sealed values that a person decided to be public, and apart from them those of the others.
async fn plaintexts(
    app: &App,
    state: &ApplicationState,
    input: &PublicationInput,
) -> Result<(BTreeMap<SecretId, String>, BTreeMap<SecretId, String>)> {
    let (mut wanted, mut public) = (BTreeSet::new(), BTreeSet::new());
    let mut look = |owner: Owner, path: String, value: &Value, said: Option<&SecretDecision>| {
        let decision = input.decisions.get(&SecretPlace { owner, path }).or(said);
        if let Value::Sealed { sealed } = value {
            wanted.insert(*sealed);
            if decision == Some(&SecretDecision::Public) {
                public.insert(*sealed);
            }
        }
    };
    for source in published(input) {
        let own = &source.component;
        let owner = Owner::Component(own.key);
        let edit = input.edits.get(&own.key);
        let environment = edit.and_then(|edit| edit.environment.as_ref()).unwrap_or(&own.environment);
        let offered = edit.and_then(|edit| edit.connection_info.as_ref()).unwrap_or(&own.connection_info);
        let files = edit.and_then(|edit| edit.config_files.as_ref()).unwrap_or(&own.config_files);
        for (field, list) in [("environment", environment), ("connectionInfo", offered)] {
            for one in list {
                look(owner, format!("{field}/{}", one.name), &one.value, one.decision.as_ref());
            }
        }
        for file in files {
            look(owner, format!("configFiles/{}", file.path), &file.content, file.decision.as_ref());
        }
    }
    for source in &input.resources {
        let owner = Owner::Resource(source.resource.key);
        for one in &source.resource.secret_data {
            look(owner, format!("secretData/{}", one.name), &one.value, one.decision.as_ref());
        }
    }
    if wanted.is_empty() {
        return Ok((BTreeMap::new(), BTreeMap::new()));
    }
    let ids: Vec<SecretId> = wanted.into_iter().collect();
    let mut conn = app.database.read().await?;
    let rows = store::sealed_value::by_ids(&mut conn, state.application.enterprise_id, &ids).await?;
    let open = |row: store::sealed_value::SealedValue| Ok((row.id.0, row.open(&app.sealer)?.expose().to_owned()));
    let texts: BTreeMap<SecretId, String> = rows.into_iter().map(open).collect::<Result<_>>()?;
    Ok(texts.into_iter().partition(|(id, _)| public.contains(id)))
}

/// Where in the library each component's image will be. What is there already stays; a component keeps the repository
/// that it has in the latest version, whatever it is called now; the same image is copied once.
fn repositories(
    input: &PublicationInput,
    found: &HashMap<Image, Result<FoundImage, ImageTrouble>>,
    template: &Template,
    prefix: &str,
    latest: Option<&VersionContent>,
) -> BTreeMap<ComponentKey, String> {
    let kept: BTreeMap<ComponentKey, &str> = latest
        .iter()
        .flat_map(|content| &content.components)
        .filter_map(|component| match &component.image {
            Image::Library { repository, .. } if repository.starts_with(prefix) => {
                Some((component.key, repository.as_str()))
            }
            _ => None,
        })
        .collect();
    let mut of_image: HashMap<(&ImageSource, &Digest), String> = HashMap::new();
    let mut repositories = BTreeMap::new();
    for source in published(input) {
        let own = &source.component;
        let Some(Ok(image)) = found.get(&own.image) else { continue };
        let repository = match &image.source {
            ImageSource::Library { repository } => repository.clone(),
            ImageSource::Elsewhere { .. } => {
                let key = input.key_mapping.get(&own.key).copied().or(source.template_key).unwrap_or(own.key);
                let known = of_image.get(&(&image.source, &image.source_digest)).cloned();
                let named = || format!("{}/{}", template_repository(prefix, template.id), own.slug);
                kept.get(&key).map(|kept| (*kept).to_owned()).or(known).unwrap_or_else(named)
            }
        };
        of_image.entry((&image.source, &image.source_digest)).or_insert_with(|| repository.clone());
        repositories.insert(own.key, repository);
    }
    repositories
}

/// Under which all repositories of a template are, whatever it is called.
pub(super) fn template_repository(prefix: &str, id: TemplateId) -> String {
    format!("{prefix}{}", &id.0.simple().to_string()[20..])
}

/// Says of each image that was not found why, in place of the plain statement that it was not.
fn note_images(
    preview: &mut PublicationPreview,
    input: &PublicationInput,
    found: &HashMap<Image, Result<FoundImage, ImageTrouble>>,
) {
    let keys: BTreeMap<ComponentKey, ComponentKey> =
        preview.keys.iter().map(|(published, own)| (*own, *published)).collect();
    for source in published(input) {
        let own = &source.component;
        let Some(Err(trouble)) = found.get(&own.image) else { continue };
        let component = keys.get(&own.key).copied();
        preview.blockers.retain(|one| one.code != "IMAGE_UNRESOLVED" || one.component != component);
        let message = format!("the image of {}: {}", own.name, trouble.message);
        preview.blockers.push(Blocker { code: trouble.code.to_owned(), message, component });
    }
}

/// A tag that names another image than the one that runs would publish what was never deployed.
fn note_moved(
    preview: &mut PublicationPreview,
    input: &PublicationInput,
    found: &HashMap<Image, Result<FoundImage, ImageTrouble>>,
    running: &Running,
) {
    let keys: BTreeMap<ComponentKey, ComponentKey> =
        preview.keys.iter().map(|(published, own)| (*own, *published)).collect();
    for source in published(input) {
        let own = &source.component;
        let Image::Reference { reference, .. } = &own.image else { continue };
        let runs = running.get(&(own.key, reference.clone()));
        let (Some(Ok(image)), Some(runs)) = (found.get(&own.image), runs) else { continue };
        let Some(runs) = moved(image, runs) else { continue };
        let message = format!(
            "the image of {}: {reference} is {} by now, and {runs} runs; name the digest that is meant, and deploy that",
            own.name, image.source_digest
        );
        if image.chosen.is_some() {
            // What runs may be of a platform that is left out.
            preview.warnings.push(message);
        } else {
            let component = keys.get(&own.key).copied();
            preview.blockers.push(Blocker { code: "IMAGE_MOVED".to_owned(), message, component });
        }
    }
}

/// What is published is what is deployed: where the application is otherwise, a person must say that they know.
fn note_differences(
    preview: &mut PublicationPreview,
    undeployed: &[Change],
    drift: &[Drift],
    choice: Option<DriftChoice>,
) {
    if choice.is_some() {
        return;
    }
    let instead = "or say onDrift: PUBLISH_DEPLOYED to publish what was deployed";
    if !undeployed.is_empty() {
        let message = format!("{} edits are not deployed: deploy them first, {instead}", undeployed.len());
        preview.blockers.push(blocker("UNDEPLOYED_EDITS", message));
    }
    if !drift.is_empty() {
        let message = format!(
            "the cluster differs from what was deployed in {} places: deploy again to undo that, {instead}",
            drift.len()
        );
        preview.blockers.push(blocker("DRIFT_UNDECIDED", message));
    }
}

fn is_excluded(input: &PublicationInput, owner: Owner) -> bool {
    match owner {
        Owner::Component(key) => input.excluded_components.contains(&key),
        Owner::Resource(key) => input.excluded_resources.contains(&key),
    }
}

fn planned_images(
    input: &PublicationInput,
    preview: &PublicationPreview,
    found: &HashMap<Image, Result<FoundImage, ImageTrouble>>,
    repositories: &BTreeMap<ComponentKey, String>,
) -> Vec<PlannedImage> {
    let of = |key: &ComponentKey| published(input).find(|source| source.component.key == *key);
    let planned = preview.keys.iter().filter_map(|(key, own_key)| {
        let own = &of(own_key)?.component;
        let found = found.get(&own.image)?.as_ref().ok()?.clone();
        let repository = repositories.get(own_key)?.clone();
        Some(PlannedImage { key: *key, own_key: *own_key, component_name: own.name.clone(), found, repository })
    });
    planned.collect()
}

/// Repositories of the latest version: their blobs can be mounted.
fn known_repositories(latest: Option<&VersionContent>) -> Vec<String> {
    let mut known: Vec<String> = latest
        .iter()
        .flat_map(|content| &content.components)
        .filter_map(|component| match &component.image {
            Image::Library { repository, .. } => Some(repository.clone()),
            Image::Reference { .. } => None,
        })
        .collect();
    known.sort();
    known.dedup();
    known
}

#[expect(clippy::too_many_arguments, reason = "each is a part of what the plan rests on")]
fn plan_digest(
    state: &ApplicationState,
    template: &Template,
    number: &VersionNumber,
    current: Option<&Version>,
    preview: &PublicationPreview,
    undeployed: &[Change],
    drift: &[Drift],
    images: &[PlannedImage],
    request: &PublicationRequest,
) -> Digest {
    let sources: Vec<_> = images.iter().map(|image| (image.key, &image.found.source_digest)).collect();
    let undeployed: BTreeSet<_> = undeployed.iter().map(|change| &change.id).collect();
    let drift: BTreeSet<_> = drift.iter().map(|one| &one.id).collect();
    Digest::of_value(&json!({
        "operation": "SYNC_IMAGES",
        "application": state.application.id,
        "generation": state.application.generation,
        "template": template.id,
        "number": number.as_str(),
        "current": current.map(|row| (row.id, row.is_hidden)),
        "content": preview.digest,
        "sources": sources,
        "undeployed": undeployed,
        "drift": drift,
        "warnings": preview.warnings,
        "alias": request.alias,
        "description": request.description,
    }))
}
