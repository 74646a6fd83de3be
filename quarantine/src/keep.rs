//! Keeping: one durable object, and nothing else before the verdict is answered.

use bytes::Bytes;
use millrace_proto::{Transaction, Verdict};
use object_store::PutMode;
use object_store::path::Path;

use crate::copy;
use crate::error::QuarantineError;
use crate::names::{self, Mark, SPAN};
use crate::record::Record;
use crate::store::Quarantine;
use crate::when;

/// A larger message is hashed away from the runtime's threads. Bytes.
const IN_PLACE: usize = 64 << 10;
/// A copy that is deleted while it is kept is kept anew, so often.
const TRIES: u32 = 3;

impl Quarantine {
    /// Keeps a copy. When this returns, it is durable; it is the same copy
    /// whatever the number of calls for the same message.
    ///
    /// # Errors
    /// The store did not acknowledge: the copy must not be promised.
    pub async fn keep(
        &self,
        transaction: &Transaction,
        verdict: &Verdict,
        content: Bytes,
    ) -> Result<(), QuarantineError> {
        let hash = hash(transaction, &content).await?;
        let span = when::milliseconds(transaction.id) / SPAN;
        let name = names::copy(&hash, span);
        let path = names::entry(&name);
        // A retry need not come in the same span.
        let before = span.checked_sub(1);
        let before = before.map(|before| names::entry(&names::copy(&hash, before)));
        for _ in 0..TRIES {
            let object = copy::write(transaction, verdict, content.clone())?;
            let length = object.iter().map(Bytes::len).sum::<usize>() as u64;
            let there = self.objects().create(&path, before.as_ref(), object);
            let Some(there) = there.await? else {
                let record = Record::new(transaction, verdict, &name, &content);
                self.wait(transaction.id, record, length);
                return Ok(());
            };
            if self.found(transaction, &hash, &there).await? {
                return Ok(());
            }
        }
        Err(QuarantineError::Going)
    }

    /// Promises a copy that is there to another transaction, or to the same once more; false when it is there no
    /// longer.
    async fn found(
        &self,
        transaction: &Transaction,
        hash: &str,
        path: &Path,
    ) -> Result<bool, QuarantineError> {
        let Some(bytes) = self.objects().find(path).await? else {
            return Ok(false);
        };
        let length = bytes.len() as u64;
        let known = copy::read(path.as_ref(), bytes)?;
        if self::hash(&known.transaction, &known.content).await? != hash {
            return Err(QuarantineError::Damaged {
                path: path.to_string(),
                problem: "its content is not what its name says".to_owned(),
            });
        }
        let first = known.transaction.id;
        if first != transaction.id {
            // First the mark, then the look whether it is being deleted; whoever deletes it does both the other way
            // round, so that one of the two sees the other.
            let now = when::now().to_string().into_bytes();
            self.objects()
                .write(&names::mark(first, Mark::Again), now)
                .await?;
            let alias = names::alias(transaction.id);
            let id = first.to_string().into_bytes();
            self.objects()
                .put(&alias, id.into(), PutMode::Overwrite)
                .await?;
        }
        if self.objects().length(&names::going(first)).await?.is_some() {
            return Err(QuarantineError::Going);
        }
        if self.objects().length(path).await?.is_none() {
            return Ok(false);
        }
        let name = names::name_of(path);
        let record = Record::new(&known.transaction, &known.verdict, name, &known.content);
        self.wait(transaction.id, record, length);
        Ok(true)
    }
}

async fn hash(transaction: &Transaction, content: &Bytes) -> Result<String, QuarantineError> {
    if content.len() <= IN_PLACE {
        return Ok(copy::hash(transaction, content));
    }
    let (transaction, content) = (transaction.clone(), content.clone());
    tokio::task::spawn_blocking(move || copy::hash(&transaction, &content))
        .await
        .map_err(|panic| QuarantineError::File {
            path: "a message".to_owned(),
            source: std::io::Error::other(panic),
        })
}
