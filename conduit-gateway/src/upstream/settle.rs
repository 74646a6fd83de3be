//! Settlements on their way to nodes.
//!
//! They travel in bunches: nobody waits for one, and calls that begin together share the connection's writes, the
//! node's reads and both sides' wake-ups (docs/performance.md has the figures).

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use millrace_client::{CallOptions, Client};
use millrace_proto::Settlement;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::pool::Pool;

/// Takes settlements, and sends them a moment later.
#[derive(Debug)]
pub(super) struct Settler {
    queue: mpsc::UnboundedSender<Pending>,
    /// What bounds the queue, and what is under way.
    room: Arc<Semaphore>,
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pending {
    client: Client,
    settlement: Settlement,
    options: CallOptions,
    pool: Arc<Pool>,
    _room: OwnedSemaphorePermit,
}

/// Settlements under way; more are given up, for they lose a count and never a message.
const SETTLEMENTS: usize = 1024;
/// How long the first of a bunch waits for others.
const GATHER: Duration = Duration::from_millis(5);

impl Settler {
    /// Must be called inside a tokio runtime.
    pub(super) fn new(pool: Arc<Pool>) -> Self {
        let (queue, pending) = mpsc::unbounded_channel();
        tokio::spawn(send_in_bunches(pending));
        Self {
            queue,
            room: Arc::new(Semaphore::new(SETTLEMENTS)),
            pool,
        }
    }

    /// Never waits. What finds no room is counted as lost.
    pub(super) fn settle(&self, client: Client, settlement: Settlement, options: CallOptions) {
        let Ok(room) = self.room.clone().try_acquire_owned() else {
            self.pool.counts.settlement_lost();
            return;
        };
        let pending = Pending {
            client,
            settlement,
            options,
            pool: self.pool.clone(),
            _room: room,
        };
        if self.queue.send(pending).is_err() {
            self.pool.counts.settlement_lost();
        }
    }
}

impl Pending {
    async fn send(self) {
        if let Err(error) = self.client.settle(self.settlement, self.options).await {
            tracing::debug!(%error, "a settlement was lost");
            self.pool.counts.settlement_lost();
        }
    }
}

async fn send_in_bunches(mut pending: mpsc::UnboundedReceiver<Pending>) {
    while let Some(first) = pending.recv().await {
        tokio::time::sleep(GATHER).await;
        let bunch = FuturesUnordered::new();
        bunch.push(first.send());
        while let Ok(next) = pending.try_recv() {
            bunch.push(next.send());
        }
        // In a task of its own: a node that does not answer holds up its own bunch only.
        tokio::spawn(bunch.for_each(|()| std::future::ready(())));
    }
}
