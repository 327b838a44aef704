//! Operations: durable, long-running jobs.

use super::{
    actor, app, asked,
    error::{IntoGraphql as _, UserError, answer},
    id,
    loader::{Rows, Shared, by_limit, load},
    page::{self, Cursor, Page, PageRequest},
};
use crate::{
    connection,
    error::{Error, Result},
    id::OperationId,
    operation::feed::{EventCursor, FollowError},
    payload,
    service::{cancel_operation, find_application, follow_operation, retry_operation},
    store::{event, operation as rows, step},
};
use async_graphql::{
    Context, Enum, ErrorExtensions as _, ID, InputObject, Object, SimpleObject, Subscription, dataloader::Loader,
};
use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt as _};
use ropeway_domain::operation as domain;
use std::{collections::HashMap, sync::Arc};

/// What an operation does.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "domain::OperationKind")]
pub enum OperationKind {
    /// Copies the images of a publication into the library.
    SyncImages,
    /// Brings a version into a cluster.
    Install,
    /// Takes an installation to another version.
    Upgrade,
    /// Takes an installation back to the snapshot of a record.
    Rollback,
    /// Brings an application's edits into its cluster.
    Deploy,
    /// Deletes what an installation, or an application, owns.
    Uninstall,
    /// Asks clusters whether they reach the library.
    Probe,
    /// Gives the namespaces of teams in a cluster what pulls from the library, when access to it has changed.
    OpenTeam,
}

/// Where an operation is.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "domain::OperationState")]
pub enum OperationState {
    /// No worker has taken it yet.
    Queued,
    /// A worker carries it out.
    Running,
    /// All of its steps succeeded.
    Succeeded,
    /// Some of its steps succeeded and some did not.
    Partial,
    /// None of its steps succeeded.
    Failed,
    /// A person stopped it before its end.
    Cancelled,
}

/// Where a step is.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "domain::StepState")]
pub enum StepState {
    /// It has not run.
    Pending,
    /// It runs.
    Running,
    /// It did what it had to.
    Succeeded,
    /// It did not.
    Failed,
    /// It never ran, because one that it needs failed or because the operation was cancelled.
    Skipped,
}

/// A durable, long-running job.
#[derive(Debug, Clone)]
pub struct Operation {
    row: rows::Operation,
}

/// One step of an operation.
#[derive(Debug, Clone, SimpleObject)]
pub struct Step {
    /// From 1.
    pub number: i32,
    /// What it does.
    pub name: String,
    /// What people call the component that it is about.
    pub component: Option<String>,
    /// Where it is.
    pub state: StepState,
    /// How often it was begun.
    pub attempts: i32,
    /// Why it failed.
    pub error: Option<String>,
    /// When it began for the first time.
    pub started_at: Option<DateTime<Utc>>,
    /// When it came to its end.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Something that happened to an operation.
#[derive(Debug, Clone, SimpleObject)]
pub struct OperationEvent {
    /// Its place: `after` of `operationEvents` goes on behind it.
    pub cursor: Cursor,
    /// From 1, without gaps.
    pub sequence: i32,
    /// When.
    pub at: DateTime<Utc>,
    /// What, for programs: `QUEUED`, `STARTED`, `RESUMED`, `CANCEL_REQUESTED`, `STEP_STARTED`, `STEP_PROGRESS`,
    /// `STEP_RETRIED`, `STEP_SUCCEEDED`, `STEP_FAILED`, `STEP_SKIPPED` or `FINISHED`; after that, where a failed upgrade
    /// is to be rolled back by itself, `ROLLBACK_WAITS` and `ROLLBACK_GIVEN_UP`.
    pub kind: String,
    /// The name of the step that it is about.
    pub step: Option<String>,
    /// What people call the component that it is about.
    pub component: Option<String>,
    /// What, for people.
    pub message: String,
    /// How much of the operation, or of the step where there is one, is done: 0 to 1.
    pub progress: Option<f64>,
    /// More, such as bytes done and total.
    pub data: Option<serde_json::Value>,
}

/// Queries of operations.
#[derive(Default)]
pub struct OperationQuery;

/// Mutations of operations.
#[derive(Default)]
pub struct OperationMutation;

/// Subscriptions of operations.
#[derive(Default)]
pub struct OperationSubscription;

/// Loads an operation. Whoever uses it knows that it may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OperationKey(pub OperationId);

/// Loads the steps of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StepsKey(pub OperationId);

/// Loads the first events of an operation: so many at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FirstEventsKey {
    /// Which operation.
    pub operation: OperationId,
    /// How many.
    pub limit: i64,
}

/// Input of `cancelOperation`.
#[derive(InputObject)]
pub struct CancelOperationInput {
    /// Which.
    pub operation_id: ID,
}

/// Input of `retryOperation`.
#[derive(InputObject)]
pub struct RetryOperationInput {
    /// Which.
    pub operation_id: ID,
}

connection! {
    /// A page of an operation's events.
    OperationEventConnection, OperationEventEdge, OperationEvent
}

payload! {
    /// Answer of `cancelOperation`.
    CancelOperationPayload {
        /// The operation. It ends after the steps that run now.
        operation: Operation,
    }
}

payload! {
    /// Answer of `retryOperation`.
    RetryOperationPayload {
        /// The new operation; none where a deletion had nothing left to delete, and is done.
        operation: Operation,
    }
}

/// A durable, long-running job.
#[Object]
impl Operation {
    /// Its global id.
    pub async fn id(&self) -> ID {
        id::encode(self.row.id)
    }

    /// What it does.
    async fn kind(&self) -> OperationKind {
        self.row.kind.0.into()
    }

    /// Where it is.
    async fn state(&self) -> OperationState {
        self.row.state.0.into()
    }

    /// Its steps, fixed when it began.
    #[graphql(complexity = "super::limits::several(child_complexity)")]
    async fn steps(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Step>> {
        load(ctx, StepsKey(self.row.id)).await.map(Option::unwrap_or_default).graphql()
    }

    /// How much of it is done: 0 to 1.
    async fn progress(&self) -> f64 {
        self.row.progress
    }

    /// Who began it.
    async fn created_by(&self) -> &str {
        &self.row.created_by
    }

    /// What happened to it, in order.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, up to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor, which may come from `operationEvents`.")] after: Option<Cursor>,
    ) -> async_graphql::Result<OperationEventConnection> {
        let result = async {
            let start = start(self.row.id, after.as_ref())?;
            let page: PageRequest<i64> = PageRequest::new(ctx, "OperationEvent", first, None)?;
            let rows = if start.sequence > 0 {
                find_application::list_events(app(ctx), self.row.id, start.sequence, page.limit()).await?
            } else {
                let key = FirstEventsKey { operation: self.row.id, limit: page.limit() };
                load(ctx, key).await?.unwrap_or_default()
            };
            let total = self.row.next_sequence - 1;
            // The cursors are those of the subscription, so that a client goes from one to the other.
            let mut page: Page<event::Event> = Page::of(&page, rows, total, |row| row.sequence);
            page.has_previous = start.sequence > 0;
            for (cursor, row) in &mut page.items {
                *cursor = cursor_of(row);
            }
            Ok::<_, Error>(page)
        };
        result.await.map(Into::into).graphql()
    }

    /// When it was begun.
    async fn created_at(&self) -> DateTime<Utc> {
        self.row.created_at.0
    }

    /// When a worker took it for the first time.
    async fn started_at(&self) -> Option<DateTime<Utc>> {
        self.row.started_at.map(|at| at.0)
    }

    /// When it came to its end.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.row.finished_at.map(|at| at.0)
    }

    /// Why it did not succeed.
    async fn error(&self) -> Option<UserError> {
        let code = self.row.error_code.clone()?;
        let message = self.row.error_message.clone().unwrap_or_default();
        Some(UserError { code, message, path: Vec::new(), objects: Vec::new() })
    }
}

#[Object]
impl OperationQuery {
    /// One operation.
    async fn operation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> async_graphql::Result<Option<Operation>> {
        find(ctx, asked(ctx, &id)?).await.map(Some)
    }
}

#[Object]
impl OperationMutation {
    /// Stops an operation after the steps that run now. It can be retried, or rolled back. For developers of its team, and
    /// for administrators where it belongs to no team.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn cancel_operation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] input: CancelOperationInput,
    ) -> async_graphql::Result<CancelOperationPayload> {
        let result = async {
            let actor = actor(ctx)?;
            cancel_operation::cancel_operation(app(ctx), actor, id::decode(&input.operation_id, "operationId")?).await
        };
        answer(result.await, |row| CancelOperationPayload { operation: Some(row.into()), errors: Vec::new() })
    }

    /// Runs what failed of an operation again, as a new one that plans from what is there (CANNOT_RETRY where there is
    /// nothing to run, NEWER_RECORD where something newer stands above it). For developers of its team.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn retry_operation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] input: RetryOperationInput,
    ) -> async_graphql::Result<RetryOperationPayload> {
        let result = async {
            let actor = actor(ctx)?;
            retry_operation::retry_operation(app(ctx), actor, id::decode(&input.operation_id, "operationId")?).await
        };
        answer(result.await, |row| RetryOperationPayload { operation: row.map(Into::into), errors: Vec::new() })
    }
}

#[Subscription]
impl OperationSubscription {
    /// Replays the operation's events after the cursor, then follows it to its end. It ends when the operation may not be
    /// seen any more. A client that is too slow is cut off with the code RESUME: it subscribes again after the last
    /// event that arrived. One person follows 100 things at the same time (RATE_LIMITED).
    async fn operation_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] operation_id: ID,
        #[graphql(desc = "Only what happened after this.")] after: Option<Cursor>,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<OperationEvent>>> {
        let result = async {
            let actor = actor(ctx)?;
            let id = id::decode(&operation_id, "operationId")?;
            find_application::find_operation(app(ctx), actor, id).await?;
            follow_operation::follow_operation(app(ctx), actor, start(id, after.as_ref())?).await
        };
        let events = result.await.graphql()?;
        Ok(events.map(|event| event.map(Into::into).map_err(follow_error)))
    }
}

/// An operation by id.
pub(super) async fn find(ctx: &Context<'_>, id: OperationId) -> async_graphql::Result<Operation> {
    let result = async { find_application::find_operation(app(ctx), actor(ctx)?, id).await };
    result.await.map(Into::into).graphql()
}

fn start(id: OperationId, after: Option<&Cursor>) -> Result<EventCursor> {
    let Some(after) = after else { return Ok(EventCursor::start(id)) };
    EventCursor::decode(&after.0, id).map_err(|error| Error::invalid("INVALID_CURSOR", ["after"], error.to_string()))
}

fn cursor_of(row: &event::Event) -> Cursor {
    Cursor(EventCursor { operation_id: row.operation_id, sequence: row.sequence }.encode())
}

fn follow_error(error: FollowError) -> async_graphql::Error {
    match error {
        FollowError::Failed(error) => super::error::graphql_error(error),
        FollowError::Resume { after } => {
            let message = FollowError::Resume { after }.to_string();
            let code = "RESUME";
            async_graphql::Error::new(message).extend_with(|_, extensions| {
                extensions.set("code", code);
                extensions.set("after", after.encode());
            })
        }
    }
}

impl From<rows::Operation> for Operation {
    fn from(row: rows::Operation) -> Self {
        Self { row }
    }
}

impl From<event::Event> for OperationEvent {
    fn from(row: event::Event) -> Self {
        Self {
            cursor: cursor_of(&row),
            sequence: i32::try_from(row.sequence).unwrap_or(i32::MAX),
            at: row.at.0,
            kind: row.kind,
            step: row.step,
            component: row.component,
            message: row.message,
            progress: row.progress,
            data: row.data.map(|data| data.0),
        }
    }
}

impl From<step::Step> for Step {
    fn from(row: step::Step) -> Self {
        let int = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
        Self {
            number: int(row.number),
            name: row.name,
            component: row.component_name,
            state: row.state.0.into(),
            attempts: int(row.attempts),
            error: row.error,
            started_at: row.started_at.map(|at| at.0),
            finished_at: row.finished_at.map(|at| at.0),
        }
    }
}

impl Loader<OperationKey> for Rows {
    type Value = Operation;
    type Error = Shared;

    async fn load(&self, keys: &[OperationKey]) -> Result<HashMap<OperationKey, Operation>, Shared> {
        let ids: Vec<OperationId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(rows::by_ids(&mut conn, &ids).await?)
        };
        let found = found.await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|row| (OperationKey(row.id), row.into())).collect())
    }
}

impl Loader<StepsKey> for Rows {
    type Value = Vec<Step>;
    type Error = Shared;

    async fn load(&self, keys: &[StepsKey]) -> Result<HashMap<StepsKey, Vec<Step>>, Shared> {
        let ids: Vec<OperationId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(step::of_operations(&mut conn, &ids).await?)
        };
        let mut steps: HashMap<StepsKey, Vec<Step>> = HashMap::new();
        for row in found.await.map_err(Arc::new)? {
            steps.entry(StepsKey(row.operation_id)).or_default().push(row.into());
        }
        Ok(steps)
    }
}

impl Loader<FirstEventsKey> for Rows {
    type Value = Vec<event::Event>;
    type Error = Shared;

    async fn load(&self, keys: &[FirstEventsKey]) -> Result<HashMap<FirstEventsKey, Self::Value>, Shared> {
        let found = async {
            let mut events: HashMap<FirstEventsKey, Self::Value> = HashMap::new();
            let mut conn = self.app.database.read().await?;
            for (limit, operations) in by_limit(keys.iter().map(|key| (key.limit, key.operation))) {
                for row in event::first_pages(&mut conn, &operations, limit).await? {
                    events.entry(FirstEventsKey { operation: row.operation_id, limit }).or_default().push(row);
                }
            }
            Ok::<_, Error>(events)
        };
        found.await.map_err(Arc::new)
    }
}
