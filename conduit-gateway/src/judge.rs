//! A message that is all there: it waits for its turn, and is judged.

use std::sync::Arc;
use std::time::Duration;

use millrace_client::Content;
use millrace_proto::{Transaction, Verdict};

use crate::failure::Failure;
use crate::gateway::{Client, Shared};

/// Has a message judged within the deadline, the wait for its turn included. Dropping the future gives both up.
///
/// # Errors
/// Why there is no verdict.
pub(crate) async fn judge(
    shared: &Shared,
    client: &Client,
    transaction: Arc<Transaction>,
    content: Content,
    deadline: Duration,
) -> Result<Verdict, Failure> {
    let turn = shared.queue.turn(client.lane, content.len(), deadline);
    let turn = turn.await.inspect_err(|_| {
        client.metrics.shed.inc();
    })?;
    if !turn.waited.is_zero() {
        client.metrics.waited.observe(turn.waited.as_secs_f64());
    }
    let left = deadline.saturating_sub(turn.waited);
    let overloaded = turn.is_overloaded();
    let call = shared
        .upstream
        .process(transaction, content, left, overloaded);
    Ok(call.await?)
}
