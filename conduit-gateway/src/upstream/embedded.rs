//! A node in this process: limits and deadline only.

use std::sync::Arc;
use std::time::Duration;

use millrace_client::Content;
use millrace_proto::{CallError, ClientName, Direction, Transaction, Verdict};
use mpd_node::Node;

use super::Plans;

/// Messages judged at once in this process, for each processor: enough that one that waits for a dependency holds
/// nobody up.
const AT_ONCE_EACH: usize = 64;

pub(super) fn follow(node: &Node, client: &ClientName, direction: Direction, sized: bool) -> Plans {
    let mut watch = node.watch_plan(client, direction);
    let first = watch.current().clone();
    Plans::new(Some(&first), sized, |sink| async move {
        while watch.changed().await {
            sink.put(watch.current());
        }
    })
}

/// Judging is work for processors; more at once would only make each wait for the others.
pub(super) fn admits() -> usize {
    AT_ONCE_EACH * std::thread::available_parallelism().map_or(1, usize::from)
}

pub(super) async fn process(
    node: &Node,
    transaction: Arc<Transaction>,
    content: Content,
    deadline: Duration,
    overloaded: bool,
) -> Result<Verdict, CallError> {
    let call = async {
        let bytes = match content {
            Content::Memory(bytes) => bytes,
            spooled @ Content::Spooled { .. } => {
                tokio::task::spawn_blocking(move || spooled.read())
                    .await
                    .map_err(|_| CallError::Internal("reading the spool file panicked".to_owned()))?
                    .map_err(|error| {
                        CallError::Internal(format!("the spool file cannot be read: {error}"))
                    })?
            }
        };
        node.process_under_load(transaction, bytes, overloaded)
            .await
    };
    // A small message is judged at the first poll: the timer is then never armed.
    match tokio::time::timeout(deadline, call).await {
        Ok(result) => result,
        Err(_) => Err(CallError::Deadline),
    }
}
