//! What the end of an operation means for what it changed, in the transaction in which it ends.
//!
//! What a single step changed was written when it succeeded (`on_success` of its action). Here is what depends on the
//! whole. The application is free again by then; a kind after which something else must come first takes it again, with
//! `application_lock::take`.

mod application;
mod installation;
mod publication;

use crate::{
    error::Result,
    store::{Conn, Instant, operation::Operation, step::Step},
};
use ropeway_domain::operation::{OperationKind, OperationState};

/// Writes what the end of an operation means. `steps` are in their last states.
pub(super) async fn settle(
    conn: &mut Conn,
    operation: &Operation,
    steps: &[Step],
    outcome: OperationState,
    now: Instant,
) -> Result<()> {
    match operation.kind.0 {
        // Each component was deployed, or not, by its own steps; namespaces and probes concern nothing else.
        OperationKind::Deploy | OperationKind::OpenTeam | OperationKind::Probe => Ok(()),
        OperationKind::SyncImages => publication::settle(conn, operation, steps, outcome).await,
        OperationKind::Install => installation::installed(conn, operation, steps, outcome).await,
        OperationKind::Upgrade | OperationKind::Rollback => {
            installation::upgraded(conn, operation, steps, outcome).await
        }
        // Without an installation it is the application itself that was deleted.
        OperationKind::Uninstall if operation.installation_id.is_none() => {
            application::deleted(conn, operation, outcome).await
        }
        OperationKind::Uninstall => installation::uninstalled(conn, operation, steps, outcome, now).await,
    }
}
