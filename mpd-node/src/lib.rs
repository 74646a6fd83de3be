//! The Mailwasher Processing Daemon: takes one mail transaction, runs the
//! checks that the policy asks for, and answers with a verdict.
//!
//! Data goes one way: [`service`] (gRPC) or a caller in the same process →
//! [`Node`] → [`request`] (parse once) → checks → verdict → actions. [`policy`]
//! is what they all are told by: compiled once, immutable, swapped between
//! messages.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod actions;
pub mod app;
#[doc(hidden)]
pub mod archive;
mod checks;
mod config;
mod copies;
mod difference;
mod load;
mod member;
mod metrics;
mod node;
mod plan_watch;
pub mod policy;
mod pool;
#[doc(hidden)]
pub mod request;
pub mod service;
mod shadow;
mod stamps;
mod verdict;

pub use config::{ClientRetention, NodeConfig, QuarantineConfig, ShadowConfig, StampConfig};
pub use difference::{Difference, Outcome, SymbolChange};
pub use member::Member;
pub use node::{Node, StartError};
pub use plan_watch::PlanWatch;
