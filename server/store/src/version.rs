//! Versions of templates: one row a revision.

use crate::{
    Conn, Instant, Key, Stored,
    first::{Lists, first_ids},
    id::{ImageId, InstallationId, TemplateId, VersionId},
    on,
    schema::{components, installations, kubernetes_resources, upgrade_records, version_images, versions},
    types::IdSql,
};
use diesel::{QueryResult, pg::Pg, prelude::*, sql_types::BigInt, sqlite::Sqlite};
use diesel_async::RunQueryDsl;
use ropeway_domain::ComponentKey;

/// One revision of a version, without its content.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = versions, check_for_backend(Pg, Sqlite))]
pub struct Version {
    /// Its id.
    pub id: VersionId,
    /// Of which template.
    pub template_id: TemplateId,
    /// As the publisher wrote it.
    pub number: String,
    /// Orders numbers; equal for spellings of the same number.
    pub sort_key: Vec<u8>,
    /// From 1.
    pub revision: i64,
    /// Whether it is the newest revision of its number.
    pub is_current: bool,
    /// Whether it was deleted while something refers to it.
    pub is_hidden: bool,
    /// Such as "advanced edition".
    pub alias: Option<String>,
    /// For people.
    pub description: String,
    /// Whether its add-ons can be installed without it.
    pub installable_as_add_ons: bool,
    /// Of its canonical content.
    pub digest: String,
    /// Of its artifact in the library's registry.
    pub artifact_digest: Option<String>,
    /// By whom, by display name.
    pub published_by: String,
    /// When.
    pub published_at: Instant,
}

/// A new revision.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = versions, treat_none_as_default_value = false)]
pub struct NewVersion {
    /// See [`Version`].
    pub id: VersionId,
    /// See [`Version`].
    pub template_id: TemplateId,
    /// See [`Version`].
    pub number: String,
    /// See [`Version`].
    pub sort_key: Vec<u8>,
    /// See [`Version`].
    pub revision: i64,
    /// See [`Version`].
    pub is_current: bool,
    /// See [`Version`].
    pub is_hidden: bool,
    /// See [`Version`].
    pub alias: Option<String>,
    /// See [`Version`].
    pub description: String,
    /// See [`Version`].
    pub installable_as_add_ons: bool,
    /// See [`Version`].
    pub digest: String,
    /// The canonical bytes.
    pub content: Vec<u8>,
    /// See [`Version`].
    pub artifact_digest: Option<String>,
    /// See [`Version`].
    pub published_by: String,
    /// See [`Version`].
    pub published_at: Instant,
}

/// An image of a version, in the library.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = version_images, check_for_backend(Pg, Sqlite))]
pub struct VersionImage {
    /// Its id.
    pub id: ImageId,
    /// Of which version.
    pub version_id: VersionId,
    /// Of which component.
    pub component_key: Key<ComponentKey>,
    /// What people call that.
    pub component_name: String,
    /// Within the library's registry.
    pub repository: String,
    /// Which image of it.
    pub digest: String,
    /// Size of all its blobs.
    pub bytes: i64,
    /// Such as `linux/amd64`.
    pub platforms: Stored<Vec<String>>,
}

/// Stores a new revision. The one before must not be current any more.
pub async fn insert(conn: &mut Conn, version: &NewVersion) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(versions::table).values(version).execute(c).await)
}

/// Stores an image.
pub async fn insert_image(conn: &mut Conn, image: &VersionImage) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(version_images::table).values(image).execute(c).await)
}

/// One revision.
pub async fn find(conn: &mut Conn, id: VersionId) -> QueryResult<Option<Version>> {
    on!(conn, |c| versions::table.find(id).select(Version::as_select()).first(c).await.optional())
}

/// Those with these ids.
pub async fn by_ids(conn: &mut Conn, ids: &[VersionId]) -> QueryResult<Vec<Version>> {
    on!(conn, |c| versions::table.filter(versions::id.eq_any(ids)).select(Version::as_select()).load(c).await)
}

/// The canonical bytes of revisions.
pub async fn contents(conn: &mut Conn, ids: &[VersionId]) -> QueryResult<Vec<(VersionId, Vec<u8>)>> {
    on!(conn, |c| versions::table
        .filter(versions::id.eq_any(ids))
        .select((versions::id, versions::content))
        .load(c)
        .await)
}

/// The images of revisions, by component.
pub async fn images(conn: &mut Conn, ids: &[VersionId]) -> QueryResult<Vec<VersionImage>> {
    on!(conn, |c| version_images::table
        .filter(version_images::version_id.eq_any(ids))
        .order((version_images::component_name.asc(), version_images::id.asc()))
        .select(VersionImage::as_select())
        .load(c)
        .await)
}

/// The current revision of a number.
pub async fn current(conn: &mut Conn, template: TemplateId, sort_key: &[u8]) -> QueryResult<Option<Version>> {
    on!(conn, |c| versions::table
        .filter(
            versions::template_id.eq(template).and(versions::sort_key.eq(sort_key)).and(versions::is_current.eq(true))
        )
        .select(Version::as_select())
        .first(c)
        .await
        .optional())
}

/// The greatest revision of a number; 0 where there is none.
pub async fn last_revision(conn: &mut Conn, template: TemplateId, sort_key: &[u8]) -> QueryResult<i64> {
    let last: Option<i64> = on!(conn, |c| versions::table
        .filter(versions::template_id.eq(template).and(versions::sort_key.eq(sort_key)))
        .select(diesel::dsl::max(versions::revision))
        .first(c)
        .await)?;
    Ok(last.unwrap_or(0))
}

/// The revisions of a number are no longer current.
pub async fn retire(conn: &mut Conn, template: TemplateId, sort_key: &[u8]) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(
        versions::table.filter(versions::template_id.eq(template).and(versions::sort_key.eq(sort_key))),
    )
    .set(versions::is_current.eq(false))
    .execute(c)
    .await)
}

/// Writes what may change without a new revision.
pub async fn redescribe(
    conn: &mut Conn,
    id: VersionId,
    number: &str,
    alias: Option<&str>,
    description: &str,
    installable_as_add_ons: bool,
) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(versions::table.find(id))
        .set((
            versions::number.eq(number),
            versions::alias.eq(alias),
            versions::description.eq(description),
            versions::installable_as_add_ons.eq(installable_as_add_ons),
            versions::is_hidden.eq(false),
        ))
        .execute(c)
        .await)
}

/// Hides a number: it is not listed and cannot be installed any more.
pub async fn hide(conn: &mut Conn, template: TemplateId, sort_key: &[u8]) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(
        versions::table.filter(versions::template_id.eq(template).and(versions::sort_key.eq(sort_key))),
    )
    .set(versions::is_hidden.eq(true))
    .execute(c)
    .await)
}

/// The revisions of a number.
pub async fn revisions(conn: &mut Conn, template: TemplateId, sort_key: &[u8]) -> QueryResult<Vec<VersionId>> {
    on!(conn, |c| versions::table
        .filter(versions::template_id.eq(template).and(versions::sort_key.eq(sort_key)))
        .order(versions::revision)
        .select(versions::id)
        .load(c)
        .await)
}

/// Those of these revisions to which an installation, a record, a component or a Kubernetes resource refers.
pub async fn referred(conn: &mut Conn, ids: &[VersionId]) -> QueryResult<Vec<VersionId>> {
    let mut found: Vec<VersionId> = on!(conn, |c| installations::table
        .filter(installations::version_id.eq_any(ids))
        .select(installations::version_id)
        .distinct()
        .load(c)
        .await)?;
    let records: Vec<(VersionId, VersionId)> = on!(conn, |c| upgrade_records::table
        .filter(upgrade_records::from_version_id.eq_any(ids).or(upgrade_records::to_version_id.eq_any(ids)))
        .select((upgrade_records::from_version_id, upgrade_records::to_version_id))
        .distinct()
        .load(c)
        .await)?;
    found.extend(records.into_iter().flat_map(|(from, to)| [from, to]));
    let components: Vec<Option<VersionId>> = on!(conn, |c| components::table
        .filter(components::version_id.eq_any(ids))
        .select(components::version_id)
        .distinct()
        .load(c)
        .await)?;
    let resources: Vec<Option<VersionId>> = on!(conn, |c| kubernetes_resources::table
        .filter(kubernetes_resources::version_id.eq_any(ids))
        .select(kubernetes_resources::version_id)
        .distinct()
        .load(c)
        .await)?;
    found.extend(components.into_iter().chain(resources).flatten());
    found.retain(|id| ids.contains(id));
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Forgets a revision with its images; nothing may refer to it.
pub async fn delete(conn: &mut Conn, id: VersionId) -> QueryResult<usize> {
    on!(conn, |c| diesel::delete(versions::table.find(id)).execute(c).await)
}

/// Forgets all revisions of a template; nothing may refer to them.
pub async fn delete_of_template(conn: &mut Conn, template: TemplateId) -> QueryResult<usize> {
    on!(conn, |c| diesel::delete(versions::table.filter(versions::template_id.eq(template))).execute(c).await)
}

/// The greatest current revisions of each of these templates, `limit` of each at most. Two statements, however many
/// templates.
pub async fn first_pages(conn: &mut Conn, templates: &[TemplateId], limit: i64) -> QueryResult<Vec<Version>> {
    let lists = Lists {
        table: "versions",
        parent: "template_id",
        filter: "is_current AND NOT is_hidden",
        order: "sort_key DESC",
    };
    let ids = first_ids(conn, &lists, templates, None, limit).await?;
    let mut rows = by_ids(conn, &ids).await?;
    rows.sort_by(|one, two| two.sort_key.cmp(&one.sort_key));
    Ok(rows)
}

/// How many numbers each of these templates has; one without any is left out.
pub async fn counts(conn: &mut Conn, templates: &[TemplateId]) -> QueryResult<Vec<(TemplateId, i64)>> {
    on!(conn, |c| versions::table
        .filter(versions::template_id.eq_any(templates))
        .filter(versions::is_current.eq(true).and(versions::is_hidden.eq(false)))
        .group_by(versions::template_id)
        .select((versions::template_id, diesel::dsl::count_star()))
        .load(c)
        .await)
}

/// A page of the current revisions of a template, the greatest number first.
pub async fn page(
    conn: &mut Conn,
    template: TemplateId,
    after: Option<Vec<u8>>,
    limit: i64,
) -> QueryResult<Vec<Version>> {
    on!(conn, |c| {
        let mut query = versions::table
            .filter(
                versions::template_id
                    .eq(template)
                    .and(versions::is_current.eq(true))
                    .and(versions::is_hidden.eq(false)),
            )
            .select(Version::as_select())
            .into_boxed();
        if let Some(sort_key) = after {
            query = query.filter(versions::sort_key.lt(sort_key));
        }
        query.order(versions::sort_key.desc()).limit(limit).load(c).await
    })
}

/// The greatest current revisions of templates.
pub async fn latest(conn: &mut Conn, templates: &[TemplateId]) -> QueryResult<Vec<Version>> {
    let greater = diesel::alias!(versions as greater);
    on!(conn, |c| versions::table
        .filter(
            versions::template_id
                .eq_any(templates)
                .and(versions::is_current.eq(true))
                .and(versions::is_hidden.eq(false)),
        )
        .filter(diesel::dsl::not(diesel::dsl::exists(
            greater.filter(
                greater
                    .field(versions::template_id)
                    .eq(versions::template_id)
                    .and(greater.field(versions::is_current).eq(true))
                    .and(greater.field(versions::is_hidden).eq(false))
                    .and(greater.field(versions::sort_key).gt(versions::sort_key)),
            ),
        )))
        .select(Version::as_select())
        .load(c)
        .await)
}

/// The versions to which an installation can be upgraded: a greater number, or a later revision of its own, the
/// greatest first.
pub async fn upgrades(
    conn: &mut Conn,
    installed: &Version,
    after: Option<Vec<u8>>,
    limit: i64,
) -> QueryResult<Vec<Version>> {
    on!(conn, |c| {
        let later = versions::sort_key.eq(&installed.sort_key).and(versions::revision.gt(installed.revision));
        let mut query = versions::table
            .filter(versions::template_id.eq(installed.template_id))
            .filter(versions::is_current.eq(true).and(versions::is_hidden.eq(false)))
            .filter(versions::sort_key.gt(&installed.sort_key).or(later))
            .select(Version::as_select())
            .into_boxed();
        if let Some(sort_key) = after {
            query = query.filter(versions::sort_key.lt(sort_key));
        }
        query.order(versions::sort_key.desc()).limit(limit).load(c).await
    })
}

/// The first rows of [`upgrades`] of each of these installations, `limit` of each at most, the greatest number first. Two
/// statements, however many installations.
pub async fn first_upgrades(
    conn: &mut Conn,
    installations: &[InstallationId],
    limit: i64,
) -> QueryResult<Vec<(InstallationId, Version)>> {
    if installations.is_empty() {
        return Ok(Vec::new());
    }
    let text = format!(
        "SELECT installation_id, version_id FROM (SELECT i.id AS installation_id, v.id AS version_id, \
         row_number() OVER (PARTITION BY i.id ORDER BY v.sort_key DESC) AS place {}) AS numbered WHERE place <= ${}",
        upgrades_from(installations.len()),
        installations.len() + 1,
    );
    let found: Vec<Offered> = on!(conn, |c| {
        let mut query = diesel::sql_query(text).into_boxed();
        for installation in installations {
            query = query.bind::<IdSql, _>(*installation);
        }
        query.bind::<BigInt, _>(limit).load(c).await
    })?;
    let mut ids: Vec<VersionId> = found.iter().map(|one| one.version_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let versions = by_ids(conn, &ids).await?;
    let version = |id: VersionId| versions.iter().find(|version| version.id == id).cloned();
    let mut rows: Vec<(InstallationId, Version)> =
        found.into_iter().filter_map(|one| Some((one.installation_id, version(one.version_id)?))).collect();
    rows.sort_by(|(_, one), (_, two)| two.sort_key.cmp(&one.sort_key));
    Ok(rows)
}

/// How many [`upgrades`] would list altogether of each of these installations; one without any is left out.
pub async fn upgrade_counts(
    conn: &mut Conn,
    installations: &[InstallationId],
) -> QueryResult<Vec<(InstallationId, i64)>> {
    if installations.is_empty() {
        return Ok(Vec::new());
    }
    let text = format!(
        "SELECT i.id AS installation_id, count(*) AS total {} GROUP BY i.id",
        upgrades_from(installations.len())
    );
    let found: Vec<OfferedCount> = on!(conn, |c| {
        let mut query = diesel::sql_query(text).into_boxed();
        for installation in installations {
            query = query.bind::<IdSql, _>(*installation);
        }
        query.load(c).await
    })?;
    Ok(found.into_iter().map(|one| (one.installation_id, one.total)).collect())
}

/// So many installations `i`, joined with the versions `v` to which they can be upgraded.
fn upgrades_from(installations: usize) -> String {
    // Both databases take `$n`, in the order of its first appearance.
    let places: Vec<String> = (1..=installations).map(|place| format!("${place}")).collect();
    format!(
        "FROM installations i JOIN versions a ON a.id = i.version_id JOIN versions v ON v.template_id = a.template_id \
         AND v.is_current AND NOT v.is_hidden AND (v.sort_key > a.sort_key OR (v.sort_key = a.sort_key \
         AND v.revision > a.revision)) WHERE i.id IN ({})",
        places.join(", ")
    )
}

#[derive(QueryableByName)]
#[diesel(check_for_backend(Pg, Sqlite))]
struct Offered {
    #[diesel(sql_type = IdSql)]
    installation_id: InstallationId,
    #[diesel(sql_type = IdSql)]
    version_id: VersionId,
}

#[derive(QueryableByName)]
#[diesel(check_for_backend(Pg, Sqlite))]
struct OfferedCount {
    #[diesel(sql_type = IdSql)]
    installation_id: InstallationId,
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// The installations, among these, that can be upgraded. One query, however many there are.
pub async fn upgradable(conn: &mut Conn, among: &[InstallationId]) -> QueryResult<Vec<InstallationId>> {
    let newer = diesel::alias!(versions as newer);
    on!(conn, |c| installations::table
        .inner_join(versions::table)
        .filter(installations::id.eq_any(among))
        .filter(diesel::dsl::exists(
            newer.filter(
                newer
                    .field(versions::template_id)
                    .eq(versions::template_id)
                    .and(newer.field(versions::is_current).eq(true))
                    .and(newer.field(versions::is_hidden).eq(false))
                    .and(
                        newer.field(versions::sort_key).gt(versions::sort_key).or(newer
                            .field(versions::sort_key)
                            .eq(versions::sort_key)
                            .and(newer.field(versions::revision).gt(versions::revision))),
                    ),
            ),
        ))
        .select(installations::id)
        .load(c)
        .await)
}
