//! Templates of the library.

use crate::{
    Conn, Instant, Word,
    id::{ApplicationId, EnterpriseId, TeamId, TemplateId, UserId},
    on,
    schema::{applications, installations, publications, template_categories, templates},
    team::{contains, lower},
};
use diesel::{QueryResult, pg::Pg, prelude::*, sqlite::Sqlite};
use diesel_async::RunQueryDsl;
use std::{fmt, str::FromStr};

/// A published application.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = templates, check_for_backend(Pg, Sqlite), treat_none_as_default_value = false)]
pub struct Template {
    /// Its id.
    pub id: TemplateId,
    /// Whose.
    pub enterprise_id: EnterpriseId,
    /// The team that it belongs to; of enterprise scope it may have none.
    pub team_id: Option<TeamId>,
    /// The default name of applications installed from it.
    pub name: String,
    /// Who sees it.
    pub scope: Word<Scope>,
    /// For people.
    pub description: String,
    /// An image.
    pub logo: Option<Vec<u8>>,
    /// Its media type.
    pub logo_type: Option<String>,
    /// By whom it was made.
    pub created_by: UserId,
    /// When.
    pub created_at: Instant,
}

/// Who sees a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Its team, and the enterprise's administrators.
    Team,
    /// The whole enterprise.
    Enterprise,
}

/// Whose templates are listed.
#[derive(Debug, Clone)]
pub struct Filter {
    /// The teams whose own templates are seen; none: those of all teams.
    pub teams: Option<Vec<TeamId>>,
    /// A part of the name.
    pub search: Option<String>,
    /// A category.
    pub category: Option<String>,
    /// A scope.
    pub scope: Option<Scope>,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Team => "TEAM",
            Self::Enterprise => "ENTERPRISE",
        })
    }
}

impl FromStr for Scope {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "TEAM" => Ok(Self::Team),
            "ENTERPRISE" => Ok(Self::Enterprise),
            _ => Err("not a scope of a template"),
        }
    }
}

/// Stores a new template.
pub async fn insert(conn: &mut Conn, template: &Template) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(templates::table).values(template).execute(c).await)
}

/// Writes what was changed.
pub async fn update(conn: &mut Conn, template: &Template) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(templates::table.find(template.id))
        .set((
            templates::team_id.eq(template.team_id),
            templates::name.eq(&template.name),
            templates::scope.eq(template.scope),
            templates::description.eq(&template.description),
            templates::logo.eq(&template.logo),
            templates::logo_type.eq(&template.logo_type),
        ))
        .execute(c)
        .await)
}

/// Forgets a template; it must have no versions.
pub async fn delete(conn: &mut Conn, id: TemplateId) -> QueryResult<usize> {
    on!(conn, |c| diesel::delete(templates::table.find(id)).execute(c).await)
}

/// One template.
pub async fn find(conn: &mut Conn, id: TemplateId) -> QueryResult<Option<Template>> {
    on!(conn, |c| templates::table.find(id).select(Template::as_select()).first(c).await.optional())
}

/// Those with these ids.
pub async fn by_ids(conn: &mut Conn, ids: &[TemplateId]) -> QueryResult<Vec<Template>> {
    on!(conn, |c| templates::table.filter(templates::id.eq_any(ids)).select(Template::as_select()).load(c).await)
}

/// The query of a list, before its order and its page.
macro_rules! filtered {
    ($select:expr, $enterprise:expr, $filter:expr) => {{
        let mut query = templates::table.filter(templates::enterprise_id.eq($enterprise)).select($select).into_boxed();
        if let Some(teams) = &$filter.teams {
            query = query.filter(
                templates::scope.eq(Word(Scope::Enterprise)).or(templates::team_id.eq_any(teams).assume_not_null()),
            );
        }
        if let Some(text) = &$filter.search {
            query = query.filter(lower(templates::name).like(lower(contains(text))).escape('\\'));
        }
        if let Some(category) = &$filter.category {
            let of = template_categories::table
                .filter(template_categories::category.eq(category))
                .select(template_categories::template_id);
            query = query.filter(templates::id.eq_any(of));
        }
        if let Some(scope) = $filter.scope {
            query = query.filter(templates::scope.eq(Word(scope)));
        }
        query
    }};
}

/// A page of an enterprise's templates, by name.
pub async fn page(
    conn: &mut Conn,
    enterprise: EnterpriseId,
    filter: &Filter,
    after: Option<(String, TemplateId)>,
    limit: i64,
) -> QueryResult<Vec<Template>> {
    on!(conn, |c| {
        let mut query = filtered!(Template::as_select(), enterprise, filter);
        if let Some((name, id)) = after {
            query =
                query.filter(templates::name.gt(name.clone()).or(templates::name.eq(name).and(templates::id.gt(id))));
        }
        query.order((templates::name.asc(), templates::id.asc())).limit(limit).load(c).await
    })
}

/// How many [`page`] would list altogether.
pub async fn total(conn: &mut Conn, enterprise: EnterpriseId, filter: &Filter) -> QueryResult<i64> {
    on!(conn, |c| filtered!(diesel::dsl::count_star(), enterprise, filter).get_result(c).await)
}

/// Sets the categories of a template.
pub async fn set_categories(conn: &mut Conn, id: TemplateId, categories: &[String]) -> QueryResult<()> {
    on!(conn, |c| {
        diesel::delete(template_categories::table.filter(template_categories::template_id.eq(id))).execute(c).await?;
        for category in categories {
            diesel::insert_into(template_categories::table)
                .values((template_categories::template_id.eq(id), template_categories::category.eq(category)))
                .execute(c)
                .await?;
        }
        Ok(())
    })
}

/// The categories of templates.
pub async fn categories(conn: &mut Conn, ids: &[TemplateId]) -> QueryResult<Vec<(TemplateId, String)>> {
    on!(conn, |c| template_categories::table
        .filter(template_categories::template_id.eq_any(ids))
        .order(template_categories::category)
        .select((template_categories::template_id, template_categories::category))
        .load(c)
        .await)
}

/// The categories in use among the templates that somebody sees.
pub async fn categories_in_use(conn: &mut Conn, enterprise: EnterpriseId, filter: &Filter) -> QueryResult<Vec<String>> {
    on!(conn, |c| {
        let ids = filtered!(templates::id, enterprise, filter);
        template_categories::table
            .filter(template_categories::template_id.eq_any(ids))
            .select(template_categories::category)
            .distinct()
            .order(template_categories::category)
            .load(c)
            .await
    })
}

/// The applications in which a template is, or was, installed: a few of them, with their teams.
pub async fn installed_in(
    conn: &mut Conn,
    id: TemplateId,
    limit: i64,
) -> QueryResult<Vec<(ApplicationId, TeamId, String)>> {
    on!(conn, |c| installations::table
        .inner_join(applications::table)
        .filter(installations::template_id.eq(id))
        .select((applications::id, applications::team_id, applications::name))
        .distinct()
        .order((applications::name, applications::id, applications::team_id))
        .limit(limit)
        .load(c)
        .await)
}

/// Whether other teams than this one have or had a template installed, or published to it: they see it in that.
pub async fn is_used_elsewhere(conn: &mut Conn, id: TemplateId, team: TeamId) -> QueryResult<bool> {
    let installed: i64 = on!(conn, |c| installations::table
        .filter(installations::template_id.eq(id).and(installations::team_id.ne(team)))
        .count()
        .get_result(c)
        .await)?;
    let published: i64 = on!(conn, |c| publications::table
        .inner_join(applications::table)
        .filter(publications::template_id.eq(id).and(applications::team_id.ne(team)))
        .count()
        .get_result(c)
        .await)?;
    Ok(installed > 0 || published > 0)
}

/// How many installations and unfinished publications a template has.
pub async fn uses(conn: &mut Conn, id: TemplateId) -> QueryResult<(i64, i64)> {
    let installed: i64 =
        on!(conn, |c| installations::table.filter(installations::template_id.eq(id)).count().get_result(c).await)?;
    let unfinished: i64 = on!(conn, |c| publications::table
        .filter(publications::template_id.eq(id).and(publications::state.ne_all(["PUBLISHED", "ABANDONED"])))
        .count()
        .get_result(c)
        .await)?;
    Ok((installed, unfinished))
}
