//! The audit log: every mutation that somebody asked for, done or refused.
//!
//! What is done is recorded in the transaction that does it. What is refused, or fails, is recorded in a transaction of
//! its own. Neither ever holds a value of the input.

use crate::{
    actor::Actor,
    app::App,
    clock,
    error::{Error, Result},
    id::EnterpriseId,
    store::{
        Conn, Instant,
        audit::{self, AuditEntry},
    },
};

pub use crate::store::audit::Subject;

/// The result of what was done.
pub const DONE: &str = "OK";

/// What somebody asked for.
#[derive(Debug, Clone)]
pub struct Act {
    /// The mutation, as the API names it.
    pub action: &'static str,
    /// What it is about.
    pub subject: Subject,
    /// The global id of that.
    pub object: Option<String>,
    /// The plan that is executed.
    pub plan_digest: Option<String>,
}

impl Act {
    /// A mutation about something.
    pub fn new(action: &'static str, subject: Subject, object: impl Into<String>) -> Self {
        Self { action, subject, object: Some(object.into()), plan_digest: None }
    }

    /// Names the plan that is executed.
    #[must_use]
    pub fn with_plan(mut self, digest: impl Into<String>) -> Self {
        self.plan_digest = Some(digest.into());
        self
    }
}

/// Does something for somebody and, where it is refused or fails, records that. What succeeds records itself with
/// [`done`], inside its transaction.
pub async fn audited<T>(app: &App, actor: &Actor, act: Act, work: impl AsyncFnOnce() -> Result<T>) -> Result<T> {
    let result = work().await;
    if let Err(error) = &result {
        let entry = AuditEntry {
            id: clock::new_id(),
            enterprise_id: None,
            at: app.clock.now(),
            actor: actor.name.clone(),
            action: act.action.to_owned(),
            object: act.object,
            plan_digest: act.plan_digest,
            allowed: !is_refusal(error),
            result: code(error).to_owned(),
        };
        if let Err(failure) = record_failure(app, act.subject, entry).await {
            // The answer to the caller stays what it was.
            tracing::error!(error = &failure as &dyn std::error::Error, "an audit entry could not be stored");
        }
    }
    result
}

/// Records what is done, inside the transaction that does it.
pub async fn done(
    conn: &mut Conn,
    actor: &Actor,
    now: Instant,
    action: &str,
    enterprise: Option<EnterpriseId>,
    object: Option<String>,
    plan_digest: Option<String>,
) -> Result<()> {
    let entry = AuditEntry {
        id: clock::new_id(),
        enterprise_id: enterprise,
        at: now,
        actor: actor.name.clone(),
        action: action.to_owned(),
        object,
        plan_digest,
        allowed: true,
        result: DONE.to_owned(),
    };
    audit::insert(conn, &entry).await?;
    Ok(())
}

async fn record_failure(app: &App, subject: Subject, mut entry: AuditEntry) -> Result<()> {
    let mut conn = app.database.write().await?;
    conn.transaction(async |conn| {
        entry.enterprise_id = audit::enterprise_of(conn, subject).await?;
        audit::insert(conn, &entry).await?;
        Ok(())
    })
    .await
}

fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Forbidden(_) | Error::NotFound(_) | Error::Unauthenticated)
}

/// The code of an error; of what is wrong with an input, that of the first problem.
fn code(error: &Error) -> &str {
    match error {
        Error::Invalid(errors) => errors.first().map_or("INVALID", |e| e.code.as_str()),
        error => error.code(),
    }
}
