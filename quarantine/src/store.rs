//! Keeping, settling, finding and deleting.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use millrace_proto::{Settlement, Transaction, TransactionId, Verdict};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions};

use crate::copy::{self, Copy};
use crate::error::QuarantineError;
use crate::filter::Filter;
use crate::record::{Audit, Record, State};
use crate::when;

/// The store. Cheap to clone; all clones, and all processes that open the same
/// store, share the same copies.
#[derive(Clone)]
pub struct Quarantine(Arc<Inner>);

struct Inner {
    address: String,
    folder: PathBuf,
    /// Writes are durable before they are acknowledged.
    durable: Box<dyn ObjectStore>,
    /// Writes are durable when the system comes to it: what can be made again.
    quick: Box<dyn ObjectStore>,
}

/// Copies of a listing, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The copies.
    pub records: Vec<Record>,
    /// The identifier after which the next page begins; `None` when this was
    /// the last.
    pub next: Option<String>,
}

/// What is in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Number of copies.
    pub entries: u64,
    /// Bytes of their messages.
    pub bytes: u64,
    /// Copies of which nobody told what was done.
    pub unconfirmed: u64,
    /// When the oldest one's transaction began: milliseconds since 1970, UTC.
    pub oldest: Option<u64>,
}

/// A message that comes again finds the copy of this span of time and of the one before; later it is kept anew,
/// so that no copy is found again which is about to expire. Milliseconds.
const SPAN: u64 = 12 * 3_600_000;

impl Quarantine {
    /// Opens a store, and makes its folder when there is none: `file:///path`,
    /// or an absolute path.
    ///
    /// # Errors
    /// The address is none, or the folder cannot be made.
    pub fn open(address: &str) -> Result<Self, QuarantineError> {
        let folder = folder(address)?;
        std::fs::create_dir_all(&folder).map_err(|source| QuarantineError::Folder {
            path: folder.display().to_string(),
            source,
        })?;
        Self::at(address, folder)
    }

    /// Opens a store that is there: for people, who may have named another folder than they meant.
    ///
    /// # Errors
    /// The address is none, or there is no such folder.
    pub fn open_existing(address: &str) -> Result<Self, QuarantineError> {
        let folder = folder(address)?;
        if !folder.is_dir() {
            return Err(QuarantineError::Absent(address.to_owned()));
        }
        Self::at(address, folder)
    }

    fn at(address: &str, folder: PathBuf) -> Result<Self, QuarantineError> {
        let durable = LocalFileSystem::new_with_prefix(&folder)?.with_fsync(true);
        let quick = LocalFileSystem::new_with_prefix(&folder)?;
        Ok(Self(Arc::new(Inner {
            address: address.to_owned(),
            folder,
            durable: Box::new(durable),
            quick: Box::new(quick),
        })))
    }

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
        let hash = copy::hash(transaction, &content);
        let span = when::milliseconds(transaction.id) / SPAN;
        // The span before is looked at first: a retry need not come in the same one.
        if let Some(before) = span.checked_sub(1)
            && self.found(transaction, &hash, &name(&hash, before)).await?
        {
            return Ok(());
        }
        let name = name(&hash, span);
        let record = Record::new(transaction, verdict, &name, &content);
        let object = copy::write(transaction, verdict, content)?;
        let path = entry(&name);
        let options = PutMode::Create.into();
        match self.0.durable.put_opts(&path, object, options).await {
            Ok(_) => {
                return self
                    .put_record(transaction.id, &record, PutMode::Create)
                    .await;
            }
            Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if self.found(transaction, &hash, &name).await? {
            return Ok(());
        }
        // Deleted in between: whoever deleted it meant the other one, and the sender tries again.
        Err(QuarantineError::Damaged {
            path: path.to_string(),
            problem: "it was deleted while it was kept".to_owned(),
        })
    }

    /// Whether there is a copy of this name; then it is made sure that it is durable and listed, and that the
    /// transaction finds it.
    async fn found(
        &self,
        transaction: &Transaction,
        hash: &str,
        name: &str,
    ) -> Result<bool, QuarantineError> {
        let path = entry(name);
        let known = match self.copy_at(&path).await {
            Ok(known) => known,
            Err(error) if error.is_missing() => return Ok(false),
            Err(error) => return Err(error),
        };
        if copy::hash(&known.transaction, &known.content) != hash {
            return Err(QuarantineError::Damaged {
                path: path.to_string(),
                problem: "its content is not what its name says".to_owned(),
            });
        }
        // Whoever wrote it may not be that far.
        self.sync_folder_of(&path).await?;
        let first = known.transaction.id;
        if first != transaction.id {
            let text = first.to_string().into_bytes();
            self.0
                .quick
                .put(&alias(transaction.id), text.into())
                .await?;
        }
        let record = Record::new(&known.transaction, &known.verdict, name, &known.content);
        self.put_record(first, &record, PutMode::Create).await?;
        Ok(true)
    }

    /// Notes what was done with a message, if there is a copy of it; whether
    /// there is.
    ///
    /// # Errors
    /// The store failed: the copy stays as it is.
    pub async fn settle(&self, settlement: &Settlement) -> Result<bool, QuarantineError> {
        let mut id = settlement.transaction;
        let mut found = self.record_of(id).await;
        if found.as_ref().is_err_and(QuarantineError::is_missing) {
            let first = match self.0.quick.get(&alias(id)).await {
                Ok(first) => first.bytes().await?,
                Err(object_store::Error::NotFound { .. }) => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            id = identifier(&String::from_utf8_lossy(&first))?;
            found = self.record_of(id).await;
        }
        let mut record = match found {
            Ok(record) => record,
            Err(error) if error.is_missing() => return Ok(false),
            Err(error) => return Err(error),
        };
        record.state = State::from(&settlement.outcome);
        if let Some(queue_id) = &settlement.queue_id {
            record.queue_id = String::from_utf8_lossy(queue_id).into_owned();
        }
        self.put_record(id, &record, PutMode::Overwrite).await?;
        Ok(true)
    }

    /// What a listing shows of a copy.
    ///
    /// # Errors
    /// There is none, or the store failed.
    pub async fn record(&self, id: &str) -> Result<Record, QuarantineError> {
        match self.record_of(identifier(id)?).await {
            Err(error) if error.is_missing() => Err(QuarantineError::Unknown(id.to_owned())),
            other => other,
        }
    }

    /// A copy, whole.
    ///
    /// # Errors
    /// There is none, or the store failed.
    pub async fn copy(&self, id: &str) -> Result<Copy, QuarantineError> {
        let record = self.record(id).await?;
        match self.copy_at(&entry(&record.hash)).await {
            Err(error) if error.is_missing() => Err(QuarantineError::Unknown(id.to_owned())),
            other => other,
        }
    }

    /// At most `limit` copies that fit, newest first, from the one after
    /// `after` on.
    ///
    /// # Errors
    /// `after` is no identifier, or the store failed.
    pub async fn list(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, QuarantineError> {
        let after = after.map(identifier).transpose()?;
        let mut page = Page::default();
        let mut walk = self.walk(filter, after);
        while let Some(record) = walk.next().await? {
            if !filter.takes(&record) {
                continue;
            }
            if page.records.len() == limit {
                page.next = page.records.last().map(|last| last.id.clone());
                break;
            }
            page.records.push(record);
        }
        Ok(page)
    }

    /// Counts what is there.
    ///
    /// # Errors
    /// The store failed.
    pub async fn stats(&self) -> Result<Stats, QuarantineError> {
        let mut stats = Stats::default();
        let everything = Filter::default();
        let mut walk = self.walk(&everything, None);
        while let Some(record) = walk.next().await? {
            stats.entries += 1;
            stats.bytes += record.size;
            stats.unconfirmed += u64::from(record.state == State::Unconfirmed);
            stats.oldest = Some(record.time);
        }
        Ok(stats)
    }

    pub(crate) async fn mark_released(&self, id: &str, time: u64) -> Result<(), QuarantineError> {
        let mut record = self.record(id).await?;
        record.released = Some(time);
        self.put_record(identifier(id)?, &record, PutMode::Overwrite)
            .await
    }

    /// Deletes a copy for good, and notes in the audit log who did so.
    ///
    /// # Errors
    /// There is none, or the store failed.
    pub async fn delete(&self, id: &str, who: &str) -> Result<(), QuarantineError> {
        let record = self.record(id).await?;
        self.audit(who, "delete", id, "").await?;
        self.remove(&record).await
    }

    /// The audit log of a day, `YYYYMMDD` (UTC), in its order.
    ///
    /// # Errors
    /// The store failed.
    pub async fn audit_log(&self, day: &str) -> Result<Vec<Audit>, QuarantineError> {
        let mut log = Vec::new();
        for path in self.objects_in(&Path::from(format!("audit/{day}"))).await? {
            let bytes = self.0.quick.get(&path).await?.bytes().await?;
            log.push(parsed(&path, &bytes)?);
        }
        Ok(log)
    }

    /// Makes index records for copies that have none; how many were made.
    /// Copies are read whole: this is for a store that was restored, or that
    /// lost power.
    ///
    /// # Errors
    /// The store failed, or a copy is damaged.
    pub async fn mend(&self) -> Result<u64, QuarantineError> {
        let mut made = 0;
        for folder in self.folders(&Path::from("entries")).await? {
            for path in self.objects_in(&folder).await? {
                let Copy {
                    transaction,
                    verdict,
                    content,
                } = self.copy_at(&path).await?;
                if self.record_of(transaction.id).await.is_ok() {
                    continue;
                }
                let hash = path.filename().unwrap_or_default();
                let record = Record::new(&transaction, &verdict, hash, &content);
                self.put_record(transaction.id, &record, PutMode::Create)
                    .await?;
                made += 1;
            }
        }
        Ok(made)
    }

    pub(crate) fn objects(&self) -> &dyn ObjectStore {
        &*self.0.quick
    }

    /// The folders of days below `index` or `alias`, oldest first.
    pub(crate) async fn days(&self, below: &str) -> Result<Vec<Path>, QuarantineError> {
        self.folders(&Path::from(below)).await
    }

    /// Deletes what is directly in a folder.
    pub(crate) async fn clear(&self, folder: &Path) -> Result<(), QuarantineError> {
        for path in self.objects_in(folder).await? {
            self.delete_object(&path).await?;
        }
        Ok(())
    }

    /// Removes the empty folders in a day's, and the day's. A folder that is not empty stays.
    pub(crate) async fn prune(&self, day: &Path) {
        let day = self.0.folder.join(day.as_ref());
        let pruned = tokio::task::spawn_blocking(move || prune(&day, 2)).await;
        if let Err(panic) = pruned {
            tracing::warn!(%panic, "empty folders stay");
        }
    }

    /// Takes a copy and its record away: the copy first, so that what is left
    /// of a deletion that broke off can still be found.
    pub(crate) async fn remove(&self, record: &Record) -> Result<(), QuarantineError> {
        let id = identifier(&record.id)?;
        let path = entry(&record.hash);
        self.delete_object(&path).await?;
        self.delete_object(&index(id)).await
    }

    async fn delete_object(&self, path: &Path) -> Result<(), QuarantineError> {
        match self.0.quick.delete(path).await {
            // Deletion is deletion: it does not come back with the power.
            Ok(()) => self.sync_folder_of(path).await,
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the names in an object's folder durable.
    async fn sync_folder_of(&self, path: &Path) -> Result<(), QuarantineError> {
        let mut folder = self.0.folder.join(path.as_ref());
        folder.pop();
        let shown = folder.display().to_string();
        let synced = tokio::task::spawn_blocking(move || match std::fs::File::open(folder) {
            Ok(folder) => folder.sync_all(),
            // Nothing was ever in it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        });
        synced
            .await
            .unwrap_or_else(|panic| Err(std::io::Error::other(panic)))
            .map_err(|source| QuarantineError::Folder {
                path: shown,
                source,
            })
    }

    /// Notes for good what somebody did because of a copy, such as blocking its sender.
    ///
    /// # Errors
    /// There is no such copy, or the store failed.
    pub async fn note(
        &self,
        who: &str,
        action: &str,
        id: &str,
        detail: &str,
    ) -> Result<(), QuarantineError> {
        self.record(id).await?;
        self.audit(who, action, id, detail).await
    }

    /// Notes for good who did what with a copy.
    pub(crate) async fn audit(
        &self,
        who: &str,
        action: &str,
        id: &str,
        detail: &str,
    ) -> Result<(), QuarantineError> {
        let time = when::now();
        let audit = Audit {
            time,
            who: who.to_owned(),
            action: action.to_owned(),
            id: id.to_owned(),
            detail: detail.to_owned(),
        };
        let name = TransactionId::new();
        let path = Path::from(format!("audit/{}/{name}", when::day(time)));
        let text = json(&path, &audit)?;
        self.0
            .durable
            .put_opts(&path, text.into(), PutMode::Create.into())
            .await?;
        Ok(())
    }

    async fn copy_at(&self, path: &Path) -> Result<Copy, QuarantineError> {
        let bytes = self.0.quick.get(path).await?.bytes().await?;
        copy::read(path.as_ref(), bytes)
    }

    async fn record_of(&self, id: TransactionId) -> Result<Record, QuarantineError> {
        self.record_at(&index(id)).await
    }

    pub(crate) async fn record_at(&self, path: &Path) -> Result<Record, QuarantineError> {
        let bytes = self.0.quick.get(path).await?.bytes().await?;
        parsed(path, &bytes)
    }

    /// With [`PutMode::Create`] a record that is there stays.
    async fn put_record(
        &self,
        id: TransactionId,
        record: &Record,
        mode: PutMode,
    ) -> Result<(), QuarantineError> {
        let path = index(id);
        let text = json(&path, record)?;
        // A new record can be made again from its copy; what was done, and that it was released, cannot.
        let store = match mode {
            PutMode::Create => &self.0.quick,
            _ => &self.0.durable,
        };
        let options = PutOptions::from(mode);
        match store.put_opts(&path, text.into(), options).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn folders(&self, of: &Path) -> Result<Vec<Path>, QuarantineError> {
        let mut folders = self
            .0
            .quick
            .list_with_delimiter(Some(of))
            .await?
            .common_prefixes;
        folders.sort_unstable();
        Ok(folders)
    }

    pub(crate) async fn objects_in(&self, folder: &Path) -> Result<Vec<Path>, QuarantineError> {
        let listed = self.0.quick.list_with_delimiter(Some(folder)).await?;
        let mut objects: Vec<Path> = listed.objects.into_iter().map(|one| one.location).collect();
        objects.sort_unstable();
        Ok(objects)
    }
}

impl fmt::Debug for Quarantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Quarantine").field(&self.0.address).finish()
    }
}

fn folder(address: &str) -> Result<PathBuf, QuarantineError> {
    let folder = PathBuf::from(address.strip_prefix("file://").unwrap_or(address));
    if folder.is_absolute() {
        return Ok(folder);
    }
    Err(QuarantineError::Address(address.to_owned()))
}

fn entry(hash: &str) -> Path {
    Path::from(format!("entries/{}/{hash}", prefix(hash)))
}

/// A copy's name: its hash, and the span of time that it was first kept in.
fn name(hash: &str, span: u64) -> String {
    format!("{hash}.{span}")
}

fn prune(folder: &std::path::Path, depth: u32) {
    let inner = std::fs::read_dir(folder).into_iter().flatten().flatten();
    if depth > 0 {
        for inner in inner {
            prune(&inner.path(), depth - 1);
        }
    }
    // Fails for what is not empty, as is meant.
    let _ = std::fs::remove_dir(folder);
}

fn prefix(hash: &str) -> &str {
    hash.get(..2).unwrap_or("00")
}

pub(crate) fn index(id: TransactionId) -> Path {
    let minute = when::minute(when::milliseconds(id));
    Path::from(format!("index/{minute}/{id}"))
}

fn alias(id: TransactionId) -> Path {
    let day = when::day(when::milliseconds(id));
    Path::from(format!("alias/{day}/{id}"))
}

fn identifier(text: &str) -> Result<TransactionId, QuarantineError> {
    uuid::Uuid::from_str(text)
        .map(|id| TransactionId::from_bytes(id.into_bytes()))
        .map_err(|_| QuarantineError::Unknown(text.to_owned()))
}

fn json<T: serde::Serialize>(path: &Path, value: &T) -> Result<Vec<u8>, QuarantineError> {
    serde_json::to_vec(value).map_err(|error| QuarantineError::Damaged {
        path: path.to_string(),
        problem: error.to_string(),
    })
}

fn parsed<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, QuarantineError> {
    serde_json::from_slice(bytes).map_err(|error| QuarantineError::Damaged {
        path: path.to_string(),
        problem: error.to_string(),
    })
}
