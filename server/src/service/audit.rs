//! The audit log: every mutation that somebody asked for, done or refused.
//!
//! What is done is recorded in the transaction that does it. What is refused, or fails, is recorded in a transaction of
//! its own. Neither ever holds a value of the input.

use crate::{
    actor::Actor,
    app::App,
    clock,
    error::{Error, Result},
    graphql::id::encode_text,
    id::EnterpriseId,
    store::{
        Conn, Instant,
        audit::{self, AuditEntry},
        user::User,
    },
};
use ropeway_domain::Digest;

pub use crate::store::audit::Subject;

/// The result of what was done.
pub const DONE: &str = "OK";

/// The result where the plan that was named did not hold any more.
pub const STALE: &str = "PLAN_STALE";

/// The result where the password was wrong.
pub const WRONG_PASSWORD: &str = "INVALID_CREDENTIALS";

/// The answer of what executes a plan.
pub trait MayBeStale {
    /// Whether nothing was done, because the plan that was named does not hold any more.
    fn is_stale(&self) -> bool;
}

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

    /// Names the plan that the caller looked at.
    #[must_use]
    pub fn with_plan(mut self, digest: Option<&Digest>) -> Self {
        self.plan_digest = digest.map(ToString::to_string);
        self
    }
}

/// Does something for somebody and, where it is refused or fails, records that. What succeeds records itself with
/// [`done`], inside its transaction.
pub async fn audited<T>(app: &App, actor: &Actor, act: Act, work: impl AsyncFnOnce() -> Result<T>) -> Result<T> {
    let result = work().await;
    if let Err(error) = &result {
        record_failure(app, &actor.name, act, !is_refusal(error), code(error)).await;
    }
    result
}

/// As [`audited`], for what executes a plan: that the one which was named does not hold any more is recorded as well.
pub async fn audited_plan<T: MayBeStale>(
    app: &App,
    actor: &Actor,
    act: Act,
    work: impl AsyncFnOnce() -> Result<T>,
) -> Result<T> {
    let result = audited(app, actor, act.clone(), work).await;
    if result.as_ref().is_ok_and(MayBeStale::is_stale) {
        record_failure(app, &actor.name, act, true, STALE).await;
    }
    result
}

/// Records that somebody gave a wrong password for an account. The answer does not wait for that: how long it takes would
/// tell that there is such an account.
pub fn wrong_password(app: &App, account: &User) {
    let (app, name) = (app.clone(), account.name.clone());
    let act = Act::new("signIn", Subject::Person(account.id), encode_text(account.id));
    tokio::spawn(async move { record_failure(&app, &name, act, true, WRONG_PASSWORD).await });
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

async fn record_failure(app: &App, actor: &str, act: Act, allowed: bool, result: &str) {
    let at = app.clock.now();
    let entry = |enterprise_id| AuditEntry {
        id: clock::new_id(),
        enterprise_id,
        at,
        actor: actor.to_owned(),
        action: act.action.to_owned(),
        object: act.object.clone(),
        plan_digest: act.plan_digest.clone(),
        allowed,
        result: result.to_owned(),
    };
    let recorded = async {
        let mut conn = app.database.write().await?;
        conn.transaction(async |conn| {
            let enterprises = audit::enterprises_of(conn, act.subject).await?;
            if enterprises.is_empty() {
                audit::insert(conn, &entry(None)).await?;
            }
            for enterprise in enterprises {
                audit::insert(conn, &entry(Some(enterprise))).await?;
            }
            Ok::<_, Error>(())
        })
        .await
    };
    if let Err(failure) = recorded.await {
        // The answer to the caller stays what it was.
        tracing::error!(error = &failure as &dyn std::error::Error, "an audit entry could not be stored");
    }
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
