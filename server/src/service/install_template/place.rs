//! Where an installation goes: the team, its namespace, the application.

use super::Install;
use crate::{
    actor::Actor,
    app::App,
    clock,
    error::{Error, Result, UserError},
    id::{ApplicationId, TeamId},
    service::{
        authorize,
        create_team::{self, CreateTeam},
        execute::Observed,
        problems::is_display_name,
        rollout::blocker,
        state::ApplicationState,
        upgrade_installation::check_reach,
    },
    store::{
        Conn,
        application::{self, Application},
        team::{self, Opening, Team},
        template::Template,
    },
};
use ropeway_domain::{
    access::{EnterpriseAction, TeamAction},
    model::Slug,
    plan::Blocker,
    preflight::LibraryReach,
};
use std::collections::{BTreeMap, BTreeSet};

/// For which team something is installed.
#[derive(Debug, Clone)]
pub enum TeamChoice {
    /// One that exists.
    Existing(TeamId),
    /// One that is made on the way; whoever asks becomes its owner.
    New {
        /// What people call it.
        name: String,
        /// Its English name, the name of its namespace.
        slug: String,
    },
}

/// In which application something is installed.
#[derive(Debug, Clone)]
pub enum ApplicationChoice {
    /// One that exists, of the same team in the same cluster.
    Existing(ApplicationId),
    /// A new one; without a name, that of the template.
    New {
        /// What people call it.
        name: Option<String>,
    },
}

/// Where an installation goes. What is new in it is not stored yet.
pub(super) struct Place {
    pub(super) observed: Observed,
    pub(super) new_team: Option<CreateTeam>,
    pub(super) new_opening: Option<Opening>,
    pub(super) is_new_application: bool,
    pub(super) slugs_taken: BTreeSet<String>,
    pub(super) blockers: Vec<Blocker>,
}

impl Place {
    pub(super) async fn find(app: &App, actor: &Actor, input: &Install, template: &Template) -> Result<Self> {
        let mut conn = app.database.read().await?;
        let cluster = authorize::cluster(&mut conn, actor, input.cluster_id, EnterpriseAction::View).await?;
        if cluster.enterprise_id != template.enterprise_id {
            return Err(Error::NotFound("the cluster"));
        }
        let now = app.clock.now();
        let mut blockers = Vec::new();
        let (team, namespace, new_team, new_opening) = match &input.team {
            TeamChoice::Existing(id) => {
                let team = authorize::team(&mut conn, actor, *id, TeamAction::Install).await?;
                if team.enterprise_id != template.enterprise_id {
                    return Err(Error::NotFound("the team"));
                }
                check_reach(template, team.id)?;
                match team::opening(&mut conn, team.id, cluster.id).await? {
                    Some(opening) => (team, opening.namespace, None, None),
                    None => {
                        let opening = open(&mut conn, actor, app, &team, input, &mut blockers).await?;
                        (team, opening.namespace.clone(), None, Some(opening))
                    }
                }
            }
            TeamChoice::New { name, slug } => {
                let new = CreateTeam {
                    enterprise_id: template.enterprise_id,
                    name: name.clone(),
                    slug: slug.clone(),
                    cluster_ids: vec![cluster.id],
                };
                let action = EnterpriseAction::CreateTeam;
                authorize::enterprise(&mut conn, actor, template.enterprise_id, action).await?;
                create_team::check(&new).finish()?;
                let taken = team::by_slug(&mut conn, template.enterprise_id, slug).await?.is_some()
                    || team::opening_of(&mut conn, cluster.id, slug).await?.is_some();
                if taken {
                    let message = format!("the slug {slug:?} is in use; choose another one for the team");
                    blockers.push(blocker("SLUG_IN_USE", message));
                }
                let team = Team {
                    id: clock::new_id(),
                    enterprise_id: template.enterprise_id,
                    name: name.clone(),
                    slug: slug.clone(),
                    created_at: now,
                };
                check_reach(template, team.id)?;
                (team, slug.clone(), Some(new), None)
            }
        };
        let mut slugs_taken = BTreeSet::new();
        let (state, live, is_new_application) = match &input.application {
            ApplicationChoice::Existing(id) => {
                let found = authorize::application(&mut conn, actor, *id, TeamAction::Install).await?;
                if found.team_id != team.id || found.cluster_id != cluster.id {
                    let message = "the application belongs to another team, or runs in another cluster";
                    return Err(Error::invalid("OTHER_PLACE", ["applicationId"], message));
                }
                let live = crate::store::cluster_object::of_application(&mut conn, found.id).await?;
                (ApplicationState::load(&mut conn, found).await?, live, false)
            }
            ApplicationChoice::New { name } => {
                let name = name.clone().unwrap_or_else(|| template.name.clone());
                let slug = slug_of(&name)?;
                if application::by_slug(&mut conn, cluster.id, &namespace, slug.as_str()).await?.is_some() {
                    slugs_taken.insert(slug.to_string());
                }
                let new = Application {
                    id: clock::new_id(),
                    enterprise_id: template.enterprise_id,
                    team_id: team.id,
                    cluster_id: cluster.id,
                    namespace,
                    name,
                    slug: slug.to_string(),
                    generation: 1,
                    locked_by: None,
                    created_at: now,
                };
                (empty(new), Vec::new(), true)
            }
        };
        let library = crate::store::library::find(&mut conn, template.enterprise_id).await?;
        drop(conn);
        let reached = app.reach(cluster.id).await?;
        let library_reach = match &library {
            Some(library) => app.library_reach(library, cluster.id).await?,
            None => LibraryReach::Unchecked,
        };
        let observed = Observed { state, team, live, library, library_reach, reached, sealer: app.sealer.clone() };
        Ok(Self { observed, new_team, new_opening, is_new_application, slugs_taken, blockers })
    }
}

/// A team that is not open on the cluster yet is opened on the way, by whoever may.
async fn open(
    conn: &mut Conn,
    actor: &Actor,
    app: &App,
    team: &Team,
    input: &Install,
    blockers: &mut Vec<Blocker>,
) -> Result<Opening> {
    match authorize::team(conn, actor, team.id, TeamAction::OpenOnClusters).await {
        Ok(_) => {}
        Err(Error::Forbidden(_)) => {
            let message = "the team is not open on this cluster; an owner of the team has to open it there first";
            return Err(UserError::new("TEAM_NOT_OPEN", message).at(["clusterId"]).into());
        }
        Err(error) => return Err(error),
    }
    if team::opening_of(conn, input.cluster_id, &team.slug).await?.is_some() {
        let message = format!("another team has the namespace {:?} of this cluster", team.slug);
        blockers.push(blocker("NAMESPACE_IN_USE", message));
    }
    Ok(Opening {
        id: clock::new_id(),
        team_id: team.id,
        cluster_id: input.cluster_id,
        namespace: team.slug.clone(),
        created_at: app.clock.now(),
    })
}

fn slug_of(name: &str) -> Result<Slug> {
    if !is_display_name(name) {
        let message = "a name has 1 to 100 characters, none of them a control character";
        return Err(Error::invalid("INVALID_NAME", ["applicationName"], message));
    }
    Slug::from_display_name(name).ok_or_else(|| {
        let message = "no DNS label can be made of this name; choose one with some of the letters a to z";
        Error::invalid("INVALID_NAME", ["applicationName"], message)
    })
}

fn empty(application: Application) -> ApplicationState {
    ApplicationState {
        application,
        components: BTreeMap::new(),
        resources: BTreeMap::new(),
        installations: Vec::new(),
        versions: BTreeMap::new(),
    }
}
