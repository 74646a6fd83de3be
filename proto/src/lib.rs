//! The contract of Millrace: the gRPC service that everything which carries a
//! message speaks, and the domain types behind it.
//!
//! [`pb`] holds the generated types. They stop at the service layer and at the
//! client: all else uses the newtypes here, made by `TryFrom`, so that a value
//! that exists is a value that is valid. [`lower()`] maps what a policy wants to
//! what a conduit can carry out.

mod address;
mod convert;
mod error;
mod lower;
pub mod pb;
mod plan;
mod reply;
mod status;
mod transaction;
mod verdict;

pub use address::Path;
pub use error::InvalidMessage;
pub use lower::{Keeping, lower};
pub use plan::{Plan, ScreenRequest, Stage, StageMacros, StageSet};
pub use reply::{Enhanced, InvalidReply, Reply};
pub use status::CallError;
pub use transaction::{
    Authentication, Capabilities, ClientName, ConduitKind, Connection, Direction, Envelope,
    InvalidClientName, LineEnding, Macro, Peer, Revision, Tls, Transaction, TransactionId,
};
pub use verdict::{
    CheckTime, Degradation, Disposition, Edit, Finding, HoldIn, Outcome, OutcomeKind, PolicyLine,
    RecipientOutcome, Settlement, Symbol, Unscanned, Verdict,
};
