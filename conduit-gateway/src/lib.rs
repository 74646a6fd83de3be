//! The gateway between mail servers and nodes: takes messages by the milter protocol, has them judged by a node
//! (in this process or elsewhere), and carries the verdict out.
//!
//! A message's way: [`ListenAddress`] → `listen` (sockets, connections, stages, messages) → `transaction` and
//! `spool` → `queue` → [`Upstream`] → verdict, or `failure` where there is none → back over the connection → `record` (log,
//! settlement). [`Gateway::start`] opens the listeners; [`app`] is the program around it.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod address;
pub mod app;
mod budget;
mod cli;
pub mod config;
mod descriptors;
mod failure;
mod gateway;
mod judge;
mod listen;
mod metrics;
mod queue;
mod record;
mod spool;
mod transaction;
mod upstream;

pub use address::{InvalidAddress, ListenAddress, SPELLINGS};
pub use config::{ClientConfig, Config, DirectionFrom, Limits, Mta, Protocol, Qmqp, Times};
pub use failure::{FailureAction, FailureKind, FailureRow, FailureTable};
pub use gateway::{Gateway, Running, StartError, Surroundings};
pub use listen::{BindError, Duplex, Incoming, Network, SystemdSockets};
pub use queue::QueueBounds;
pub use upstream::{Connect, Upstream, UpstreamConfig, discovery};
