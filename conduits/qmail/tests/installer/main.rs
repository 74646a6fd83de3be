//! `millrace-qmail-install` on a qmail home that it did not make: checks, status, undoing, kills and load.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod checks;
mod kills;
mod load;
mod modes;
mod tree;
