//! Rolls back the upgrades that failed and whose callers asked for that (`onFailure: ROLL_BACK`).
//!
//! Such an upgrade keeps its application when it ends, so that nobody else changes it in between: that is the request,
//! and it survives the process. Whichever replica sees it first plans the rollback from what is there.

use crate::{
    app::App,
    error::{Error, Result},
    id::{ApplicationId, OperationId, RecordId},
    operation::feed::Topic,
    service::roll_back_upgrade::roll_back_failed,
    store::{application_lock, record},
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a cluster that does not answer is waited for before the rollback is planned again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves such requests until the process ends.
pub async fn roll_back_failures(app: App, shutdown: CancellationToken) {
    let mut work = app.feed.subscribe(Topic::Work);
    loop {
        let waiting = match pending(&app).await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "failed upgrades could not be looked up");
                Vec::new()
            }
        };
        let mut unanswered = false;
        for (record, operation, application) in waiting {
            unanswered |= !serve(&app, record, operation, application).await;
        }
        let next = async {
            if unanswered {
                work.changed_within(PATIENCE).await;
            } else {
                work.changed().await;
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = next => {}
        }
    }
}

async fn pending(app: &App) -> Result<Vec<(RecordId, OperationId, ApplicationId)>> {
    let mut conn = app.database.read().await?;
    Ok(record::awaiting_rollback(&mut conn).await?)
}

/// Whether the request is settled: begun, or given up because it can never begin.
async fn serve(app: &App, record: RecordId, operation: OperationId, application: ApplicationId) -> bool {
    match roll_back_failed(app, record, operation).await {
        Ok(_) => true,
        // Another replica was faster, or something does not answer: look again.
        Err(Error::Conflict(_) | Error::Unavailable { .. }) => false,
        Err(error) => {
            tracing::warn!(
                upgrade_record.id = %record,
                error = &error as &dyn std::error::Error,
                "a failed upgrade cannot be rolled back by itself; it is left for people"
            );
            release(app, application, operation).await
        }
    }
}

async fn release(app: &App, application: ApplicationId, operation: OperationId) -> bool {
    let result = async {
        let mut conn = app.database.write().await?;
        conn.transaction(async |conn| {
            application_lock::release(conn, application, operation).await?;
            Ok::<_, Error>(())
        })
        .await
    };
    if let Err(error) = result.await {
        tracing::warn!(error = &error as &dyn std::error::Error, "an application could not be released");
        return false;
    }
    app.feed.publish(Topic::Application(application));
    true
}
