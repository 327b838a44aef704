//! The audit log.

use super::{actor, app, error::IntoGraphql as _, id};
use crate::{connection, id::AuditId, service::find, store::audit as rows};
use async_graphql::{Context, ID, Object};
use chrono::{DateTime, Utc};

/// A mutation that somebody asked for, done or refused.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    row: rows::AuditEntry,
}

connection! {
    /// A page of the audit log.
    AuditEntryConnection, AuditEntryEdge, AuditEntry
}

/// A mutation that somebody asked for, done or refused.
#[Object]
impl AuditEntry {
    /// Its global id.
    pub async fn id(&self) -> ID {
        id::encode(self.row.id)
    }

    /// When.
    async fn at(&self) -> DateTime<Utc> {
        self.row.at.0
    }

    /// Who, by the name that they sign in with.
    async fn actor(&self) -> &str {
        &self.row.actor
    }

    /// Which mutation.
    async fn action(&self) -> &str {
        &self.row.action
    }

    /// The global id of what it was about.
    async fn object(&self) -> Option<&str> {
        self.row.object.as_deref()
    }

    /// The digest of the plan that was executed.
    async fn plan_digest(&self) -> Option<&str> {
        self.row.plan_digest.as_deref()
    }

    /// Whether the person may do that.
    async fn allowed(&self) -> bool {
        self.row.allowed
    }

    /// What came of it: `OK`, or the code of an error.
    async fn result(&self) -> &str {
        &self.row.result
    }
}

impl From<rows::AuditEntry> for AuditEntry {
    fn from(row: rows::AuditEntry) -> Self {
        Self { row }
    }
}

/// An entry by id.
pub(super) async fn find(ctx: &Context<'_>, id: AuditId) -> async_graphql::Result<AuditEntry> {
    let result = async { find::find_audit_entry(app(ctx), actor(ctx)?, id).await };
    result.await.map(Into::into).graphql()
}
