//! The gRPC side of a node: the contract's service, health and reflection.

mod assemble;
mod processing;
mod server;

pub use server::{ServeError, Server};
