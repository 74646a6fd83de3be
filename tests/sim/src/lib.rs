//! The cluster in one thread and in simulated time: the real gateway and real nodes, over a network that fails as a
//! seed says.
//!
//! Data goes one way: [`faults`] (what goes wrong, and when, by the seed) → [`run`] (the hosts and the time line) →
//! [`record`] (what mail servers and nodes saw) → [`promises`] (what must hold whatever happened).

pub mod faults;
mod gateway;
mod mail_server;
pub mod mutant;
mod network;
mod node;
pub mod promises;
pub mod record;
pub mod run;
pub mod scaling;
mod world;
