//! A transaction as a gateway makes it, for tests that speak to a node or a store themselves.

use bytes::Bytes;
use millrace_proto::{
    Capabilities, ConduitKind, Connection, Direction, Envelope, LineEnding, Path, Transaction,
    TransactionId,
};

/// A new transaction of client `mx`, from this sender to `bob@here.example`.
pub fn from(sender: &[u8]) -> Transaction {
    Transaction {
        id: TransactionId::new(),
        conduit: ConduitKind::Milter,
        client: "mx".parse().expect("a name"),
        direction: Direction::Inbound,
        capabilities: Capabilities::ALL,
        connection: Connection::default(),
        envelope: Envelope {
            sender: Some(Path::new(Bytes::copy_from_slice(sender))),
            recipients: vec![Path::new("bob@here.example")],
        },
        queue_id: None,
        macros: Vec::new(),
        line_ending: LineEnding::Crlf,
        revision: None,
    }
}
