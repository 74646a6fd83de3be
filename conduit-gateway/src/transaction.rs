//! From a milter session to the contract's transaction.

use millrace_milter::Session;
use millrace_proto::{ConduitKind, LineEnding, Revision, Transaction, TransactionId};

use crate::config::ClientConfig;

/// The transaction as far as it is known.
pub(crate) fn assemble(
    id: TransactionId,
    revision: Option<Revision>,
    client: &ClientConfig,
    session: &Session,
) -> Transaction {
    Transaction {
        id,
        conduit: ConduitKind::Milter,
        client: client.name.clone(),
        direction: client.direction,
        capabilities: session.agreement().capabilities(),
        connection: session.connection().clone(),
        envelope: session.envelope().clone(),
        queue_id: session.queue_id(),
        macros: session.macros(),
        line_ending: LineEnding::Crlf,
        revision,
    }
}
