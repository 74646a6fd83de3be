//! The store itself: opened, and what people look at.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;

use crate::bucket::{self, S3};
use crate::copy::{self, Copy};
use crate::error::QuarantineError;
use crate::filter::Filter;
use crate::names;
use crate::objects::Objects;
use crate::record::{Record, State};
use crate::waiting::Waiting;

/// The store. Cheap to clone; all clones, and all processes that open the same
/// store, share the same copies.
#[derive(Clone)]
pub struct Quarantine(Arc<Inner>);

struct Inner {
    address: String,
    objects: Objects,
    /// Copies that are not in the index yet.
    waiting: Waiting,
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

impl Quarantine {
    /// Opens a store: a folder, which is made when there is none (`file:///path`, or an absolute path), or a bucket
    /// (`s3://bucket/prefix`), of which nothing is asked yet.
    ///
    /// # Errors
    /// The address is none, or the folder cannot be made.
    pub fn open(address: &str) -> Result<Self, QuarantineError> {
        Self::open_with(address, &S3::default())
    }

    /// As [`Self::open`]; says how a bucket is reached.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(address: &str, s3: &S3) -> Result<Self, QuarantineError> {
        if let Some(bucket) = bucket::open(address, s3)? {
            return Ok(Self::of(address, Objects::elsewhere(bucket)));
        }
        let folder = folder(address)?;
        std::fs::create_dir_all(&folder).map_err(|source| QuarantineError::Folder {
            path: folder.display().to_string(),
            source,
        })?;
        let objects = Objects::in_folder(folder)?;
        objects.take_room();
        Ok(Self::of(address, objects))
    }

    /// Opens a store that is there: for people, who may have named another folder than they meant.
    ///
    /// # Errors
    /// The address is none, or there is no such folder.
    pub fn open_existing(address: &str) -> Result<Self, QuarantineError> {
        if let Some(bucket) = bucket::open(address, &S3::default())? {
            return Ok(Self::of(address, Objects::elsewhere(bucket)));
        }
        let folder = folder(address)?;
        if !folder.is_dir() {
            return Err(QuarantineError::Absent(address.to_owned()));
        }
        Ok(Self::of(address, Objects::in_folder(folder)?))
    }

    /// A store in any place that `object_store` reaches: what that acknowledges must be durable.
    #[must_use]
    pub fn on(objects: Arc<dyn ObjectStore>) -> Self {
        Self::of(&objects.to_string(), Objects::elsewhere(objects))
    }

    fn of(address: &str, objects: Objects) -> Self {
        Self(Arc::new(Inner {
            address: address.to_owned(),
            objects,
            waiting: Waiting::default(),
        }))
    }

    /// Asks the store for something, to find out whether it answers.
    ///
    /// # Errors
    /// It does not, or refuses.
    pub async fn probe(&self) -> Result<(), QuarantineError> {
        self.objects().folders(&Path::from("lease")).await?;
        Ok(())
    }

    /// A copy, whole.
    ///
    /// # Errors
    /// There is none, or the store failed.
    pub async fn copy(&self, id: &str) -> Result<Copy, QuarantineError> {
        let record = self.record(id).await?;
        let path = names::entry(&record.hash);
        match self.objects().find(&path).await? {
            Some(bytes) => copy::read(path.as_ref(), bytes),
            None => Err(QuarantineError::Lost(id.to_owned())),
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
        let after = after.map(names::identifier).transpose()?;
        self.index_waiting().await;
        let mut page = Page::default();
        let mut walk = self.walk(filter, after);
        while let Some(seen) = walk.next().await? {
            if !filter.takes(&seen.record) {
                continue;
            }
            if page.records.len() == limit {
                page.next = page.records.last().map(|last| last.id.clone());
                break;
            }
            page.records.push(seen.record);
        }
        Ok(page)
    }

    /// Counts what is there.
    ///
    /// # Errors
    /// The store failed.
    pub async fn stats(&self) -> Result<Stats, QuarantineError> {
        self.index_waiting().await;
        let mut stats = Stats::default();
        let everything = Filter::default();
        let mut walk = self.walk(&everything, None);
        while let Some(seen) = walk.next().await? {
            stats.entries += 1;
            stats.bytes += seen.record.size;
            stats.unconfirmed += u64::from(seen.record.state == State::Unconfirmed);
            stats.oldest = Some(seen.record.time);
        }
        Ok(stats)
    }

    pub(crate) fn objects(&self) -> &Objects {
        &self.0.objects
    }

    pub(crate) fn waiting(&self) -> &Waiting {
        &self.0.waiting
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
