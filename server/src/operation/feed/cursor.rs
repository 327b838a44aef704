//! Where a follower of an operation's events stands.

use crate::id::{Id, OperationId};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

/// Where a follower of an operation's events stands: after the event with this sequence. As text it is opaque to
/// clients and good for its operation alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventCursor {
    /// Of which operation.
    pub operation_id: OperationId,
    /// The last event that was seen; 0 before the first.
    pub sequence: i64,
}

/// A text that is no cursor of the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor of this operation's events")]
pub struct InvalidCursor;

impl EventCursor {
    /// Before the first event.
    pub fn start(operation_id: OperationId) -> Self {
        Self { operation_id, sequence: 0 }
    }

    /// As text.
    pub fn encode(self) -> String {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(self.operation_id.0.as_bytes());
        bytes[16..].copy_from_slice(&self.sequence.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// From text, for one operation.
    pub fn decode(text: &str, operation_id: OperationId) -> Result<Self, InvalidCursor> {
        // 24 bytes are 32 characters.
        if text.len() != 32 {
            return Err(InvalidCursor);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let (id, sequence) = bytes.split_at_checked(16).ok_or(InvalidCursor)?;
        let id: OperationId = Id::new(Uuid::from_slice(id).map_err(|_| InvalidCursor)?);
        let sequence = i64::from_be_bytes(sequence.try_into().map_err(|_| InvalidCursor)?);
        if id == operation_id && sequence >= 0 { Ok(Self { operation_id, sequence }) } else { Err(InvalidCursor) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_operation_alone() {
        let id = OperationId::new(Uuid::from_u128(1));
        let cursor = EventCursor { operation_id: id, sequence: 7 };
        assert_eq!(EventCursor::decode(&cursor.encode(), id), Ok(cursor));
        assert!(EventCursor::decode(&cursor.encode(), OperationId::new(Uuid::from_u128(2))).is_err());
        for bad in ["", "7", "AAAA", &"*".repeat(32), &"A".repeat(33)] {
            assert!(EventCursor::decode(bad, id).is_err(), "{bad}");
        }
    }
}
