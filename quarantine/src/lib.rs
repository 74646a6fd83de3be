//! The store of kept copies.
//!
//! A copy is one object, whole: the transaction, the verdict and the exact
//! bytes. It is written put-if-absent under a hash of client, envelope and
//! content, and is durable before [`Quarantine::keep`] returns, so that a
//! verdict which promises a copy can be answered afterwards. A second call, a
//! retry on another node and the mail server's own retry find the same copy.
//!
//! | object | what it is |
//! |---|---|
//! | `entries/HH/HASH.SPAN` | a copy; `HH` is the hash's beginning, `SPAN` the half day since 1970 in which it was first kept |
//! | `index/YYYYMMDD/HH/MM/ID` | what a listing shows of it; by the time of its first transaction (UTC) |
//! | `alias/YYYYMMDD/ID` | a later transaction that was found to be the same: the first one's identifier |
//! | `audit/YYYYMMDD/ID` | who did what with a copy; never written twice |
//! | `lease/expire` | who expires copies at present |
//!
//! The index can be lost and made again from the copies
//! ([`Quarantine::mend`]); the copies are what must be backed up.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod by_hand;
mod copy;
mod error;
mod expire;
mod filter;
mod lease;
mod record;
mod release;
mod stamp;
mod store;
mod walk;
mod when;
mod wire;

pub use copy::Copy;
pub use error::QuarantineError;
pub use expire::{Expired, Limits, Retention};
pub use filter::Filter;
pub use record::{Audit, Record, State};
pub use release::{Answer, NextHopTls, Release, ReleaseError};
pub use stamp::{HEADER as STAMP_HEADER, KeyFileError, StampKeys, StampProblem, Stamped};
pub use store::{Page, Quarantine, Stats};
