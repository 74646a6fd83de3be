//! Kept copies, on the node's side: kept before the verdict is answered, settled and expired in the background.

use std::time::Duration;

use bytes::Bytes;
use millrace_proto::{CallError, ConduitKind, Settlement, Transaction, Verdict};
use millrace_quarantine::{Quarantine, QuarantineError, Retention};
use tokio::runtime::Handle;

use crate::config::QuarantineConfig;

/// The store that this node keeps copies in.
#[derive(Debug)]
pub(crate) struct Copies {
    store: Quarantine,
}

const DAY: Duration = Duration::from_secs(86_400);
const BETWEEN_EXPIRIES: Duration = Duration::from_secs(3600);

impl Copies {
    /// Opens the store, if one is configured, and begins to expire its copies.
    pub(crate) fn open(config: &QuarantineConfig) -> Result<Option<Self>, QuarantineError> {
        let Some(address) = &config.store else {
            return Ok(None);
        };
        let store = Quarantine::open(address)?;
        if config.keep_days > 0
            && let Ok(runtime) = Handle::try_current()
        {
            let retention = Retention {
                age: Some(DAY * config.keep_days),
                ..Retention::default()
            };
            runtime.spawn(expire(store.clone(), retention));
        }
        Ok(Some(Self { store }))
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
        let kept = self.store.keep(transaction, verdict, content).await;
        kept.map_err(|error| {
            tracing::error!(transaction = %transaction.id, %error, "a copy could not be kept, so there is no verdict");
            CallError::Unavailable(format!("the copy that the policy asks for cannot be kept: {error}"))
        })
    }

    /// Notes what was done, in the background: a settlement that is lost costs a word in a listing.
    pub(crate) fn settle(&self, settlement: Settlement) {
        let store = self.store.clone();
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            if let Err(error) = store.settle(&settlement).await {
                tracing::warn!(transaction = %settlement.transaction, %error, "a kept copy stays unconfirmed");
            }
        });
    }
}

/// Any number of nodes may do so: the store lets one of them.
async fn expire(store: Quarantine, retention: Retention) {
    loop {
        match store.expire(&retention).await {
            Ok(expired) if expired.entries > 0 => {
                tracing::info!(copies = expired.entries, bytes = expired.bytes, "expired");
            }
            Ok(_) | Err(QuarantineError::Busy) => {}
            Err(error) => tracing::warn!(%error, "kept copies do not expire"),
        }
        tokio::time::sleep(BETWEEN_EXPIRIES).await;
    }
}
