//! Upgrade records: what upgrades and rollbacks did.

mod load;

pub use load::{FirstRecordsKey, NewestKey, RecordCountKey, RecordKey, RecordsOf};

use super::{
    actor, app, asked,
    deployment::stale,
    error::{IntoGraphql as _, Payload as _, UserError, answer},
    id,
    installation::{Installation, InstallationKey, decode_accepted},
    loader::load,
    operation::{Operation, OperationKey},
    page::{Cursor, Page, PageRequest},
    plan::{Change, LeftForPeople, Plan, decode_digest},
    version::{TemplateVersion, VersionKey},
};
use crate::{
    connection,
    error::{Error, Result},
    id::{ApplicationId, InstallationId, RecordId},
    payload,
    service::{
        authorize,
        execute::Executed,
        retry_rollout,
        roll_back_upgrade::{self, RollBack},
    },
    store::record as rows,
};
use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use ropeway_domain::{access::TeamAction, operation as domain};

/// One upgrade or rollback of an installation, with what it changed.
#[derive(Debug, Clone)]
pub struct UpgradeRecord {
    row: rows::Record,
}

/// Whether a record goes forward or back.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "rows::RecordKind")]
pub enum UpgradeKind {
    /// To another version.
    Upgrade,
    /// Back to the snapshot of a record.
    Rollback,
}

/// Where an upgrade record, or one component of it, is.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "domain::UpgradeState")]
pub enum UpgradeState {
    /// It has not begun.
    Pending,
    /// It is under way.
    Running,
    /// All of it succeeded.
    Succeeded,
    /// Some components succeeded and some did not.
    Partial,
    /// No component succeeded.
    Failed,
    /// A rollback of it succeeded.
    RolledBack,
}

/// How it went for one component.
#[derive(Debug, Clone, SimpleObject)]
pub struct ComponentOutcome {
    /// The component's key in the template.
    pub key: ID,
    /// What people call it.
    pub name: String,
    /// Where it is.
    pub state: UpgradeState,
    /// Why it failed.
    pub error: Option<String>,
}

connection! {
    /// Upgrade records, newest first.
    UpgradeRecordConnection, UpgradeRecordEdge, UpgradeRecord
}

/// Input of `planRollback`.
#[derive(InputObject)]
pub struct PlanRollbackInput {
    /// Which record is to be taken back.
    pub record_id: ID,
    /// The ids of offered changes that are accepted.
    pub accept: Option<Vec<ID>>,
}

/// Input of `rollBackUpgrade`.
#[derive(InputObject)]
pub struct RollBackUpgradeInput {
    /// Which record is to be taken back.
    pub record_id: ID,
    /// The ids of offered changes that are accepted.
    pub accept: Option<Vec<ID>>,
    /// The digest of the plan that was looked at. Without it the current plan is made, recorded and executed.
    pub plan_digest: Option<String>,
    /// Must be true where there is a newer record: what that did is taken back as well.
    pub acknowledge_newer: Option<bool>,
    /// Seconds until a component that does not become healthy has failed: 1 to 86400; by default as configured (600).
    pub progress_deadline_seconds: Option<i32>,
}

/// Input of `retryUpgrade`.
#[derive(InputObject)]
pub struct RetryUpgradeInput {
    /// Which record.
    pub record_id: ID,
}

payload! {
    /// Answer of `rollBackUpgrade`.
    RollBackUpgradePayload {
        /// The record of the rollback.
        upgrade_record: UpgradeRecord,
        /// The operation that carries it out.
        operation: Operation,
        /// The new plan, where the one that was named does not hold any more.
        plan: Plan,
    }
}

payload! {
    /// Answer of `retryUpgrade`.
    RetryUpgradePayload {
        /// The record.
        upgrade_record: UpgradeRecord,
        /// The operation that runs again what failed.
        operation: Operation,
    }
}

/// Queries of upgrade records.
#[derive(Default)]
pub struct RecordQuery;

/// Mutations of upgrade records.
#[derive(Default)]
pub struct RecordMutation;

/// One upgrade or rollback of an installation, with what it changed.
#[Object]
#[expect(clippy::wrong_self_convention, reason = "the names are those of the API")]
impl UpgradeRecord {
    /// Its global id.
    pub async fn id(&self) -> ID {
        id::encode(self.row.id)
    }

    /// Of which installation it is.
    async fn installation(&self, ctx: &Context<'_>) -> async_graphql::Result<Installation> {
        let row = load(ctx, InstallationKey(self.row.installation_id)).await.graphql()?;
        row.map(Into::into).ok_or(Error::NotFound("the installation")).graphql()
    }

    /// Whether it goes forward or back.
    async fn kind(&self) -> UpgradeKind {
        self.row.kind.0.into()
    }

    /// The record that it takes back.
    async fn rollback_of(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<UpgradeRecord>> {
        match self.row.rollback_of {
            Some(id) => Ok(load(ctx, RecordKey(id)).await.graphql()?.map(Into::into)),
            None => Ok(None),
        }
    }

    /// The version before.
    async fn from_version(&self, ctx: &Context<'_>) -> async_graphql::Result<TemplateVersion> {
        let row = load(ctx, VersionKey(self.row.from_version_id)).await.graphql()?;
        row.map(Into::into).ok_or(Error::NotFound("the version")).graphql()
    }

    /// The version that is gone to.
    async fn to_version(&self, ctx: &Context<'_>) -> async_graphql::Result<TemplateVersion> {
        let row = load(ctx, VersionKey(self.row.to_version_id)).await.graphql()?;
        row.map(Into::into).ok_or(Error::NotFound("the version")).graphql()
    }

    /// Where it is.
    async fn state(&self) -> UpgradeState {
        self.row.state.0.into()
    }

    /// Every difference, applied or kept.
    async fn changes(&self) -> Vec<Change> {
        self.row.changes.0.iter().cloned().map(Into::into).collect()
    }

    /// How it went for each component whose objects were applied.
    async fn components(&self) -> Vec<ComponentOutcome> {
        let outcome = |one: &rows::ComponentOutcome| ComponentOutcome {
            key: ID(one.key.to_string()),
            name: one.name.clone(),
            state: one.state.into(),
            error: one.error.clone(),
        };
        self.row.outcomes.0.iter().map(outcome).collect()
    }

    /// What is for people to decide: a rollback deletes nothing that the upgrade added.
    async fn left_for_people(&self) -> Vec<LeftForPeople> {
        self.row.left_for_people.0.iter().cloned().map(Into::into).collect()
    }

    /// The operation that carries it out, or did.
    async fn operation(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Operation>> {
        match self.row.operation_id {
            Some(id) => load(ctx, OperationKey(id)).await.graphql(),
            None => Ok(None),
        }
    }

    /// Whether it can be rolled back: after success, partial success and failure alike, until it was, or its installation
    /// was uninstalled.
    async fn can_roll_back(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        Ok(self.row.state.0.can_roll_back() && self.is_installed(ctx).await.graphql()?)
    }

    /// Whether what failed of it can be run again: until there is a newer record, or its installation was uninstalled.
    async fn can_retry(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        if !self.is_installed(ctx).await.graphql()? {
            return Ok(false);
        }
        let newest = load(ctx, NewestKey(self.row.installation_id)).await.graphql()?;
        Ok(self.row.state.0.can_retry() && newest == Some(self.row.sequence))
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.row.created_at.0
    }

    /// By whom.
    async fn created_by(&self) -> &str {
        &self.row.created_by
    }
}

#[Object]
impl RecordQuery {
    /// One upgrade record.
    async fn upgrade_record(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> async_graphql::Result<Option<UpgradeRecord>> {
        find(ctx, asked(ctx, &id)?).await.map(Some)
    }

    /// What a rollback would change, and what it would leave.
    #[graphql(complexity = "super::limits::PLAN + child_complexity")]
    async fn plan_rollback(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be taken back.")] input: PlanRollbackInput,
    ) -> async_graphql::Result<Plan> {
        let result = async {
            let actor = actor(ctx)?;
            let input = RollBack {
                record_id: id::decode(&input.record_id, "recordId")?,
                accept: decode_accepted(input.accept)?,
                plan_digest: None,
                acknowledge_newer: true,
                progress_deadline_seconds: None,
            };
            roll_back_upgrade::plan(app(ctx), actor, &input).await
        };
        result.await.map(Into::into).graphql()
    }
}

#[Object]
impl RecordMutation {
    /// Takes an upgrade, or a rollback, back. It deletes nothing that was added, and changes no environment,
    /// configuration, storage or number of replicas that a person set since.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn roll_back_upgrade(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be taken back.")] input: RollBackUpgradeInput,
    ) -> async_graphql::Result<RollBackUpgradePayload> {
        let result = async {
            let actor = actor(ctx)?;
            let input = RollBack {
                record_id: id::decode(&input.record_id, "recordId")?,
                accept: decode_accepted(input.accept)?,
                plan_digest: decode_digest(input.plan_digest)?,
                acknowledge_newer: input.acknowledge_newer.unwrap_or(false),
                progress_deadline_seconds: input.progress_deadline_seconds,
            };
            roll_back_upgrade::roll_back_upgrade(app(ctx), actor, &input).await
        };
        answer(result.await, |executed| match executed {
            Executed::Begun { subject, operation } => RollBackUpgradePayload {
                upgrade_record: Some(subject.into()),
                operation: Some(operation.into()),
                plan: None,
                errors: Vec::new(),
            },
            Executed::Stale(plan) => {
                RollBackUpgradePayload { plan: Some(plan.into()), ..RollBackUpgradePayload::refused(vec![stale()]) }
            }
        })
    }

    /// Runs again what failed of an upgrade or a rollback, planned anew from what is there.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn retry_upgrade(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which record.")] input: RetryUpgradeInput,
    ) -> async_graphql::Result<RetryUpgradePayload> {
        let result = async {
            let actor = actor(ctx)?;
            let id = id::decode(&input.record_id, "recordId")?;
            retry_rollout::retry_upgrade(app(ctx), actor, id).await
        };
        answer(result.await, |(record, operation)| RetryUpgradePayload {
            upgrade_record: Some(record.into()),
            operation: Some(operation.into()),
            errors: Vec::<UserError>::new(),
        })
    }
}

impl UpgradeRecord {
    async fn is_installed(&self, ctx: &Context<'_>) -> Result<bool> {
        let installation = load(ctx, InstallationKey(self.row.installation_id)).await?;
        Ok(installation.is_some_and(|row| row.uninstalled_at.is_none()))
    }
}

impl From<rows::Record> for UpgradeRecord {
    fn from(row: rows::Record) -> Self {
        Self { row }
    }
}

/// A record, if the caller may see it.
pub async fn find(ctx: &Context<'_>, id: RecordId) -> async_graphql::Result<UpgradeRecord> {
    let result = async {
        let mut conn = app(ctx).database.read().await?;
        let (row, ..) = authorize::record(&mut conn, actor(ctx)?, id, TeamAction::View).await?;
        Ok::<_, Error>(row)
    };
    result.await.map(Into::into).graphql()
}

/// A page of the records of an application that the caller may see.
pub async fn of_application(
    ctx: &Context<'_>,
    application: ApplicationId,
    first: Option<i32>,
    after: Option<&Cursor>,
) -> Result<UpgradeRecordConnection> {
    page_of(ctx, application, None, first, after).await
}

/// A page of the records of an installation that the caller may see.
pub async fn of_installation(
    ctx: &Context<'_>,
    application: ApplicationId,
    installation: InstallationId,
    first: Option<i32>,
    after: Option<&Cursor>,
) -> Result<UpgradeRecordConnection> {
    page_of(ctx, application, Some(installation), first, after).await
}

async fn page_of(
    ctx: &Context<'_>,
    application: ApplicationId,
    installation: Option<InstallationId>,
    first: Option<i32>,
    after: Option<&Cursor>,
) -> Result<UpgradeRecordConnection> {
    let page = PageRequest::new(ctx, "UpgradeRecord", first, after)?;
    let of = installation.map_or(RecordsOf::Application(application), RecordsOf::Installation);
    let rows = if page.after.is_some() {
        let mut conn = app(ctx).database.read().await?;
        rows::page(&mut conn, application, installation, page.after, page.limit()).await?
    } else {
        load(ctx, FirstRecordsKey { of, limit: page.limit() }).await?.unwrap_or_default()
    };
    let count = if page.count { load(ctx, RecordCountKey(of)).await? } else { None };
    Ok(Page::of(&page, rows, count.unwrap_or_default(), |row| (row.created_at, row.id)).into())
}
