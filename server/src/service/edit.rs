//! What all edits of an application share: they are refused while an operation changes it, they count its generation
//! up, and they take effect in the cluster with the next deployment only.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result, UserError},
    graphql::id::encode_text,
    id::{ApplicationId, ComponentId, InstallationId, VersionId},
    operation::feed::Topic,
    service::{
        audit, authorize, contents, execute,
        problems::Problems,
        state::{ApplicationState, Side},
    },
    store::{
        self, Conn, Instant, Stored, application, application_lock,
        cluster_object::{OwnerKey, of_owner},
        component::Component as ComponentRow,
        installation::Installation,
        resource::KubernetesResource as ResourceRow,
        sealed_value::SealedValue,
    },
};
use ropeway_domain::{
    Change, Component, ComponentKey, Resource, Value,
    access::TeamAction,
    kept,
    model::InvalidManifest,
    validate::{self, Code, Problem},
};
use std::collections::BTreeSet;

pub use ropeway_domain::validate::MAX_PARTS;

/// An application that somebody may edit now.
pub async fn observe(app: &App, actor: &Actor, id: ApplicationId) -> Result<ApplicationState> {
    let mut conn = app.database.read().await?;
    let application = authorize::application(&mut conn, actor, id, TeamAction::EditApplications).await?;
    if let Some(operation) = application.locked_by {
        return Err(execute::busy(operation));
    }
    ApplicationState::load(&mut conn, application).await
}

/// The beginning of an edit inside its transaction: nobody else has changed the application since it was observed, and
/// no operation does. Sealed values are stored first.
pub async fn begin(conn: &mut Conn, state: &ApplicationState, sealed: &[SealedValue]) -> Result<()> {
    if !application::advance(conn, state.id(), state.application.generation).await? {
        return Err(execute::changed_meanwhile());
    }
    if let Some(operation) = application_lock::holder(conn, state.id()).await? {
        return Err(execute::busy(operation));
    }
    for value in sealed {
        store::sealed_value::insert(conn, value).await?;
    }
    Ok(())
}

/// The end of an edit inside its transaction: the installation that it touched has another desired state, which may be
/// what was kept back, and somebody did it.
pub async fn end(
    conn: &mut Conn,
    actor: &Actor,
    now: Instant,
    action: &str,
    state: &ApplicationState,
    installation: Option<InstallationId>,
) -> Result<()> {
    if let Some(row) = installation.and_then(|id| state.installations.iter().find(|row| row.id == id)) {
        let kept_changes = Stored(still_kept(conn, state.id(), row).await?);
        store::installation::update(conn, &Installation { kept_changes, ..row.clone() }).await?;
    }
    let object = Some(encode_text(state.id()));
    audit::done(conn, actor, now, action, Some(state.application.enterprise_id), object, None).await
}

/// What upgrades kept and is still a difference, after an edit.
async fn still_kept(conn: &mut Conn, id: ApplicationId, installation: &Installation) -> Result<Vec<Change>> {
    let kept = &installation.kept_changes.0;
    if kept.is_empty() {
        return Ok(Vec::new());
    }
    let application = application::find(conn, id).await?.ok_or(Error::NotFound("the application"))?;
    let state = ApplicationState::load(conn, application).await?;
    let at = state.version_ref(installation.version_id);
    let at = at.ok_or_else(|| Error::internal("the version of an installation is missing"))?;
    let ids: Vec<VersionId> = state.versions.keys().copied().collect();
    let contents = contents::load(conn, &ids).await?;
    let contents = contents.iter().map(|(id, content)| (*id, content)).collect();
    let here = state.of_installation(installation, Side::Desired);
    kept::still_kept(&here, &at, &contents, kept).map_err(Error::internal)
}

/// Tells those who follow the application, after the commit.
pub fn tell(app: &App, id: ApplicationId) {
    app.feed.publish(Topic::Application(id));
}

/// A component's specification: what it shall be, or what runs of one that is to be removed.
pub fn spec(row: &ComponentRow) -> Option<&Component<Value>> {
    row.desired.as_ref().or(row.deployed.as_ref()).map(|spec| &spec.0)
}

/// As [`spec`], of a Kubernetes resource.
pub fn resource_spec(row: &ResourceRow) -> Option<&Resource<Value>> {
    row.desired.as_ref().or(row.deployed.as_ref()).map(|spec| &spec.0)
}

/// Adds everything that is wrong with a component as it would be, with paths into the input, and whatever it would
/// break elsewhere in the application. What was wrong elsewhere before is no fault of this edit.
pub fn check_component(state: &ApplicationState, wanted: &Component<Value>, problems: &mut Problems) {
    let (components, resources) = desired(state);
    let before: BTreeSet<Problem> = validate::application(&components, &resources).into_iter().collect();
    let mut after = components;
    let place = match after.iter().position(|one| one.key == wanted.key) {
        Some(place) => {
            after[place] = wanted.clone();
            place
        }
        None => {
            after.push(wanted.clone());
            after.len() - 1
        }
    };
    for problem in validate::application(&after, &resources) {
        let path: Vec<&str> = problem.path.iter().map(String::as_str).collect();
        let error = UserError::new(problem.code.as_str(), problem.message.clone());
        match path.as_slice() {
            ["components", index, rest @ ..] if *index == place.to_string() => problems.add(error.at(input_path(rest))),
            ["components"] if problem.code == Code::Cycle => problems.add(error.at(["settings", "dependencies"])),
            _ if before.contains(&problem) => {}
            ["components", index, ..] => {
                let other = index.parse().ok().and_then(|index: usize| after.get(index));
                let name = other.map_or("another component", |other| other.name.as_str());
                problems.add(UserError::new(problem.code.as_str(), format!("{name}: {}", problem.message)));
            }
            _ => problems.add(error),
        }
    }
}

/// Adds everything that is wrong with a Kubernetes resource as it would be.
pub fn check_resource(state: &ApplicationState, wanted: &Resource<Value>, problems: &mut Problems) {
    let (components, mut resources) = desired(state);
    resources.retain(|one| one.key != wanted.key);
    resources.push(wanted.clone());
    let place = (resources.len() - 1).to_string();
    for problem in validate::application(&components, &resources) {
        let path: Vec<&str> = problem.path.iter().map(String::as_str).collect();
        let error = UserError::new(problem.code.as_str(), problem.message.clone());
        match path.as_slice() {
            ["kubernetesResources", index, "manifest" | "secretData", rest @ ..] if *index == place => {
                problems.add(error.at(std::iter::once("manifest").chain(rest.iter().copied())));
            }
            ["kubernetesResources", index, ..] if *index == place => problems.add(error.at(["manifest"])),
            ["kubernetesResources"] => problems.add(error),
            _ => {}
        }
    }
}

/// A manifest that cannot be read, as the caller sees it.
pub fn manifest_error(error: &InvalidManifest) -> Error {
    let (code, place) = match error {
        InvalidManifest::Shape { path, .. } => ("INVALID_MANIFEST", path.as_str()),
        InvalidManifest::Kind { .. } => ("KIND_NOT_ALLOWED", "/kind"),
        InvalidManifest::TooLarge { .. } => ("TOO_LONG", ""),
    };
    let segments = place.split('/').filter(|segment| !segment.is_empty());
    let segments = segments.map(|segment| segment.replace("~1", "/").replace("~0", "~"));
    UserError::new(code, error.to_string()).at(std::iter::once("manifest".to_owned()).chain(segments)).into()
}

/// Where the domain finds a problem in a component, as a path into the input.
fn input_path<'a>(path: &[&'a str]) -> Vec<&'a str> {
    match path {
        [top @ ("name" | "slug" | "kind"), ..] => vec![top],
        ["image", ..] => vec!["image"],
        ["scale", "rule", rest @ ..] => [&["settings", "scaleRule"], rest].concat(),
        ["probes", index, rest @ ..] => {
            let rest = rest.iter().copied().filter(|segment| *segment != "action");
            ["settings", "probes", index].into_iter().chain(rest).collect()
        }
        ["scale", rest @ ..] | rest => [&["settings"], rest].concat(),
    }
}

fn desired(state: &ApplicationState) -> (Vec<Component<Value>>, Vec<Resource<Value>>) {
    let components = state.components.values().filter_map(|row| row.desired.as_ref()).map(|spec| spec.0.clone());
    let resources = state.resources.values().filter_map(|row| row.desired.as_ref()).map(|spec| spec.0.clone());
    (components.collect(), resources.collect())
}

/// Whether anything of a component or a Kubernetes resource may be in the cluster: then it is deleted there first.
pub async fn is_in_cluster(conn: &mut Conn, id: ApplicationId, key: uuid::Uuid, deployed: bool) -> Result<bool> {
    Ok(deployed || !of_owner(conn, id, Some(OwnerKey::new(key))).await?.is_empty())
}

/// The own key of a component that is part of an application and stays so.
pub fn component_key(state: &ApplicationState, id: ComponentId) -> Option<ComponentKey> {
    state.component(id).filter(|row| row.desired.is_some()).map(|row| row.key.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_told_where_they_are_in_the_input() {
        for (path, expected) in [
            (&["name"][..], &["name"][..]),
            (&["image", "reference"], &["image"]),
            (&["environment", "0", "value"], &["settings", "environment", "0", "value"]),
            (&["scale", "rule", "minMemory"], &["settings", "scaleRule", "minMemory"]),
            (&["scale", "replicas"], &["settings", "replicas"]),
            (&["probes", "1", "action", "path"], &["settings", "probes", "1", "path"]),
        ] {
            assert_eq!(input_path(path), expected);
        }
    }
}
