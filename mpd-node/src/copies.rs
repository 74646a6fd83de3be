//! Kept copies, on the node's side: kept before the verdict is answered, settled and expired in the background.

use std::time::Duration;

use bytes::Bytes;
use millrace_proto::{CallError, ConduitKind, Settlement, Transaction, Verdict};
use millrace_quarantine::{Limits, Quarantine, QuarantineError, Retention};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::config::QuarantineConfig;

/// The store that this node keeps copies in.
#[derive(Debug)]
pub(crate) struct Copies {
    store: Quarantine,
    /// Settlements that are being noted.
    settling: TaskTracker,
}

const DAY: Duration = Duration::from_secs(86_400);
/// For one copy: a store that takes longer is as good as away, and the caller's time is not to be used up by it.
const PATIENCE: Duration = Duration::from_secs(20);
const BEFORE_THE_FIRST: Duration = Duration::from_secs(60);
const BETWEEN_SWEEPS: Duration = Duration::from_secs(600);
/// Sweeps from one expiry to the next.
const SWEEPS: u32 = 6;

impl Copies {
    /// Opens the store, if one is configured, and begins to expire its copies.
    pub(crate) fn open(config: &QuarantineConfig) -> Result<Option<Self>, QuarantineError> {
        let Some(address) = &config.store else {
            return Ok(None);
        };
        let store = Quarantine::open_with(address, &config.s3)?;
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(probe(store.clone()));
            runtime.spawn(tend(store.clone(), retention(config)));
        }
        Ok(Some(Self {
            store,
            settling: TaskTracker::new(),
        }))
    }

    pub(crate) fn store(&self) -> &Quarantine {
        &self.store
    }

    /// Waits for what is being noted.
    pub(crate) async fn finish(&self) {
        self.settling.close();
        self.settling.wait().await;
        self.store.index_waiting().await;
    }

    /// Keeps a copy; durable when this returns.
    ///
    /// # Errors
    /// The copy must not be promised: there is no verdict.
    pub(crate) async fn keep(
        &self,
        transaction: &Transaction,
        verdict: &Verdict,
        content: Bytes,
    ) -> Result<(), CallError> {
        // Nobody carries that verdict out.
        if transaction.conduit == ConduitKind::Scan {
            return Ok(());
        }
        let keeping = self.store.keep(transaction, verdict, content);
        let problem = match tokio::time::timeout(PATIENCE, keeping).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("the store has not answered within {} s", PATIENCE.as_secs()),
        };
        tracing::error!(transaction = %transaction.id, problem, "a copy could not be kept, so there is no verdict");
        Err(CallError::Store(problem))
    }

    /// Notes what was done, in the background: a settlement that is lost costs a word in a listing.
    pub(crate) fn settle(&self, settlement: Settlement) {
        let store = self.store.clone();
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let noting = async move {
            if let Err(error) = store.settle(&settlement).await {
                tracing::warn!(transaction = %settlement.transaction, %error, "a kept copy stays unconfirmed");
            }
        };
        self.settling.spawn_on(noting, &runtime);
    }
}

fn retention(config: &QuarantineConfig) -> Retention {
    let limits = |days: u32, entries: u64, mib: u64| Limits {
        age: (days > 0).then(|| DAY * days),
        entries: (entries > 0).then_some(entries),
        bytes: (mib > 0).then(|| mib.saturating_mul(1 << 20)),
    };
    Retention {
        all: limits(config.keep_days, config.keep_entries, config.keep_mib),
        clients: config
            .client
            .iter()
            .map(|(name, one)| {
                let own = limits(
                    one.keep_days.unwrap_or(config.keep_days),
                    one.keep_entries.unwrap_or(0),
                    one.keep_mib.unwrap_or(0),
                );
                (name.clone(), own)
            })
            .collect(),
        domains: config
            .recipient_domain
            .iter()
            .map(|(domain, one)| {
                let age = (one.keep_days > 0).then(|| DAY * one.keep_days);
                (domain.to_ascii_lowercase(), age)
            })
            .collect(),
    }
}

/// A bucket that cannot be reached is better heard of before the first copy; the node judges all the same.
async fn probe(store: Quarantine) {
    if let Err(error) = store.probe().await {
        tracing::error!(%error, "the store of kept copies does not answer: until it does, messages that are to be kept have no verdict");
    }
}

/// Lists what processes that died had kept, and deletes what is over the limits. Any number of nodes may do so: the
/// store lets one of them.
async fn tend(store: Quarantine, retention: Retention) {
    // A process that does not come to serve is not to leave the lease behind.
    tokio::time::sleep(BEFORE_THE_FIRST).await;
    for round in (0..SWEEPS).cycle() {
        match store.sweep().await {
            Ok(0) | Err(QuarantineError::Busy) => {}
            Ok(copies) => tracing::info!(copies, "listed as unconfirmed"),
            Err(error) => tracing::warn!(%error, "kept copies cannot be swept"),
        }
        if round == 0 {
            expire(&store, &retention).await;
        }
        tokio::time::sleep(BETWEEN_SWEEPS).await;
    }
}

async fn expire(store: &Quarantine, retention: &Retention) {
    match store.expire(retention).await {
        Ok(expired) if expired.entries > 0 => {
            tracing::info!(copies = expired.entries, bytes = expired.bytes, "expired");
        }
        Ok(_) | Err(QuarantineError::Busy) => {}
        Err(error) => tracing::warn!(%error, "kept copies do not expire"),
    }
}
