//! Changing templates.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result, UserError},
    graphql::id::encode_text,
    id::{TeamId, TemplateId},
    service::{
        audit::{self, Act, Subject, audited},
        problems::Problems,
        template::{changeable, check_categories, check_description, check_logo, may_keep, team_of},
    },
    store::{
        Word,
        template::{self, Scope, Template},
    },
};

/// What is changed; what is left out stays.
#[derive(Debug, Clone)]
pub struct UpdateTemplate {
    /// Which template.
    pub template_id: TemplateId,
    /// Its new name.
    pub name: Option<String>,
    /// Who sees it from now on.
    pub scope: Option<Scope>,
    /// The team that it belongs to from now on.
    pub team_id: Option<TeamId>,
    /// All of its categories.
    pub categories: Option<Vec<String>>,
    /// Its new description.
    pub description: Option<String>,
    /// A data URL of an image; empty: none any more.
    pub logo: Option<String>,
}

/// Changes a template. Its scope is narrowed only where no other team ever installed it or published to it.
pub async fn update_template(app: &App, actor: &Actor, input: &UpdateTemplate) -> Result<Template> {
    let act = Act::new("updateTemplate", Subject::Template(input.template_id), encode_text(input.template_id));
    audited(app, actor, act, async || {
        let mut conn = app.database.read().await?;
        let before = changeable(&mut conn, actor, input.template_id).await?;
        if let Some(team) = input.team_id {
            team_of(&mut conn, actor, before.enterprise_id, team).await?;
        }
        drop(conn);

        let mut problems = Problems::new();
        if let Some(name) = &input.name {
            problems.check_display_name("name", name);
        }
        if let Some(description) = &input.description {
            check_description(&mut problems, description);
        }
        let categories = input.categories.as_ref().map(|given| check_categories(&mut problems, given));
        let logo = match input.logo.as_deref() {
            None => None,
            Some("") => Some(None),
            Some(text) => Some(check_logo(&mut problems, text)),
        };
        if input.scope == Some(Scope::Team) && input.team_id.or(before.team_id).is_none() {
            problems.at("teamId", "REQUIRED", "a template of team scope needs the team that it belongs to");
        }
        problems.finish()?;

        let now = app.clock.now();
        let mut conn = app.database.write().await?;
        conn.transaction(async |conn| {
            let mut row = changeable(conn, actor, input.template_id).await?;
            let was = (row.scope.0, row.team_id);
            if let Some(name) = &input.name {
                row.name.clone_from(name);
            }
            if let Some(scope) = input.scope {
                row.scope = Word(scope);
            }
            if let Some(team) = input.team_id {
                may_keep(conn, actor, row.enterprise_id, Some(team)).await?;
                row.team_id = Some(team);
            }
            if let Some(description) = &input.description {
                row.description.clone_from(description);
            }
            if let Some(logo) = logo {
                row.logo_type = logo.as_ref().map(|logo| logo.media_type.to_owned());
                row.logo = logo.map(|logo| logo.bytes);
            }
            if let (Scope::Team, Some(team)) = (row.scope.0, row.team_id)
                && was != (Scope::Team, Some(team))
                && template::is_used_elsewhere(conn, row.id, team).await?
            {
                let message = "other teams have or had it installed, or published to it, and see it in that";
                return Err(Error::from(UserError::new("TEMPLATE_IN_USE", message).at(["scope"])));
            }
            template::update(conn, &row).await?;
            if let Some(categories) = &categories {
                template::set_categories(conn, row.id, categories).await?;
            }
            let object = Some(encode_text(row.id));
            audit::done(conn, actor, now, "updateTemplate", Some(row.enterprise_id), object, None).await?;
            Ok(row)
        })
        .await
    })
    .await
}
