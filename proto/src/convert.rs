//! Between generated and domain types: `TryFrom` inwards, `From` outwards.

mod plan;
mod transaction;
mod verdict;

use crate::error::InvalidMessage;

/// Takes a sub-message that the contract requires.
fn required<T>(field: &'static str, value: Option<T>) -> Result<T, InvalidMessage> {
    value.ok_or(InvalidMessage::Missing(field))
}

/// `None` for the empty string of a field that was not set.
fn non_empty(bytes: bytes::Bytes) -> Option<bytes::Bytes> {
    (!bytes.is_empty()).then_some(bytes)
}
