//! Copies that are kept and not in the index yet.
//!
//! Most are settled within moments, and then their record is written once, with what was done. The others are put
//! into the index as unconfirmed after [`WAIT`]. What a process that dies had waiting is found by the sweep.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millrace_proto::TransactionId;
use tokio::runtime::Handle;

use crate::error::QuarantineError;
use crate::names;
use crate::record::Record;
use crate::store::Quarantine;

/// A kept copy of which nobody has told yet what was done.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) record: Arc<Record>,
    /// Bytes of the copy's object.
    length: u64,
    since: Instant,
}

/// By the transactions that were promised a copy.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    kept: Mutex<HashMap<TransactionId, Kept>>,
    /// Whether a task looks after them.
    watched: AtomicBool,
}

/// After this time a copy is listed, settled or not.
const WAIT: Duration = Duration::from_secs(1);
/// After this time a store that does not take the record is left to the sweep.
const GIVEN_UP: Duration = Duration::from_secs(60);

impl Waiting {
    pub(crate) fn get(&self, id: TransactionId) -> Option<Kept> {
        self.lock().get(&id).cloned()
    }

    pub(crate) fn remove(&self, id: TransactionId) {
        self.lock().remove(&id);
    }

    /// The record of a copy by its first transaction.
    pub(crate) fn record(&self, first: &str) -> Option<Record> {
        let kept = self.lock();
        let found = kept.values().find(|one| one.record.id == first)?;
        Some((*found.record).clone())
    }

    /// Nobody waits for the copy any more: it is being deleted.
    pub(crate) fn forget(&self, first: &str) {
        self.lock().retain(|_, one| one.record.id != first);
    }

    fn older_than(&self, age: Duration) -> Vec<(TransactionId, Kept)> {
        let kept = self.lock();
        let due = kept.iter().filter(|(_, one)| one.since.elapsed() >= age);
        due.map(|(id, one)| (*id, one.clone())).collect()
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TransactionId, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Quarantine {
    /// Leaves a copy to its settlement, or to the time when it is listed without one.
    pub(crate) fn wait(&self, id: TransactionId, record: Record, length: u64) {
        let kept = Kept {
            record: Arc::new(record),
            length,
            since: Instant::now(),
        };
        self.waiting().lock().insert(id, kept);
        if self.waiting().watched.swap(true, Ordering::SeqCst) {
            return;
        }
        match Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(watch(self.clone()));
            }
            Err(_) => self.waiting().watched.store(false, Ordering::SeqCst),
        }
    }

    /// Puts everything that waits into the index. What the store does not take stays waiting.
    pub async fn index_waiting(&self) {
        self.index_older_than(Duration::ZERO).await;
    }

    async fn index_older_than(&self, age: Duration) {
        for (id, kept) in self.waiting().older_than(age) {
            match self.index_kept(&kept, &kept.record).await {
                Ok(_) => self.waiting().remove(id),
                Err(error) if kept.since.elapsed() > GIVEN_UP => {
                    tracing::warn!(copy = kept.record.id, %error, "a kept copy is not listed until it is swept");
                    self.waiting().remove(id);
                }
                Err(error) => {
                    tracing::debug!(copy = kept.record.id, %error, "a kept copy is not listed yet");
                }
            }
        }
    }

    /// Puts a copy into the index, if it is not there; whether it was not. It is looked at first: a store that
    /// acknowledged what it does not have is found out here.
    pub(crate) async fn index_kept(
        &self,
        kept: &Kept,
        record: &Record,
    ) -> Result<bool, QuarantineError> {
        let path = names::entry(&record.hash);
        let there = self.objects().length(&path).await?;
        if there == Some(kept.length) {
            return self.create_record(record).await;
        }
        let problem = match there {
            None => "it is not there".to_owned(),
            Some(length) => format!("it has {length} bytes of {}", kept.length),
        };
        tracing::error!(
            copy = record.id,
            queue_id = record.queue_id,
            path = %path,
            problem,
            "THE STORE HAS LOST A COPY that it acknowledged and that was promised: do not trust it, and ask the sender"
        );
        self.audit(
            "millrace",
            "lost",
            &record.id,
            &format!("{path}: {problem}"),
        )
        .await?;
        Ok(false)
    }
}

async fn watch(store: Quarantine) {
    loop {
        tokio::time::sleep(WAIT / 2).await;
        store.index_older_than(WAIT).await;
        if store.waiting().is_empty() {
            store.waiting().watched.store(false, Ordering::SeqCst);
            // One that came in between has seen that somebody watches.
            if store.waiting().is_empty() || store.waiting().watched.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    }
}
