//! What happened to operations, in order and without gaps. Only `operation::journal` adds events; none is ever changed.

use crate::{Conn, Instant, Stored, id::OperationId, on, schema::events};
use diesel::{QueryResult, pg::Pg, prelude::*, sqlite::Sqlite};
use diesel_async::RunQueryDsl;
use serde_json::Value as Json;

/// Something that happened to an operation.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = events, check_for_backend(Pg, Sqlite), treat_none_as_default_value = false)]
pub struct Event {
    /// To which.
    pub operation_id: OperationId,
    /// From 1, without gaps.
    pub sequence: i64,
    /// When.
    pub at: Instant,
    /// What, for programs: an `operation::journal::EventKind`.
    pub kind: String,
    /// The name of the step that it is about.
    pub step: Option<String>,
    /// What people call the component that it is about.
    pub component: Option<String>,
    /// What, for people.
    pub message: String,
    /// How much of the operation, or of the step where there is one, is done, from 0 to 1.
    pub progress: Option<f64>,
    /// More, such as bytes done and total.
    pub data: Option<Stored<Json>>,
}

/// Stores an event.
pub async fn insert(conn: &mut Conn, event: &Event) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(events::table).values(event).execute(c).await)
}

/// The first `limit` events of each of these operations, in order.
pub async fn first_pages(conn: &mut Conn, operations: &[OperationId], limit: i64) -> QueryResult<Vec<Event>> {
    on!(conn, |c| events::table
        .filter(events::operation_id.eq_any(operations).and(events::sequence.le(limit)))
        .order((events::operation_id.asc(), events::sequence.asc()))
        .select(Event::as_select())
        .load(c)
        .await)
}

/// The events of an operation after a sequence (0: from the first), in order.
pub async fn after(conn: &mut Conn, operation: OperationId, sequence: i64, limit: i64) -> QueryResult<Vec<Event>> {
    on!(conn, |c| events::table
        .filter(events::operation_id.eq(operation).and(events::sequence.gt(sequence)))
        .order(events::sequence.asc())
        .limit(limit)
        .select(Event::as_select())
        .load(c)
        .await)
}
