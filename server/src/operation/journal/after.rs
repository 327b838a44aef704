//! What is told of an operation after its end: what was to follow it does not, or not yet.

use super::{
    EventKind, JournalError,
    event::{Log, bounded},
};
use crate::{
    id::OperationId,
    store::{
        Conn, Instant, event,
        operation::{self, Operation},
    },
};

/// Tells something of an operation that has come to its end, inside the transaction of a service. What was told last is
/// not told again: then there is none.
pub async fn tell_after(
    conn: &mut Conn,
    id: OperationId,
    kind: EventKind,
    message: &str,
    now: Instant,
) -> Result<Option<Operation>, JournalError> {
    let operation = operation::lock(conn, id).await?.ok_or(diesel::result::Error::NotFound)?;
    let last = event::after(conn, id, operation.next_sequence - 2, 1).await?;
    if last.iter().any(|last| last.kind == kind.as_str() && last.message == bounded(message)) {
        return Ok(None);
    }
    let mut log = Log::new(operation, now);
    log.add(kind, message);
    Ok(Some(log.write(conn).await?))
}
