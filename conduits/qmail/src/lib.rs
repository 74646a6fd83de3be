//! Millrace in front of qmail: `millrace-qmail-queue` stands where qmail-queue stood, has each message judged over the
//! network or a unix socket, and becomes the real qmail-queue with what is to be queued; `millrace-dot-qmail` judges
//! one delivery for a `.qmail` line; [`qmqp`] is the protocol by which qmails hand mail to each other.
//!
//! A message's way: [`queue::run`] → [`MemoryFile`] and [`Envelope`] → [`Caller`] → [`judge()`] → [`Carried`] → edits →
//! the real qmail-queue, in place. A delivery's: [`dot::run`] → [`judge()`] → an exit code.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod caller;
mod carry;
mod config;
pub mod dot;
mod edit;
mod envelope;
mod exit;
pub mod install;
mod judge;
mod log;
mod memory_file;
pub mod qmqp;
pub mod queue;
mod received;
mod trust;

pub use caller::{Caller, CallerKind, Users};
pub use carry::Carried;
pub use config::{Config, OnFailure};
pub use edit::{apply, changes_message, edited_envelope};
pub use envelope::{Envelope, EnvelopeError};
pub use exit::{Exit, one_line};
pub use judge::{Gateways, judge};
pub use log::Log;
pub use memory_file::MemoryFile;
pub use received::Received;
