//! Lists of the library, filtered before they are paged.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result},
    graphql::page::{Page, PageRequest},
    id::{EnterpriseId, TemplateId},
    service::{
        list::check_search,
        template::{MAX_CATEGORY, seen_by},
    },
    store::{
        template::{self, Scope, Template},
        version::{self, Version},
    },
};

/// Which templates are wanted, among those that somebody sees.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// A part of the name.
    pub search: Option<String>,
    /// A category.
    pub category: Option<String>,
    /// A scope.
    pub scope: Option<Scope>,
}

/// The templates of an enterprise that somebody sees, by name.
pub async fn list_templates(
    app: &App,
    actor: &Actor,
    enterprise: EnterpriseId,
    wanted: Wanted,
    page: PageRequest<(String, TemplateId)>,
) -> Result<Page<Template>> {
    check_search(wanted.search.as_deref())?;
    if wanted.category.as_ref().is_some_and(|text| text.chars().count() > MAX_CATEGORY || text.contains('\0')) {
        return Err(Error::invalid("INVALID_SEARCH", ["category"], format!("at most {MAX_CATEGORY} characters")));
    }
    let mut conn = app.database.read().await?;
    let mut filter = seen_by(&mut conn, actor, enterprise).await?;
    filter.search = wanted.search.filter(|text| !text.is_empty());
    filter.category = wanted.category;
    filter.scope = wanted.scope;
    let rows = template::page(&mut conn, enterprise, &filter, page.after.clone(), page.limit()).await?;
    let total = if page.count { template::total(&mut conn, enterprise, &filter).await? } else { 0 };
    Ok(Page::of(&page, rows, total, |row| (row.name.clone(), row.id)))
}

/// The categories in use among the templates that somebody sees.
pub async fn list_categories(app: &App, actor: &Actor, enterprise: EnterpriseId) -> Result<Vec<String>> {
    let mut conn = app.database.read().await?;
    let filter = seen_by(&mut conn, actor, enterprise).await?;
    Ok(template::categories_in_use(&mut conn, enterprise, &filter).await?)
}

/// The current revisions of a template's numbers, the greatest first, after one of them. Pages from the beginning are
/// gathered, see `graphql::template`.
pub async fn list_versions(app: &App, id: TemplateId, page: &PageRequest<Vec<u8>>) -> Result<Vec<Version>> {
    let mut conn = app.database.read().await?;
    Ok(version::page(&mut conn, id, page.after.clone(), page.limit()).await?)
}
