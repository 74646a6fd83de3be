//! The one queue between listeners and whoever judges: so much at a time as he admits, in turns that are fair between
//! clients by bytes, bounded in number and in time. Behind it nobody queues: a node that has enough says so.
//!
//! Nothing waits while there is room, and then a turn costs a few atomic operations.

mod places;
mod round_robin;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::failure::{Failure, FailureKind};
use places::Places;
use round_robin::{RoundRobin, Ticket};

/// The queue.
#[derive(Debug)]
pub(crate) struct Queue {
    places: Places,
    waiting: AtomicUsize,
    bounds: QueueBounds,
    lanes: Mutex<RoundRobin<oneshot::Sender<Turn>>>,
}

/// What bounds a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueBounds {
    /// Messages that wait at most; above it one that floods loses its newest.
    pub length: usize,
    /// How long a message waits at most.
    pub patience: Duration,
    /// A message that waited so long is judged without the policy's optional checks.
    pub brownout: Duration,
}

/// Leave to have a message judged, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    queue: Arc<Queue>,
    client: usize,
    /// How long the message waited for it.
    pub(crate) waited: Duration,
}

/// A place in the queue, given up when it is dropped.
struct Place<'q> {
    queue: &'q Queue,
    ticket: Ticket,
}

impl Queue {
    /// A queue of so many clients, by their weights.
    pub(crate) fn new(
        weights: impl IntoIterator<Item = u32>,
        limit: usize,
        bounds: QueueBounds,
    ) -> Arc<Self> {
        let weights: Vec<_> = weights.into_iter().collect();
        Arc::new(Self {
            places: Places::new(&weights, limit),
            waiting: AtomicUsize::new(0),
            bounds,
            lanes: Mutex::new(RoundRobin::new(weights)),
        })
    }

    /// How many messages may be judged at once from now on; at least one.
    pub(crate) fn admit(self: &Arc<Self>, limit: usize) {
        if self.places.admit(limit) {
            self.dispatch();
        }
    }

    /// How many messages of a client wait.
    pub(crate) fn depth(&self, client: usize) -> usize {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.lanes().len_of(client)
    }

    /// Waits for the turn of a message of this client, within `patience` and the queue's own. Cancel safe: who no
    /// longer waits has no place.
    ///
    /// # Errors
    /// The queue is full, and this client has more in it than others; or it waited for too long.
    pub(crate) async fn turn(
        self: &Arc<Self>,
        client: usize,
        bytes: u64,
        patience: Duration,
    ) -> Result<Turn, Failure> {
        self.places.wanted(client);
        // Who comes now does not go before those who wait.
        if self.waiting.load(Ordering::SeqCst) == 0 && self.places.take(client) {
            return Ok(Turn {
                queue: self.clone(),
                client,
                waited: Duration::ZERO,
            });
        }
        let since = Instant::now();
        let (sender, receiver) = oneshot::channel();
        let place = {
            let mut lanes = self.lanes();
            let ticket = lanes.push(client, bytes, sender);
            if lanes.len() > self.bounds.length {
                // Dropped, which tells whoever waits for it.
                lanes.evict();
            }
            self.waiting.store(lanes.len(), Ordering::SeqCst);
            Place {
                queue: self,
                ticket,
            }
        };
        // Room may have come before the place was taken.
        self.dispatch();
        let patience = patience.min(self.bounds.patience);
        let turn = tokio::time::timeout(patience, receiver).await;
        drop(place);
        match turn {
            Ok(Ok(mut turn)) => {
                turn.waited = since.elapsed();
                Ok(turn)
            }
            Ok(Err(_)) => Err(Failure::new(
                FailureKind::Overload,
                "the queue is full, and this client has most in it",
            )),
            Err(_) => Err(Failure::new(
                FailureKind::Overload,
                format!("no turn within {} ms", patience.as_millis()),
            )),
        }
    }

    /// Gives turns to those who wait, as long as there is room for one of them.
    fn dispatch(self: &Arc<Self>) {
        while self.waiting.load(Ordering::SeqCst) > 0 {
            let next = {
                let mut lanes = self.lanes();
                let next = lanes.pop(|client| self.places.take(client));
                self.waiting.store(lanes.len(), Ordering::SeqCst);
                next
            };
            let Some((client, sender)) = next else {
                return;
            };
            let turn = Turn {
                queue: self.clone(),
                client,
                waited: Duration::ZERO,
            };
            // One who has just gone: the turn is dropped, and so given back.
            drop(sender.send(turn));
        }
    }

    fn lanes(&self) -> MutexGuard<'_, RoundRobin<oneshot::Sender<Turn>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Whether the message is to be judged without the policy's optional checks.
    pub(crate) fn is_overloaded(&self) -> bool {
        self.waited >= self.queue.bounds.brownout
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.queue.places.give(self.client);
        self.queue.dispatch();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut lanes = self.queue.lanes();
        drop(lanes.remove(self.ticket));
        self.queue.waiting.store(lanes.len(), Ordering::SeqCst);
    }
}

impl Default for QueueBounds {
    fn default() -> Self {
        Self {
            length: 1000,
            patience: Duration::from_secs(30),
            brownout: Duration::from_millis(500),
        }
    }
}
