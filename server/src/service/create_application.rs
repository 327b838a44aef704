//! Creating applications.

use crate::{
    actor::Actor,
    app::App,
    clock,
    error::{Error, Result},
    graphql::id::encode_text,
    id::{ClusterId, TeamId},
    service::{
        audit::{self, Act, Subject, audited},
        authorize,
        problems::Problems,
    },
    store::{
        application::{self, Application},
        team,
    },
};
use ropeway_domain::{access::TeamAction, model::Slug};

/// What is wanted.
#[derive(Debug, Clone)]
pub struct CreateApplication {
    /// Whose.
    pub team_id: TeamId,
    /// Where; the team is opened there.
    pub cluster_id: ClusterId,
    /// What people call it.
    pub name: String,
    /// What the names of its objects begin with; none: made of its name.
    pub slug: Option<String>,
}

/// Creates an application without components. Nothing happens in the cluster.
pub async fn create_application(app: &App, actor: &Actor, input: CreateApplication) -> Result<Application> {
    let act = Act::new("createApplication", Subject::Team(input.team_id), encode_text(input.team_id));
    audited(app, actor, act, async || {
        let now = app.clock.now();
        let mut problems = Problems::new();
        problems.check_display_name("name", &input.name);
        let slug = slug(&input, &mut problems);
        let mut conn = app.database.write().await?;
        let application = conn
            .transaction(async |conn| {
                let team = authorize::team(conn, actor, input.team_id, TeamAction::EditApplications).await?;
                let opening = team::opening(conn, team.id, input.cluster_id).await?;
                let Some(opening) = opening else {
                    problems.at("clusterId", "TEAM_NOT_OPEN", "the team is not opened on this cluster; open it first");
                    return Err(into_error(problems));
                };
                if let Some(slug) = &slug {
                    let taken =
                        application::by_slug(conn, opening.cluster_id, &opening.namespace, slug.as_str()).await?;
                    if let Some(other) = taken {
                        problems.add(slug_in_use(slug, &other));
                    }
                }
                let Some(slug) = slug.filter(|_| problems.is_empty()) else { return Err(into_error(problems)) };
                let application = Application {
                    id: clock::new_id(),
                    enterprise_id: team.enterprise_id,
                    team_id: team.id,
                    cluster_id: opening.cluster_id,
                    namespace: opening.namespace,
                    name: input.name,
                    slug: slug.to_string(),
                    generation: 1,
                    locked_by: None,
                    created_at: now,
                };
                application::insert(conn, &application).await?;
                let object = Some(encode_text(application.id));
                let enterprise = Some(team.enterprise_id);
                audit::done(conn, actor, now, "createApplication", enterprise, object, None).await?;
                Ok(application)
            })
            .await?;
        Ok(application)
    })
    .await
}

/// The given slug, or one made of the name.
fn slug(input: &CreateApplication, problems: &mut Problems) -> Option<Slug> {
    match &input.slug {
        Some(slug) => match slug.parse() {
            Ok(slug) => Some(slug),
            Err(error) => {
                problems.at("slug", "INVALID_NAME", format!("{error}"));
                None
            }
        },
        None => {
            let slug = Slug::from_display_name(&input.name);
            if slug.is_none() {
                problems.at("slug", "REQUIRED", "a slug is needed: none can be made of this name");
            }
            slug
        }
    }
}

fn slug_in_use(slug: &Slug, other: &Application) -> crate::UserError {
    let message =
        format!("the application {:?} has the slug {:?} in this namespace; choose another", other.name, slug.as_str());
    crate::UserError::new("SLUG_IN_USE", message).at(["slug"]).naming(encode_text(other.id))
}

fn into_error(problems: Problems) -> Error {
    match problems.finish() {
        Err(error) => error,
        Ok(()) => Error::Conflict("the application could not be created; try again".into()),
    }
}
