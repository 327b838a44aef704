//! Installations.

use crate::{
    Conn, Instant, Stored, Word,
    first::{Lists, first_ids},
    id::{ApplicationId, ClusterId, InstallationId, TeamId, TemplateId, VersionId},
    on,
    schema::installations,
};
use diesel::{QueryResult, pg::Pg, prelude::*, sqlite::Sqlite};
use diesel_async::RunQueryDsl;
use ropeway_domain::{Change, SecretId, installed::Installed, operation::InstallationState};
use std::collections::BTreeMap;

/// One version of one template living in an application.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = installations, check_for_backend(Pg, Sqlite), treat_none_as_default_value = false)]
pub struct Installation {
    /// Its id.
    pub id: InstallationId,
    /// Where it lives.
    pub application_id: ApplicationId,
    /// Whose.
    pub team_id: TeamId,
    /// In which cluster.
    pub cluster_id: ClusterId,
    /// Of which template.
    pub template_id: TemplateId,
    /// Its version: that of all of its components, else the one before a partial upgrade.
    pub version_id: VersionId,
    /// `FULL`, the whole application.
    pub scope: String,
    /// Where it is.
    pub state: Word<InstallationState>,
    /// The values that groups of generated entries share.
    pub secret_groups: Stored<BTreeMap<String, SecretId>>,
    /// Differences to its version that were kept.
    pub kept_changes: Stored<Vec<Change>>,
    /// Counts changes of its desired state.
    pub generation: i64,
    /// When it was made.
    pub created_at: Instant,
    /// Since when it is gone.
    pub uninstalled_at: Option<Instant>,
    /// What ran when its end was begun, in the keys of its template; none any more once it ended without its volumes.
    pub ended_as: Option<Stored<Installed>>,
}

/// Stores a new installation.
pub async fn insert(conn: &mut Conn, installation: &Installation) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(installations::table).values(installation).execute(c).await)
}

/// One installation.
pub async fn find(conn: &mut Conn, id: InstallationId) -> QueryResult<Option<Installation>> {
    on!(conn, |c| installations::table.find(id).select(Installation::as_select()).first(c).await.optional())
}

/// Those with these ids.
pub async fn by_ids(conn: &mut Conn, ids: &[InstallationId]) -> QueryResult<Vec<Installation>> {
    on!(conn, |c| installations::table
        .filter(installations::id.eq_any(ids))
        .select(Installation::as_select())
        .load(c)
        .await)
}

/// Those that live in these applications.
pub async fn of_applications(conn: &mut Conn, applications: &[ApplicationId]) -> QueryResult<Vec<Installation>> {
    on!(conn, |c| installations::table
        .filter(installations::application_id.eq_any(applications).and(installations::uninstalled_at.is_null()))
        .order((installations::created_at.asc(), installations::id.asc()))
        .select(Installation::as_select())
        .load(c)
        .await)
}

/// The oldest that live in each of these applications, `limit` in each at most, oldest first. Two statements, however
/// many applications.
pub async fn first_pages(
    conn: &mut Conn,
    applications: &[ApplicationId],
    limit: i64,
) -> QueryResult<Vec<Installation>> {
    let lists = Lists {
        table: "installations",
        parent: "application_id",
        filter: "uninstalled_at IS NULL",
        order: "created_at, id",
    };
    let ids = first_ids(conn, &lists, applications, None, limit).await?;
    let mut rows = by_ids(conn, &ids).await?;
    rows.sort_by_key(|row| (row.created_at, row.id));
    Ok(rows)
}

/// How many live in each of these applications; one without any is left out.
pub async fn counts(conn: &mut Conn, applications: &[ApplicationId]) -> QueryResult<Vec<(ApplicationId, i64)>> {
    on!(conn, |c| installations::table
        .filter(installations::application_id.eq_any(applications).and(installations::uninstalled_at.is_null()))
        .group_by(installations::application_id)
        .select((installations::application_id, diesel::dsl::count_star()))
        .load(c)
        .await)
}

/// A page of those that live in an application, oldest first.
pub async fn page(
    conn: &mut Conn,
    application: ApplicationId,
    after: Option<(Instant, InstallationId)>,
    limit: i64,
) -> QueryResult<Vec<Installation>> {
    on!(conn, |c| {
        let mut query = installations::table
            .filter(installations::application_id.eq(application).and(installations::uninstalled_at.is_null()))
            .select(Installation::as_select())
            .into_boxed();
        if let Some((at, id)) = after {
            query = query.filter(
                installations::created_at.gt(at).or(installations::created_at.eq(at).and(installations::id.gt(id))),
            );
        }
        query.order((installations::created_at.asc(), installations::id.asc())).limit(limit).load(c).await
    })
}

/// Those that ended in an application and left volumes, latest first, `limit` at most.
pub async fn ended(conn: &mut Conn, application: ApplicationId, limit: i64) -> QueryResult<Vec<Installation>> {
    on!(conn, |c| installations::table
        .filter(
            installations::application_id
                .eq(application)
                .and(installations::uninstalled_at.is_not_null())
                .and(installations::ended_as.is_not_null()),
        )
        .order((installations::uninstalled_at.desc(), installations::id.desc()))
        .limit(limit)
        .select(Installation::as_select())
        .load(c)
        .await)
}

/// Writes its state, version, groups, kept changes and end; its generation counts up.
pub async fn update(conn: &mut Conn, installation: &Installation) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(installations::table.find(installation.id))
        .set((
            installations::version_id.eq(installation.version_id),
            installations::state.eq(installation.state),
            installations::secret_groups.eq(&installation.secret_groups),
            installations::kept_changes.eq(&installation.kept_changes),
            installations::generation.eq(installation.generation + 1),
            installations::uninstalled_at.eq(installation.uninstalled_at),
            installations::ended_as.eq(&installation.ended_as),
        ))
        .execute(c)
        .await)
}
