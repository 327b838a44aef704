//! Finding applications, what they consist of, and operations, by their ids. What somebody may not see does not exist
//! for them.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result},
    graphql::page::PageRequest,
    id::{ApplicationId, ClusterId, ComponentId, OperationId, ResourceId, TeamId},
    service::{
        authorize, edit,
        state::{ApplicationState, Side},
    },
    store::{
        self, Conn,
        application::{self, Application},
        component::{self, Component as ComponentRow},
        event::{self, Event},
        member,
        operation::{self, Operation},
        resource::{self, KubernetesResource as ResourceRow},
    },
};
use ropeway_domain::{
    Change, Component, ComponentKey, Value,
    access::{EnterpriseAction, TeamAction, check_enterprise},
    deploy::plan_deployment,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// An application with its components, as it is read for lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// The application.
    pub application: Application,
    /// Its components by name, those that are to be removed included.
    pub components: Vec<Arc<ComponentRow>>,
    /// What each of them shall be, or what runs of one that is to be removed. Shared: an answer may name a component many
    /// times.
    pub specs: HashMap<ComponentKey, Arc<Component<Value>>>,
}

impl Whole {
    /// An application with its components, by name.
    pub fn new(application: Application, components: Vec<ComponentRow>) -> Self {
        let spec = |row: &ComponentRow| edit::spec(row).map(|spec| (row.key.0, Arc::new(spec.clone())));
        let specs = components.iter().filter_map(spec).collect();
        Self { application, components: components.into_iter().map(Arc::new).collect(), specs }
    }
}

/// An application that somebody may see.
pub async fn find_application(app: &App, actor: &Actor, id: ApplicationId) -> Result<Application> {
    let mut conn = app.database.read().await?;
    authorize::application(&mut conn, actor, id, TeamAction::View).await
}

/// The application of a component that somebody may see.
pub async fn find_component(app: &App, actor: &Actor, id: ComponentId) -> Result<Arc<Whole>> {
    let missing = || Error::NotFound("the component");
    let mut conn = app.database.read().await?;
    let row = component::find(&mut conn, id).await?.ok_or_else(missing)?;
    let application = authorize::application(&mut conn, actor, row.application_id, TeamAction::View).await;
    let application = application.map_err(|error| as_missing(error, missing()))?;
    let components = component::of_applications(&mut conn, &[application.id]).await?;
    Ok(Arc::new(Whole::new(application, components)))
}

/// A Kubernetes resource that somebody may see.
pub async fn find_resource(app: &App, actor: &Actor, id: ResourceId) -> Result<ResourceRow> {
    let missing = || Error::NotFound("the Kubernetes resource");
    let mut conn = app.database.read().await?;
    let row = resource::find(&mut conn, id).await?.ok_or_else(missing)?;
    let seen = authorize::application(&mut conn, actor, row.application_id, TeamAction::View).await;
    seen.map_err(|error| as_missing(error, missing()))?;
    Ok(row)
}

/// An operation that somebody may see: one of their teams', or one of the platform that they administer.
pub async fn find_operation(app: &App, actor: &Actor, id: OperationId) -> Result<Operation> {
    let mut conn = app.database.read().await?;
    authorize_operation(&mut conn, actor, id, TeamAction::View, EnterpriseAction::ViewPlatform).await
}

/// An operation, if the actor may do this in its team, or that in its enterprise where it belongs to no team.
pub(super) async fn authorize_operation(
    conn: &mut Conn,
    actor: &Actor,
    id: OperationId,
    in_team: TeamAction,
    in_enterprise: EnterpriseAction,
) -> Result<Operation> {
    let missing = || Error::NotFound("the operation");
    let row = operation::find(conn, id).await?.ok_or_else(missing)?;
    match row.team_id {
        Some(team) => {
            let allowed = authorize::team(conn, actor, team, in_team).await;
            allowed.map_err(|error| as_missing(error, missing()))?;
        }
        None => {
            let role = member::role(conn, row.enterprise_id, actor.user_id).await?;
            check_enterprise(role, EnterpriseAction::ViewPlatform).map_err(|_| missing())?;
            check_enterprise(role, in_enterprise).map_err(|denial| authorize::refuse(denial, "the operation"))?;
        }
    }
    Ok(row)
}

/// A page of a team's applications, by name.
pub async fn list_applications(
    app: &App,
    team: TeamId,
    cluster: Option<ClusterId>,
    page: &PageRequest<(String, ApplicationId)>,
) -> Result<Vec<Application>> {
    let mut conn = app.database.read().await?;
    Ok(application::page(&mut conn, team, cluster, page.after.clone(), page.limit()).await?)
}

/// Applications with their components. Two queries, however many there are.
pub async fn load_wholes(app: &App, ids: &[ApplicationId]) -> Result<HashMap<ApplicationId, Arc<Whole>>> {
    let mut conn = app.database.read().await?;
    let applications = application::by_ids(&mut conn, ids).await?;
    let mut components: HashMap<ApplicationId, Vec<ComponentRow>> = HashMap::new();
    for row in component::of_applications(&mut conn, ids).await? {
        components.entry(row.application_id).or_default().push(row);
    }
    let whole = |application: Application| {
        let components = components.remove(&application.id).unwrap_or_default();
        (application.id, Arc::new(Whole::new(application, components)))
    };
    Ok(applications.into_iter().map(whole).collect())
}

/// The Kubernetes resources of applications. One query.
pub async fn load_resources(app: &App, ids: &[ApplicationId]) -> Result<HashMap<ApplicationId, Vec<ResourceRow>>> {
    let mut conn = app.database.read().await?;
    let mut found: HashMap<ApplicationId, Vec<ResourceRow>> = HashMap::new();
    for row in resource::of_applications(&mut conn, ids).await? {
        found.entry(row.application_id).or_default().push(row);
    }
    Ok(found)
}

/// How many installations of each application can be upgraded. Two queries, however many there are.
pub async fn count_upgradable(app: &App, ids: &[ApplicationId]) -> Result<HashMap<ApplicationId, i32>> {
    let mut conn = app.database.read().await?;
    let installations = store::installation::of_applications(&mut conn, ids).await?;
    let among: Vec<_> = installations.iter().map(|row| row.id).collect();
    let upgradable = store::version::upgradable(&mut conn, &among).await?;
    let mut counts: HashMap<ApplicationId, i32> = HashMap::new();
    for row in installations.iter().filter(|row| upgradable.contains(&row.id)) {
        *counts.entry(row.application_id).or_default() += 1;
    }
    Ok(counts)
}

/// Edits of an application that are not deployed yet.
pub fn undeployed(whole: &Whole, resources: Vec<ResourceRow>) -> Vec<Change> {
    let state = ApplicationState {
        application: whole.application.clone(),
        components: whole.components.iter().map(|row| (row.key.0, ComponentRow::clone(row))).collect(),
        resources: resources.into_iter().map(|row| (row.key.0, row)).collect(),
        installations: Vec::new(),
        versions: BTreeMap::new(),
    };
    plan_deployment(&state.whole(Side::Deployed), &state.whole(Side::Desired))
}

/// The events of an operation after a sequence.
pub async fn list_events(app: &App, id: OperationId, after: i64, limit: i64) -> Result<Vec<Event>> {
    let mut conn = app.database.read().await?;
    Ok(event::after(&mut conn, id, after, limit).await?)
}

fn as_missing(error: Error, missing: Error) -> Error {
    match error {
        Error::NotFound(_) => missing,
        error => error,
    }
}
