//! Finding what nobody told of: copies whose process died before they were listed, and deletions that broke off.

use std::str::FromStr as _;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use millrace_proto::TransactionId;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutMode};

use crate::copy::{self, BEGINNING};
use crate::error::QuarantineError;
use crate::lease::Lease;
use crate::names::{self, SPAN};
use crate::record::Record;
use crate::store::Quarantine;
use crate::when;

/// Until which time of the store's own clock copies were swept: milliseconds since 1970, UTC.
const SWEPT: &str = "sweep/until";
/// What was swept is looked at again for so long: records that were not on the disk yet when its power failed.
/// Milliseconds.
const AGAIN: u64 = 600_000;
/// A file without a name that nobody touched for so long is of a process that died.
const UNTOUCHED: Duration = Duration::from_secs(3600);
/// Copies that are looked at at once.
const AT_ONCE: usize = 16;

impl Quarantine {
    /// Puts copies into the index whose process died before it did so; how many. They are *unconfirmed*: nobody knows
    /// whether the sender had its answer. Only what came since the last sweep is looked at. One process does so at a
    /// time.
    ///
    /// # Errors
    /// Another process is at it ([`QuarantineError::Busy`]), or the store failed.
    pub async fn sweep(&self) -> Result<u64, QuarantineError> {
        let mut lease = Lease::take(self.objects().raw()).await?;
        let result = self.sweep_new(&mut lease).await;
        lease.give_back().await?;
        result
    }

    async fn sweep_new(&self, lease: &mut Lease<'_>) -> Result<u64, QuarantineError> {
        self.objects().sweep_beside(UNTOUCHED).await?;
        self.end_deletions().await?;
        let swept = Path::from(SWEPT);
        let until = self.objects().find(&swept).await?;
        let until = until.and_then(|text| u64::from_str(std::str::from_utf8(&text).ok()?).ok());
        let since = until.unwrap_or(0);
        // A copy may have come into a half day after its end.
        let oldest = names::entries((since / SPAN).saturating_sub(2));
        let (mut newest, mut made) = (since, 0);
        for folder in self.objects().folders(&Path::from("entries")).await? {
            if since > 0 && folder < oldest {
                continue;
            }
            let mut found = Vec::new();
            let mut listed = self.objects().below(&folder);
            while let Some(object) = listed.try_next().await? {
                let time = object.last_modified.timestamp_millis();
                let time = u64::try_from(time).unwrap_or(0);
                newest = newest.max(time);
                if time >= since {
                    found.push(object.location);
                }
            }
            for some in found.chunks(1024) {
                lease.hold().await?;
                made += self.index_copies(some.to_vec()).await?.0;
            }
        }
        let newest = newest.saturating_sub(AGAIN).max(since);
        self.objects()
            .write(&swept, newest.to_string().into_bytes())
            .await?;
        Ok(made)
    }

    /// Makes index records for copies that have none; how many were made.
    /// All copies are looked at: this is for a store that was restored.
    ///
    /// # Errors
    /// The store failed, or copies are damaged: the others are in the index.
    pub async fn mend(&self) -> Result<u64, QuarantineError> {
        let mut made = 0;
        let mut damage = None;
        for folder in self.objects().folders(&Path::from("entries")).await? {
            let copies = self.objects().objects_in(&folder).await?;
            let (new, damaged) = self.index_copies(copies).await?;
            made += new;
            damage = damage.or(damaged);
        }
        damage.map_or(Ok(made), Err)
    }

    /// Makes the records of a transaction's half day again: one of them is damaged.
    pub(crate) async fn mend_span_of(
        &self,
        id: TransactionId,
        damage: &QuarantineError,
    ) -> Result<(), QuarantineError> {
        tracing::warn!(%damage, "the index is made again from the copies of that half day");
        let folder = names::entries(when::milliseconds(id) / SPAN);
        let copies = self.objects().objects_in(&folder).await?;
        self.index_copies(copies).await?;
        Ok(())
    }

    /// Makes sure that copies have index records; how many had none, and the first copy that is damaged.
    async fn index_copies(
        &self,
        copies: Vec<Path>,
    ) -> Result<(u64, Option<QuarantineError>), QuarantineError> {
        let mut indexed = stream::iter(copies)
            .map(|path| async move { self.index_copy(&path).await })
            .buffer_unordered(AT_ONCE);
        let (mut made, mut damage) = (0, None);
        while let Some(new) = indexed.next().await {
            match new {
                Ok(new) => made += u64::from(new),
                // Deleted since the folder was read.
                Err(error) if error.is_missing() => {}
                Err(error @ QuarantineError::Damaged { .. }) => {
                    tracing::error!(%error, "a kept copy cannot be read");
                    damage = damage.or(Some(error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok((made, damage))
    }

    async fn index_copy(&self, path: &Path) -> Result<bool, QuarantineError> {
        let beginning = match self.objects().raw().get_range(path, 0..BEGINNING).await {
            Ok(bytes) => bytes,
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            // An empty object has no beginning.
            Err(_) => self.objects().get(path).await?,
        };
        let whole = match copy::read_transaction(path.as_ref(), beginning)? {
            Some(transaction) => match self.has_record(transaction.id).await? {
                true => return Ok(false),
                false => self.objects().get(path).await?,
            },
            None => self.objects().get(path).await?,
        };
        self.index_whole(path, whole).await
    }

    async fn index_whole(&self, path: &Path, whole: Bytes) -> Result<bool, QuarantineError> {
        let copy = copy::read(path.as_ref(), whole)?;
        if self.has_record(copy.transaction.id).await? {
            return Ok(false);
        }
        let name = names::name_of(path);
        let record = Record::new(&copy.transaction, &copy.verdict, name, &copy.content);
        // Over one that cannot be read; one that came in between says the same, or is settled by a mark.
        let id = copy.transaction.id;
        let damaged = self.objects().length(&names::index(id)).await?.is_some();
        let mode = match damaged {
            true => PutMode::Overwrite,
            false => PutMode::Create,
        };
        self.put_record(&record, mode).await
    }

    /// Whether there is a record that can be read.
    async fn has_record(&self, id: TransactionId) -> Result<bool, QuarantineError> {
        let found = self.objects().find(&names::index(id)).await?;
        Ok(found.is_some_and(|bytes| serde_json::from_slice::<Record>(&bytes).is_ok()))
    }
}
