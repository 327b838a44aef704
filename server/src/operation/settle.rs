//! What the end of an operation means for what it changed, in the transaction in which it ends.
//!
//! What a single step changed was written when it succeeded (`on_success` of its action). Here is what depends on the
//! whole: add an arm for a kind of operation where there is such a thing. The application is free again by then; a kind
//! after which something else must come first takes it again, with `application_lock::take`.

use crate::{
    error::Result,
    store::{Conn, Instant, operation::Operation, step::Step},
};
use ropeway_domain::operation::{OperationKind, OperationState};

/// Writes what the end of an operation means. `steps` are in their last states.
#[expect(clippy::unused_async, reason = "kinds that change more than their steps do write here")]
pub(super) async fn settle(
    _conn: &mut Conn,
    operation: &Operation,
    _steps: &[Step],
    _outcome: OperationState,
    _now: Instant,
) -> Result<()> {
    match operation.kind.0 {
        // Each component was deployed, or not, by its own steps; namespaces and probes concern nothing else.
        OperationKind::Deploy | OperationKind::OpenTeam | OperationKind::Probe => Ok(()),
        _ => Ok(()),
    }
}
