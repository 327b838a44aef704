//! The end of deleting an application: once all of its objects are gone, it is forgotten, with all that is its own.

use crate::{
    error::Result,
    store::{Conn, application, operation::Operation},
};
use ropeway_domain::operation::OperationState;

/// Forgets the application. One whose objects are not all gone stays, so that deleting it can be tried again.
pub(super) async fn deleted(conn: &mut Conn, operation: &Operation, outcome: OperationState) -> Result<()> {
    if let (OperationState::Succeeded, Some(id)) = (outcome, operation.application_id) {
        application::delete(conn, id).await?;
    }
    Ok(())
}
