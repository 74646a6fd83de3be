//! The gRPC side of a node: the contract's services, health and reflection.

mod assemble;
mod processing;
mod quarantine;
mod server;

pub use server::{ServeError, Server};
