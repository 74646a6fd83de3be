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
//! | `entries/YYYYMMDDHH/HASH` | a copy; the folder is the half day in which it was first kept (UTC) |
//! | `index/YYYYMMDD/HH/MM/ID` | what a listing shows of it; by the time of its first transaction (UTC) |
//! | `index/…/ID.MARK` | what became known later: `settled`, `released`, `again` (promised to another transaction too) |
//! | `going/ID` | it is being deleted: why, and the copy's name |
//! | `alias/YYYYMMDD/ID` | a later transaction that was found to be the same: the first one's identifier |
//! | `audit/YYYYMMDD/ID` | who did what with a copy; never written twice |
//! | `lease/expire` | who expires or sweeps at present |
//! | `sweep/until` | until when copies were swept |
//! | `new/ID` | in a folder whose file system makes no file without a name: a file that is being written; `new/room` is given up when the disk is full, so that copies can be deleted |
//!
//! The index is written when a copy is settled, or a second after it was kept.
//! It can be lost and made again from the copies ([`Quarantine::mend`]); the
//! copies are what must be backed up.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod audit;
mod bucket;
mod by_hand;
mod copy;
mod delete;
mod draft;
mod error;
mod expire;
mod filter;
mod folder;
mod index;
mod keep;
mod lease;
mod names;
mod objects;
mod record;
mod release;
mod stamp;
mod stop;
mod store;
mod sweep;
mod together;
mod waiting;
mod walk;
mod when;
mod wire;

pub use bucket::{S3, Secret};
pub use copy::Copy;
pub use error::QuarantineError;
pub use expire::{Expired, Limits, Retention};
pub use filter::Filter;
pub use record::{Audit, Record, State};
pub use release::{Answer, NextHopTls, Release, ReleaseError};
pub use stamp::{HEADER as STAMP_HEADER, KeyFileError, StampKeys, StampProblem, Stamped};
pub use store::{Page, Quarantine, Stats};
