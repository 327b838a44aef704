//! Upgrade records.

use crate::{
    Conn, Instant, Stored, Word,
    first::{Lists, first_ids},
    id::{ApplicationId, InstallationId, OperationId, RecordId, VersionId},
    on,
    schema::{applications, upgrade_records},
};
use diesel::{QueryResult, pg::Pg, prelude::*, sqlite::Sqlite};
use diesel_async::RunQueryDsl;
use ropeway_domain::{
    Change, ChangeId, ComponentKey, installed::Installed, operation::UpgradeState, plan::LeftForPeople,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, str::FromStr};

/// One upgrade or rollback of an installation.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = upgrade_records, check_for_backend(Pg, Sqlite), treat_none_as_default_value = false)]
pub struct Record {
    /// Its id.
    pub id: RecordId,
    /// Of which installation.
    pub installation_id: InstallationId,
    /// Of which application.
    pub application_id: ApplicationId,
    /// From 1 in its installation; a greater one is newer.
    pub sequence: i64,
    /// Which of the two.
    pub kind: Word<RecordKind>,
    /// The record that this one takes back.
    pub rollback_of: Option<RecordId>,
    /// The version before.
    pub from_version_id: VersionId,
    /// The version that is gone to.
    pub to_version_id: VersionId,
    /// Where it is.
    pub state: Word<UpgradeState>,
    /// Every difference, applied or kept.
    pub changes: Stored<Vec<Change>>,
    /// How it went for each component.
    pub outcomes: Stored<Vec<ComponentOutcome>>,
    /// What is for people to decide.
    pub left_for_people: Stored<Vec<LeftForPeople>>,
    /// The complete desired state before, in template keys.
    pub snapshot: Stored<Snapshot>,
    /// The desired state that the record wrote, in template keys.
    pub written: Stored<Installed>,
    /// What was asked for, for a retry.
    pub request: Stored<RecordRequest>,
    /// The plan that was executed.
    pub plan_digest: String,
    /// The operation that carries it out.
    pub operation_id: Option<OperationId>,
    /// By whom, by display name.
    pub created_by: String,
    /// When.
    pub created_at: Instant,
}

/// Whether a record goes forward or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// To another version.
    Upgrade,
    /// Back to the snapshot of a record.
    Rollback,
}

/// How an upgrade went for one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentOutcome {
    /// By its template key.
    pub key: ComponentKey,
    /// What people call it.
    pub name: String,
    /// Where it is.
    pub state: UpgradeState,
    /// Why it failed.
    pub error: Option<String>,
}

/// All that a rollback needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The complete desired state, in template keys.
    pub installed: Installed,
    /// Differences that were kept then.
    pub kept_changes: Vec<Change>,
    /// The version that the installation was at.
    pub version_id: VersionId,
    /// The driver's component.
    pub driver_digest: String,
    /// The driver's configuration.
    pub driver_config: serde_json::Value,
}

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordRequest {
    /// The chosen components; none: all.
    pub selection: Option<BTreeSet<ComponentKey>>,
    /// The accepted changes.
    pub accepted: BTreeSet<ChangeId>,
    /// Whether a failure is rolled back by itself.
    pub roll_back_on_failure: bool,
    /// Seconds that a wave may take.
    pub progress_deadline_seconds: u32,
    /// Whether everything is at the version afterwards, so that the installation is.
    pub completes: bool,
}

impl Record {
    /// The components, by template key, that it did not bring to where it wanted them.
    pub fn unfinished(&self) -> BTreeSet<ComponentKey> {
        self.outcomes.0.iter().filter(|one| one.state != UpgradeState::Succeeded).map(|one| one.key).collect()
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upgrade => "UPGRADE",
            Self::Rollback => "ROLLBACK",
        })
    }
}

impl FromStr for RecordKind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "UPGRADE" => Ok(Self::Upgrade),
            "ROLLBACK" => Ok(Self::Rollback),
            _ => Err("not a kind of upgrade record"),
        }
    }
}

/// Stores a new record.
pub async fn insert(conn: &mut Conn, record: &Record) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(upgrade_records::table).values(record).execute(c).await)
}

/// One record.
pub async fn find(conn: &mut Conn, id: RecordId) -> QueryResult<Option<Record>> {
    on!(conn, |c| upgrade_records::table.find(id).select(Record::as_select()).first(c).await.optional())
}

/// Those with these ids.
pub async fn by_ids(conn: &mut Conn, ids: &[RecordId]) -> QueryResult<Vec<Record>> {
    on!(conn, |c| upgrade_records::table
        .filter(upgrade_records::id.eq_any(ids))
        .select(Record::as_select())
        .load(c)
        .await)
}

/// The newest record of an installation.
pub async fn newest(conn: &mut Conn, installation: InstallationId) -> QueryResult<Option<Record>> {
    on!(conn, |c| upgrade_records::table
        .filter(upgrade_records::installation_id.eq(installation))
        .order(upgrade_records::sequence.desc())
        .select(Record::as_select())
        .first(c)
        .await
        .optional())
}

/// The records of an installation from one sequence on, up to another one that does not count.
pub async fn between(
    conn: &mut Conn,
    installation: InstallationId,
    from: i64,
    before: i64,
) -> QueryResult<Vec<Record>> {
    on!(conn, |c| upgrade_records::table
        .filter(upgrade_records::installation_id.eq(installation))
        .filter(upgrade_records::sequence.ge(from).and(upgrade_records::sequence.lt(before)))
        .order(upgrade_records::sequence)
        .select(Record::as_select())
        .load(c)
        .await)
}

/// The sequence of the newest record of each of these installations.
pub async fn newest_sequences(
    conn: &mut Conn,
    installations: &[InstallationId],
) -> QueryResult<Vec<(InstallationId, Option<i64>)>> {
    on!(conn, |c| upgrade_records::table
        .filter(upgrade_records::installation_id.eq_any(installations))
        .group_by(upgrade_records::installation_id)
        .select((upgrade_records::installation_id, diesel::dsl::max(upgrade_records::sequence)))
        .load(c)
        .await)
}

/// A page of an application's records, or of those of one of its installations, newest first.
pub async fn page(
    conn: &mut Conn,
    application: ApplicationId,
    installation: Option<InstallationId>,
    after: Option<(Instant, RecordId)>,
    limit: i64,
) -> QueryResult<Vec<Record>> {
    on!(conn, |c| {
        let mut query = upgrade_records::table
            .filter(upgrade_records::application_id.eq(application))
            .select(Record::as_select())
            .into_boxed();
        if let Some(installation) = installation {
            query = query.filter(upgrade_records::installation_id.eq(installation));
        }
        if let Some((at, id)) = after {
            query = query.filter(
                upgrade_records::created_at
                    .lt(at)
                    .or(upgrade_records::created_at.eq(at).and(upgrade_records::id.lt(id))),
            );
        }
        query.order((upgrade_records::created_at.desc(), upgrade_records::id.desc())).limit(limit).load(c).await
    })
}

/// The newest records of each of these applications, `limit` of each at most, newest first. Two statements, however many
/// applications.
pub async fn first_of_applications(conn: &mut Conn, of: &[ApplicationId], limit: i64) -> QueryResult<Vec<Record>> {
    let ids = first_ids(conn, &lists("application_id"), of, None, limit).await?;
    newest_first(conn, &ids).await
}

/// As [`first_of_applications`], of installations.
pub async fn first_of_installations(conn: &mut Conn, of: &[InstallationId], limit: i64) -> QueryResult<Vec<Record>> {
    let ids = first_ids(conn, &lists("installation_id"), of, None, limit).await?;
    newest_first(conn, &ids).await
}

/// How many records each of these applications has; one without any is left out.
pub async fn counts_of_applications(conn: &mut Conn, of: &[ApplicationId]) -> QueryResult<Vec<(ApplicationId, i64)>> {
    on!(conn, |c| upgrade_records::table
        .filter(upgrade_records::application_id.eq_any(of))
        .group_by(upgrade_records::application_id)
        .select((upgrade_records::application_id, diesel::dsl::count_star()))
        .load(c)
        .await)
}

/// As [`counts_of_applications`], of installations.
pub async fn counts_of_installations(
    conn: &mut Conn,
    of: &[InstallationId],
) -> QueryResult<Vec<(InstallationId, i64)>> {
    on!(conn, |c| upgrade_records::table
        .filter(upgrade_records::installation_id.eq_any(of))
        .group_by(upgrade_records::installation_id)
        .select((upgrade_records::installation_id, diesel::dsl::count_star()))
        .load(c)
        .await)
}

/// Writes where a record is, and how it went.
pub async fn update(
    conn: &mut Conn,
    id: RecordId,
    state: UpgradeState,
    outcomes: &[ComponentOutcome],
) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(upgrade_records::table.find(id))
        .set((upgrade_records::state.eq(Word(state)), upgrade_records::outcomes.eq(Stored(outcomes.to_vec()))))
        .execute(c)
        .await)
}

/// Names the operation that carries a record out.
pub async fn set_operation(conn: &mut Conn, id: RecordId, operation: OperationId) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(upgrade_records::table.find(id))
        .set(upgrade_records::operation_id.eq(Some(operation)))
        .execute(c)
        .await)
}

/// The upgrades that ended and still hold their application: they failed, and are to be rolled back.
pub async fn awaiting_rollback(conn: &mut Conn) -> QueryResult<Vec<(RecordId, OperationId, ApplicationId)>> {
    let found: Vec<(RecordId, Option<OperationId>, ApplicationId)> = on!(conn, |c| upgrade_records::table
        .inner_join(applications::table)
        .filter(applications::locked_by.eq(upgrade_records::operation_id))
        .filter(
            upgrade_records::state
                .eq_any([Word(UpgradeState::Failed), Word(UpgradeState::Partial)])
                .and(upgrade_records::kind.eq(Word(RecordKind::Upgrade))),
        )
        .select((upgrade_records::id, upgrade_records::operation_id, upgrade_records::application_id))
        .load(c)
        .await)?;
    Ok(found
        .into_iter()
        .filter_map(|(record, operation, application)| Some((record, operation?, application)))
        .collect())
}

fn lists(parent: &'static str) -> Lists {
    Lists { table: "upgrade_records", parent, filter: "1 = 1", order: "created_at DESC, id DESC" }
}

async fn newest_first(conn: &mut Conn, ids: &[RecordId]) -> QueryResult<Vec<Record>> {
    let mut rows = by_ids(conn, ids).await?;
    rows.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.id)));
    Ok(rows)
}
