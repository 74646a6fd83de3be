//! TLS with authentication of both sides, between conduits, gateways and nodes: certificates that are followed as
//! their files change, and who may do what, by the names in a peer's certificate.
//!
//! [`Links`] is what a process is told of it (`[tls]`, `[[peer]]`); from it come [`Acceptor`] and [`Connector`],
//! which take the certificates that are in force at that moment, once for each connection.

mod accept;
mod connect;
mod follow;
mod identity;
mod incoming;
mod links;
mod material;
mod peer;
mod stream;
#[cfg(test)]
mod tests;

pub use accept::{Acceptor, Handshake, TlsPeer};
pub use connect::{ConnectError, Connector};
pub use identity::end_of;
pub use incoming::incoming;
pub use links::{Links, TlsConfig};
pub use peer::{Denied, PeerConfig, PeerNames, Peers, Right};
pub use stream::Secured;
