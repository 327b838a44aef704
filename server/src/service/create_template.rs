//! Creating templates.

use crate::{
    actor::Actor,
    app::App,
    clock,
    error::Result,
    graphql::id::encode_text,
    id::{EnterpriseId, TeamId},
    service::{
        audit::{self, Act, Subject, audited},
        authorize,
        problems::Problems,
        template::{check_categories, check_description, check_logo, may_keep, team_of},
    },
    store::{
        Word,
        template::{self, Scope, Template},
    },
};
use ropeway_domain::access::EnterpriseAction;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct CreateTemplate {
    /// Where.
    pub enterprise_id: EnterpriseId,
    /// The team that it belongs to. Without one it is the administrators', and of enterprise scope.
    pub team_id: Option<TeamId>,
    /// The default name of applications installed from it.
    pub name: String,
    /// Who sees it.
    pub scope: Scope,
    /// Free tags.
    pub categories: Vec<String>,
    /// For people.
    pub description: String,
    /// A data URL of an image.
    pub logo: Option<String>,
}

/// Creates a template without versions.
pub async fn create_template(app: &App, actor: &Actor, input: &CreateTemplate) -> Result<Template> {
    let subject = Subject::Enterprise(input.enterprise_id);
    let act = Act::new("createTemplate", subject, encode_text(input.enterprise_id));
    audited(app, actor, act, async || {
        let mut conn = app.database.read().await?;
        authorize::enterprise(&mut conn, actor, input.enterprise_id, EnterpriseAction::View).await?;
        match input.team_id {
            Some(team) => drop(team_of(&mut conn, actor, input.enterprise_id, team).await?),
            None if input.scope == Scope::Team => {}
            None => may_keep(&mut conn, actor, input.enterprise_id, None).await?,
        }
        drop(conn);

        let mut problems = Problems::new();
        problems.check_display_name("name", &input.name);
        if input.scope == Scope::Team && input.team_id.is_none() {
            problems.at("teamId", "REQUIRED", "a template of team scope needs the team that it belongs to");
        }
        check_description(&mut problems, &input.description);
        let categories = check_categories(&mut problems, &input.categories);
        let logo = input.logo.as_deref().and_then(|text| check_logo(&mut problems, text));
        problems.finish()?;

        let now = app.clock.now();
        let media_type = logo.as_ref().map(|logo| logo.media_type.to_owned());
        let row = Template {
            id: clock::new_id(),
            enterprise_id: input.enterprise_id,
            team_id: input.team_id,
            name: input.name.clone(),
            scope: Word(input.scope),
            description: input.description.clone(),
            logo: logo.map(|logo| logo.bytes),
            logo_type: media_type,
            created_by: actor.user_id,
            created_at: now,
        };
        let mut conn = app.database.write().await?;
        conn.transaction(async |conn| {
            may_keep(conn, actor, input.enterprise_id, input.team_id).await?;
            template::insert(conn, &row).await?;
            template::set_categories(conn, row.id, &categories).await?;
            let object = Some(encode_text(row.id));
            audit::done(conn, actor, now, "createTemplate", Some(input.enterprise_id), object, None).await?;
            Ok(row)
        })
        .await
    })
    .await
}
