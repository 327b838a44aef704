//! The steps of operations. Their states are written by `operation::journal` alone.
#![expect(clippy::ref_option_ref, reason = "what diesel derives")]

use crate::{Conn, Instant, Key, Stored, Word, id::OperationId, on, schema::steps};
use diesel::{QueryResult, pg::Pg, prelude::*, sqlite::Sqlite};
use diesel_async::RunQueryDsl;
use ropeway_domain::{
    ComponentKey,
    operation::{StepState, StepView},
};
use std::collections::BTreeSet;

/// One step of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = steps, check_for_backend(Pg, Sqlite), treat_none_as_default_value = false)]
pub struct Step {
    /// Of what.
    pub operation_id: OperationId,
    /// From 1, unique in its operation.
    pub number: i64,
    /// What it does, for people.
    pub name: String,
    /// The component that it is about, by its own key.
    pub component_key: Option<Key<ComponentKey>>,
    /// What people call that component.
    pub component_name: Option<String>,
    /// The numbers of the steps that must succeed before it.
    pub needs: Stored<BTreeSet<u32>>,
    /// What is to be done: an `operation::action::Action` as JSON. It is read only when the step begins, so that one
    /// that cannot be read fails that step and nothing else.
    pub action: Vec<u8>,
    /// Where it is.
    pub state: Word<StepState>,
    /// How often it was begun.
    pub attempts: i64,
    /// Why it failed.
    pub error: Option<String>,
    /// When it has failed if it has not succeeded; fixed when it begins for the first time.
    pub deadline_at: Option<Instant>,
    /// When it began for the first time.
    pub started_at: Option<Instant>,
    /// When it came to its end.
    pub finished_at: Option<Instant>,
}

/// What a journal entry changes of a step.
#[derive(AsChangeset)]
#[diesel(table_name = steps, treat_none_as_null = true)]
struct Progressed<'a> {
    state: Word<StepState>,
    attempts: i64,
    error: Option<&'a str>,
    deadline_at: Option<Instant>,
    started_at: Option<Instant>,
    finished_at: Option<Instant>,
}

impl Step {
    /// Its number, as the domain counts.
    pub fn number(&self) -> u32 {
        u32::try_from(self.number).unwrap_or(u32::MAX)
    }

    /// As far as order and outcome depend on it.
    pub fn view(&self) -> StepView {
        StepView { number: self.number(), state: self.state.0, needs: self.needs.0.clone() }
    }
}

/// Stores a new step.
pub async fn insert(conn: &mut Conn, step: &Step) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(steps::table).values(step).execute(c).await)
}

/// The steps of an operation, in order.
pub async fn of_operation(conn: &mut Conn, operation: OperationId) -> QueryResult<Vec<Step>> {
    on!(conn, |c| steps::table
        .filter(steps::operation_id.eq(operation))
        .order(steps::number.asc())
        .select(Step::as_select())
        .load(c)
        .await)
}

/// The steps of several operations, in order, operation after operation.
pub async fn of_operations(conn: &mut Conn, operations: &[OperationId]) -> QueryResult<Vec<Step>> {
    on!(conn, |c| steps::table
        .filter(steps::operation_id.eq_any(operations))
        .order((steps::operation_id.asc(), steps::number.asc()))
        .select(Step::as_select())
        .load(c)
        .await)
}

/// Writes what a journal entry changes of a step whose operation is locked.
pub async fn save(conn: &mut Conn, step: &Step) -> QueryResult<usize> {
    let changes = Progressed {
        state: step.state,
        attempts: step.attempts,
        error: step.error.as_deref(),
        deadline_at: step.deadline_at,
        started_at: step.started_at,
        finished_at: step.finished_at,
    };
    on!(conn, |c| diesel::update(steps::table.find((step.operation_id, step.number))).set(&changes).execute(c).await)
}
