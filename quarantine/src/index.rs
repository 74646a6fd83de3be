//! The index: a record of each copy, and marks beside it. It can be lost and made again from the copies.

use millrace_proto::{Settlement, TransactionId};
use object_store::PutMode;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::error::QuarantineError;
use crate::names::{self, Mark};
use crate::record::{Record, State};
use crate::store::Quarantine;
use crate::when;

/// What stands in [`Mark::Settled`].
#[derive(Debug, Serialize, Deserialize)]
struct Settled {
    #[serde(flatten)]
    state: State,
    queue_id: Option<String>,
}

/// A settlement of a copy that this process knows nothing of is noted when the transaction is not older: the copy
/// may come into the index in a moment. Milliseconds.
const MAY_COME: u64 = 3_600_000;

impl Quarantine {
    /// Notes what was done with a message, if there is a copy of it; whether
    /// there is one that is known of already.
    ///
    /// # Errors
    /// The store failed: the copy stays as it is.
    pub async fn settle(&self, settlement: &Settlement) -> Result<bool, QuarantineError> {
        crate::stop::at("settling");
        let queue_id = settlement.queue_id.as_deref();
        let settled = Settled {
            state: State::from(&settlement.outcome),
            queue_id: queue_id.map(|id| String::from_utf8_lossy(id).into_owned()),
        };
        let mut id = settlement.transaction;
        if let Some(kept) = self.waiting().get(id) {
            let mut record = (*kept.record).clone();
            settled.tell(&mut record);
            let first = names::identifier(&record.id)?;
            if !self.index_kept(&kept, &record).await? {
                self.mark_settled(first, &settled).await?;
            }
            self.waiting().remove(id);
            crate::stop::at("indexed");
            return Ok(true);
        }
        let mut known = false;
        if let Some(first) = self.objects().find(&names::alias(id)).await? {
            id = names::identifier(&String::from_utf8_lossy(&first))?;
            known = true;
        }
        let known = known || self.objects().length(&names::index(id)).await?.is_some();
        let may_come = when::now().saturating_sub(when::milliseconds(id)) < MAY_COME;
        if known || may_come {
            self.mark_settled(id, &settled).await?;
        }
        Ok(known)
    }

    /// What a listing shows of a copy.
    ///
    /// # Errors
    /// There is none, or the store failed.
    pub async fn record(&self, id: &str) -> Result<Record, QuarantineError> {
        let transaction = names::identifier(id)?;
        let going = names::going(transaction);
        let marks = futures_util::future::try_join3(
            self.objects().length(&going),
            self.mark(transaction, Mark::Settled),
            self.mark(transaction, Mark::Released),
        );
        let (going, settled, released) = marks.await?;
        if going.is_some() {
            return Err(QuarantineError::Unknown(id.to_owned()));
        }
        let Some(mut record) = self.bare_record(transaction).await? else {
            return Err(QuarantineError::Unknown(id.to_owned()));
        };
        for (mark, content) in [(Mark::Settled, settled), (Mark::Released, released)] {
            if let Some(content) = content {
                apply(mark, &content, &mut record);
            }
        }
        Ok(record)
    }

    /// The record without its marks; `None` when there is none.
    async fn bare_record(&self, id: TransactionId) -> Result<Option<Record>, QuarantineError> {
        let path = names::index(id);
        let Some(bytes) = self.objects().find(&path).await? else {
            return Ok(self.waiting().record(&id.to_string()));
        };
        match parsed(&path, &bytes) {
            Ok(record) => Ok(Some(record)),
            Err(error) => {
                self.mend_span_of(id, &error).await?;
                let bytes = self.objects().get(&path).await?;
                parsed(&path, &bytes).map(Some)
            }
        }
    }

    pub(crate) async fn mark(
        &self,
        id: TransactionId,
        mark: Mark,
    ) -> Result<Option<Vec<u8>>, QuarantineError> {
        let found = self.objects().find(&names::mark(id, mark)).await?;
        Ok(found.map(Into::into))
    }

    /// Writes a record, if there is none; whether there was none. It can be made again from its copy.
    pub(crate) async fn create_record(&self, record: &Record) -> Result<bool, QuarantineError> {
        self.put_record(record, PutMode::Create).await
    }

    pub(crate) async fn put_record(
        &self,
        record: &Record,
        mode: PutMode,
    ) -> Result<bool, QuarantineError> {
        let path = names::index(names::identifier(&record.id)?);
        let text = json(&path, record)?;
        self.objects().put(&path, text.into(), mode).await
    }

    pub(crate) async fn mark_released(&self, id: &str, time: u64) -> Result<(), QuarantineError> {
        let path = names::mark(names::identifier(id)?, Mark::Released);
        self.objects()
            .write(&path, time.to_string().into_bytes())
            .await
    }

    async fn mark_settled(
        &self,
        id: TransactionId,
        settled: &Settled,
    ) -> Result<(), QuarantineError> {
        let path = names::mark(id, Mark::Settled);
        let text = json(&path, settled)?;
        self.objects()
            .put(&path, text.into(), PutMode::Overwrite)
            .await?;
        Ok(())
    }
}

impl Settled {
    fn tell(&self, record: &mut Record) {
        record.state = self.state.clone();
        if let Some(queue_id) = &self.queue_id {
            record.queue_id.clone_from(queue_id);
        }
    }
}

/// Adds to a record what a mark says; one that was cut off by the end of its machine says nothing.
pub(crate) fn apply(mark: Mark, content: &[u8], record: &mut Record) {
    match mark {
        Mark::Released => record.released = time(content),
        Mark::Settled => {
            if let Ok(settled) = serde_json::from_slice::<Settled>(content) {
                settled.tell(record);
            }
        }
        Mark::Again => {}
    }
}

/// The time that a mark has.
pub(crate) fn time(content: &[u8]) -> Option<u64> {
    std::str::from_utf8(content).ok()?.trim().parse().ok()
}

pub(crate) fn json<T: Serialize>(path: &Path, value: &T) -> Result<Vec<u8>, QuarantineError> {
    serde_json::to_vec(value).map_err(|error| QuarantineError::Damaged {
        path: path.to_string(),
        problem: error.to_string(),
    })
}

pub(crate) fn parsed<T: serde::de::DeserializeOwned>(
    path: &Path,
    bytes: &[u8],
) -> Result<T, QuarantineError> {
    serde_json::from_slice(bytes).map_err(|error| QuarantineError::Damaged {
        path: path.to_string(),
        problem: error.to_string(),
    })
}
