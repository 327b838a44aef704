//! What the end of a sync means for its publication.

use crate::{
    error::{Error, Result},
    operation::Action,
    store::{Conn, operation::Operation, publication, step::Step},
};
use ropeway_domain::operation::{OperationState, PublicationState, StepState};

/// The publication can be confirmed where every step succeeded, else retried. One that was abandoned stays so.
pub(super) async fn settle(
    conn: &mut Conn,
    operation: &Operation,
    steps: &[Step],
    outcome: OperationState,
) -> Result<()> {
    let Some(id) = operation.publication_id else { return Ok(()) };
    let from = PublicationState::Syncing;
    let to = if outcome == OperationState::Succeeded { from.synced() } else { from.fail() };
    publication::transition(conn, id, from, to.map_err(Error::internal)?).await?;
    for step in steps.iter().filter(|step| step.state.0 != StepState::Succeeded) {
        // An action that cannot be read failed for that reason.
        if let Ok(Action::CopyImage(copy)) = serde_json::from_slice(&step.action) {
            publication::set_image_state(conn, &copy.images, step.state.0, step.error.as_deref()).await?;
        }
    }
    Ok(())
}
