//! What can be wrong with a message that breaks the contract.

use crate::reply::InvalidReply;
use crate::transaction::InvalidClientName;

/// A generated message that is not a valid domain value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMessage {
    /// A field that the contract requires is absent or has its zero value.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// An enumeration has a value that this version does not know.
    #[error("{field}: unknown value {value}")]
    UnknownValue {
        /// The field, as in the `.proto` file.
        field: &'static str,
        /// The number that came.
        value: i32,
    },
    /// A field has bytes or a number outside what the contract allows.
    #[error("{field}: {problem}")]
    Malformed {
        /// The field, as in the `.proto` file.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The reply breaks RFC 5321 or RFC 3463.
    #[error("reply: {0}")]
    Reply(#[from] InvalidReply),
    /// The client's name cannot be a name.
    #[error("client: {0}")]
    Client(#[from] InvalidClientName),
}
