//! Durable operations. Their states are written by `operation::journal` alone.
#![expect(clippy::ref_option_ref, reason = "what diesel derives")]

use crate::{
    Conn, Instant, Word,
    id::{ApplicationId, ClusterId, EnterpriseId, Id, InstallationId, OperationId, PublicationId, RecordId, TeamId},
    on,
    schema::operations,
};
use diesel::{QueryResult, pg::Pg, prelude::*, sqlite::Sqlite};
use diesel_async::RunQueryDsl;
use ropeway_domain::operation::{OperationKind, OperationState};
use std::collections::BTreeMap;

/// A process that carries operations out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerKind {}

/// The id of a process that carries operations out, new at each start.
pub type WorkerId = Id<WorkerKind>;

/// A durable, long-running job.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = operations, check_for_backend(Pg, Sqlite), treat_none_as_default_value = false)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// Whose.
    pub enterprise_id: EnterpriseId,
    /// Which team's, if one's.
    pub team_id: Option<TeamId>,
    /// Which application it is about.
    pub application_id: Option<ApplicationId>,
    /// Which cluster it works on.
    pub cluster_id: Option<ClusterId>,
    /// Which publication it synchronizes.
    pub publication_id: Option<PublicationId>,
    /// Which installation it changes.
    pub installation_id: Option<InstallationId>,
    /// Which upgrade or rollback it carries out.
    pub record_id: Option<RecordId>,
    /// The operation whose unfinished steps it repeats.
    pub retry_of: Option<OperationId>,
    /// What it does.
    pub kind: Word<OperationKind>,
    /// Where it is.
    pub state: Word<OperationState>,
    /// How much of it is done, from 0 to 1.
    pub progress: f64,
    /// Who began it: a name for people.
    pub created_by: String,
    /// When it was begun.
    pub created_at: Instant,
    /// When a worker took it for the first time.
    pub started_at: Option<Instant>,
    /// When it came to its end.
    pub finished_at: Option<Instant>,
    /// Why it did not succeed, for programs.
    pub error_code: Option<String>,
    /// Why it did not succeed, for people.
    pub error_message: Option<String>,
    /// The digest of the plan that it carries out.
    pub plan_digest: Option<String>,
    /// Whether a person asked for its end.
    pub cancel_requested: bool,
    /// Which worker has it.
    pub lease_owner: Option<WorkerId>,
    /// Until when; another worker takes it after that.
    pub lease_until: Option<Instant>,
    /// Grows whenever a worker takes it. Whoever has an older one can change nothing.
    pub generation: i64,
    /// The sequence of its next event.
    pub next_sequence: i64,
}

/// What a journal entry changes of an operation.
#[derive(AsChangeset)]
#[diesel(table_name = operations, treat_none_as_null = true)]
struct Progressed<'a> {
    state: Word<OperationState>,
    progress: f64,
    started_at: Option<Instant>,
    finished_at: Option<Instant>,
    error_code: Option<&'a str>,
    error_message: Option<&'a str>,
    cancel_requested: bool,
    lease_owner: Option<WorkerId>,
    lease_until: Option<Instant>,
    generation: i64,
    next_sequence: i64,
}

/// The kind that lasts as long as a network is slow, and works on no cluster.
const COPIES: OperationKind = OperationKind::SyncImages;

/// Stores a new operation.
pub async fn insert(conn: &mut Conn, operation: &Operation) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(operations::table).values(operation).execute(c).await)
}

/// One operation.
pub async fn find(conn: &mut Conn, id: OperationId) -> QueryResult<Option<Operation>> {
    on!(conn, |c| operations::table.find(id).select(Operation::as_select()).first(c).await.optional())
}

/// Those with these ids, in no order.
pub async fn by_ids(conn: &mut Conn, ids: &[OperationId]) -> QueryResult<Vec<Operation>> {
    on!(conn, |c| operations::table.filter(operations::id.eq_any(ids)).select(Operation::as_select()).load(c).await)
}

/// The unfinished operations that use a cluster, oldest first: what keeps it from being removed.
pub async fn unfinished_of_cluster(conn: &mut Conn, cluster: ClusterId, limit: i64) -> QueryResult<Vec<Operation>> {
    on!(conn, |c| operations::table
        .filter(operations::cluster_id.eq(cluster).and(operations::state.eq_any(["QUEUED", "RUNNING"])))
        .order((operations::created_at.asc(), operations::id.asc()))
        .limit(limit)
        .select(Operation::as_select())
        .load(c)
        .await)
}

/// Locks the oldest operation that nobody works on: one in the queue, or one whose worker let its lease end. Workers
/// that look at the same time get different ones. What is slow together leaves room for the rest: of what one worker
/// holds, at most `share` copy images, and at most `share` of the others are in the same cluster.
pub async fn lock_next(conn: &mut Conn, owner: WorkerId, share: usize, now: Instant) -> QueryResult<Option<Operation>> {
    let held: Vec<(Word<OperationKind>, Option<ClusterId>)> = on!(conn, |c| operations::table
        .filter(
            operations::state.eq("RUNNING").and(operations::lease_owner.eq(owner)).and(operations::lease_until.gt(now))
        )
        .select((operations::kind, operations::cluster_id))
        .load(c)
        .await)?;
    let (copying, others): (Vec<_>, Vec<_>) = held.into_iter().partition(|(kind, _)| kind.0 == COPIES);
    let full_kinds: Vec<Word<OperationKind>> = if copying.len() >= share { vec![Word(COPIES)] } else { Vec::new() };
    let mut by_cluster: BTreeMap<ClusterId, usize> = BTreeMap::new();
    for cluster in others.into_iter().filter_map(|(_, cluster)| cluster) {
        *by_cluster.entry(cluster).or_default() += 1;
    }
    let full_clusters: Vec<ClusterId> =
        by_cluster.into_iter().filter(|(_, held)| *held >= share).map(|(cluster, _)| cluster).collect();
    // The condition of the index of unfinished operations, in its words.
    macro_rules! free {
        () => {
            operations::table
                .filter(
                    operations::state.eq("QUEUED").or(operations::state
                        .eq("RUNNING")
                        .and(operations::lease_until.is_null().or(operations::lease_until.le(now)))),
                )
                .filter(operations::kind.ne_all(full_kinds))
                .filter(
                    operations::cluster_id.is_null().or(operations::cluster_id.assume_not_null().ne_all(full_clusters)),
                )
                .order((operations::created_at.asc(), operations::id.asc()))
                .select(Operation::as_select())
        };
    }
    match conn {
        Conn::Postgres(c) => free!().for_update().skip_locked().first(&mut **c).await.optional(),
        Conn::Sqlite(c) => free!().first(&mut **c).await.optional(),
    }
}

/// Locks an operation for the one worker that holds it: none if it does not any more.
pub async fn lock_held(
    conn: &mut Conn,
    id: OperationId,
    owner: WorkerId,
    generation: i64,
) -> QueryResult<Option<Operation>> {
    on!(conn, |c| diesel::update(
        operations::table.filter(
            operations::id
                .eq(id)
                .and(operations::generation.eq(generation))
                .and(operations::lease_owner.eq(owner))
                .and(operations::state.eq("RUNNING"))
        )
    )
    .set(operations::next_sequence.eq(operations::next_sequence))
    .returning(Operation::as_returning())
    .get_result(c)
    .await
    .optional())
}

/// Locks an operation, whoever holds it, for the rest of the transaction.
pub async fn lock(conn: &mut Conn, id: OperationId) -> QueryResult<Option<Operation>> {
    on!(conn, |c| diesel::update(operations::table.find(id))
        .set(operations::next_sequence.eq(operations::next_sequence))
        .returning(Operation::as_returning())
        .get_result(c)
        .await
        .optional())
}

/// Writes what a journal entry changes of an operation that is locked.
pub async fn save(conn: &mut Conn, operation: &Operation) -> QueryResult<usize> {
    let changes = Progressed {
        state: operation.state,
        progress: operation.progress,
        started_at: operation.started_at,
        finished_at: operation.finished_at,
        error_code: operation.error_code.as_deref(),
        error_message: operation.error_message.as_deref(),
        cancel_requested: operation.cancel_requested,
        lease_owner: operation.lease_owner,
        lease_until: operation.lease_until,
        generation: operation.generation,
        next_sequence: operation.next_sequence,
    };
    on!(conn, |c| diesel::update(operations::table.find(operation.id)).set(&changes).execute(c).await)
}
