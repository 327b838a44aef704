//! Publications and the images that they sync.

use crate::{
    Conn, Instant, Key, Stored, Word,
    first::{Lists, first_ids},
    id::{ApplicationId, Id, ImageId, OperationId, PublicationId, TemplateId, UserId, VersionId},
    on,
    schema::{applications, publication_images, publications},
};
use diesel::{QueryResult, pg::Pg, prelude::*, sqlite::Sqlite};
use diesel_async::RunQueryDsl;
use ropeway_domain::{
    ComponentKey,
    operation::{PublicationState, StepState},
};

/// The act that makes a version.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = publications, check_for_backend(Pg, Sqlite), treat_none_as_default_value = false)]
pub struct Publication {
    /// Its id.
    pub id: PublicationId,
    /// Of which application.
    pub application_id: ApplicationId,
    /// To which template.
    pub template_id: TemplateId,
    /// As the publisher wrote it.
    pub number: String,
    /// Of the number.
    pub sort_key: Vec<u8>,
    /// Of the version.
    pub alias: Option<String>,
    /// Of the version.
    pub description: String,
    /// Of the version.
    pub installable_as_add_ons: bool,
    /// Where it is.
    pub state: Word<PublicationState>,
    /// Of the content.
    pub digest: String,
    /// The canonical bytes of the version.
    pub content: Vec<u8>,
    /// What was said when it was submitted.
    pub warnings: Stored<Vec<String>>,
    /// Of the version's artifact in the library's registry, once it is there.
    pub artifact_digest: Option<String>,
    /// The sync.
    pub operation_id: Option<OperationId>,
    /// The revision that it made.
    pub version_id: Option<VersionId>,
    /// By whom.
    pub created_by: UserId,
    /// When.
    pub created_at: Instant,
}

/// An image that a publication brings into the library.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = publication_images, check_for_backend(Pg, Sqlite), treat_none_as_default_value = false)]
pub struct PublicationImage {
    /// Its id.
    pub id: ImageId,
    /// Of which publication.
    pub publication_id: PublicationId,
    /// Of which component, by its template key.
    pub component_key: Key<ComponentKey>,
    /// What people call that.
    pub component_name: String,
    /// Where it comes from: a whole reference with its digest.
    pub source: String,
    /// Where it goes, within the library's registry.
    pub repository: String,
    /// Which image.
    pub digest: String,
    /// Such as `linux/amd64`.
    pub platforms: Stored<Vec<String>>,
    /// Where its copy is.
    pub state: Word<StepState>,
    /// Bytes that the library has.
    pub bytes_done: i64,
    /// Bytes altogether.
    pub bytes_total: i64,
    /// Why its copy failed.
    pub error: Option<String>,
}

/// Stores a new publication.
pub async fn insert(conn: &mut Conn, publication: &Publication) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(publications::table).values(publication).execute(c).await)
}

/// Stores an image.
pub async fn insert_image(conn: &mut Conn, image: &PublicationImage) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(publication_images::table).values(image).execute(c).await)
}

/// One publication.
pub async fn find(conn: &mut Conn, id: PublicationId) -> QueryResult<Option<Publication>> {
    on!(conn, |c| publications::table.find(id).select(Publication::as_select()).first(c).await.optional())
}

/// Those with these ids.
pub async fn by_ids(conn: &mut Conn, ids: &[PublicationId]) -> QueryResult<Vec<Publication>> {
    on!(conn, |c| publications::table
        .filter(publications::id.eq_any(ids))
        .select(Publication::as_select())
        .load(c)
        .await)
}

/// A page of an application's publications, newest first. Those that are not published are their author's.
pub async fn page(
    conn: &mut Conn,
    application: ApplicationId,
    author: UserId,
    after: Option<(Instant, PublicationId)>,
    limit: i64,
) -> QueryResult<Vec<Publication>> {
    on!(conn, |c| {
        let mut query = publications::table
            .filter(publications::application_id.eq(application))
            .filter(publications::state.eq(Word(PublicationState::Published)).or(publications::created_by.eq(author)))
            .select(Publication::as_select())
            .into_boxed();
        if let Some((at, id)) = after {
            query = query.filter(
                publications::created_at.lt(at).or(publications::created_at.eq(at).and(publications::id.lt(id))),
            );
        }
        query.order((publications::created_at.desc(), publications::id.desc())).limit(limit).load(c).await
    })
}

/// The first rows of [`page`] of each of these applications, `limit` of each at most. Two statements, however many
/// applications.
pub async fn first_pages(
    conn: &mut Conn,
    applications: &[ApplicationId],
    author: UserId,
    limit: i64,
) -> QueryResult<Vec<Publication>> {
    let lists = Lists {
        table: "publications",
        parent: "application_id",
        filter: "(state = 'PUBLISHED' OR created_by = {bound})",
        order: "created_at DESC, id DESC",
    };
    let ids = first_ids(conn, &lists, applications, Some(Id::new(author.0)), limit).await?;
    let mut rows = by_ids(conn, &ids).await?;
    rows.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.id)));
    Ok(rows)
}

/// How many [`page`] would list altogether of each of these applications; one without any is left out.
pub async fn counts(
    conn: &mut Conn,
    applications: &[ApplicationId],
    author: UserId,
) -> QueryResult<Vec<(ApplicationId, i64)>> {
    on!(conn, |c| publications::table
        .filter(publications::application_id.eq_any(applications))
        .filter(publications::state.eq(Word(PublicationState::Published)).or(publications::created_by.eq(author)))
        .group_by(publications::application_id)
        .select((publications::application_id, diesel::dsl::count_star()))
        .load(c)
        .await)
}

/// Moves a publication to another state if it still is in the one that was observed; says whether it was.
pub async fn transition(
    conn: &mut Conn,
    id: PublicationId,
    from: PublicationState,
    to: PublicationState,
) -> QueryResult<bool> {
    on!(conn, |c| diesel::update(
        publications::table.filter(publications::id.eq(id).and(publications::state.eq(Word(from)))),
    )
    .set(publications::state.eq(Word(to)))
    .execute(c)
    .await)
    .map(|rows| rows == 1)
}

/// Names the sync of a publication.
pub async fn set_operation(conn: &mut Conn, id: PublicationId, operation: OperationId) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(publications::table.find(id))
        .set(publications::operation_id.eq(Some(operation)))
        .execute(c)
        .await)
}

/// Names the revision that a publication made.
pub async fn set_version(conn: &mut Conn, id: PublicationId, version: VersionId) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(publications::table.find(id))
        .set(publications::version_id.eq(Some(version)))
        .execute(c)
        .await)
}

/// Names the artifact that was pushed for a publication.
pub async fn set_artifact(conn: &mut Conn, id: PublicationId, digest: &str) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(publications::table.find(id))
        .set(publications::artifact_digest.eq(Some(digest)))
        .execute(c)
        .await)
}

/// The revision that these publications made is forgotten.
pub async fn forget_version(conn: &mut Conn, version: VersionId) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(publications::table.filter(publications::version_id.eq(version)))
        .set(publications::version_id.eq(None::<VersionId>))
        .execute(c)
        .await)
}

/// Forgets the publications to a template, which must have come to their ends.
pub async fn delete_of_template(conn: &mut Conn, template: TemplateId) -> QueryResult<usize> {
    on!(conn, |c| diesel::delete(publications::table.filter(publications::template_id.eq(template))).execute(c).await)
}

/// The unfinished publications to a template: a few of them, with the names of their applications.
pub async fn unfinished(
    conn: &mut Conn,
    template: TemplateId,
    limit: i64,
) -> QueryResult<Vec<(PublicationId, UserId, String)>> {
    on!(conn, |c| publications::table
        .inner_join(applications::table)
        .filter(publications::template_id.eq(template))
        .filter(publications::state.ne_all(["PUBLISHED", "ABANDONED"]))
        .order(publications::created_at)
        .limit(limit)
        .select((publications::id, publications::created_by, applications::name))
        .load(c)
        .await)
}

/// The images of publications, by component.
pub async fn images(conn: &mut Conn, publications: &[PublicationId]) -> QueryResult<Vec<PublicationImage>> {
    on!(conn, |c| publication_images::table
        .filter(publication_images::publication_id.eq_any(publications))
        .order((publication_images::component_name.asc(), publication_images::id.asc()))
        .select(PublicationImage::as_select())
        .load(c)
        .await)
}

/// The copies of these images have come to their ends: the library has them.
pub async fn complete_images(conn: &mut Conn, ids: &[ImageId]) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(publication_images::table.filter(publication_images::id.eq_any(ids)))
        .set((
            publication_images::state.eq(Word(StepState::Succeeded)),
            publication_images::bytes_done.eq(publication_images::bytes_total),
            publication_images::error.eq(None::<String>),
        ))
        .execute(c)
        .await)
}

/// Where the copies of these images are; how far they came stays as it is.
pub async fn set_image_state(
    conn: &mut Conn,
    ids: &[ImageId],
    state: StepState,
    error: Option<&str>,
) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(publication_images::table.filter(publication_images::id.eq_any(ids)))
        .set((publication_images::state.eq(Word(state)), publication_images::error.eq(error)))
        .execute(c)
        .await)
}

/// Records how far the copy of an image is.
pub async fn record_image(
    conn: &mut Conn,
    id: ImageId,
    state: StepState,
    done: i64,
    total: i64,
    error: Option<&str>,
) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(publication_images::table.find(id))
        .set((
            publication_images::state.eq(Word(state)),
            publication_images::bytes_done.eq(done),
            publication_images::bytes_total.eq(total),
            publication_images::error.eq(error),
        ))
        .execute(c)
        .await)
}
