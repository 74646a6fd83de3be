//! Through the index, from the newest record to the oldest, one folder at a time.

use std::collections::HashSet;
use std::vec;

use futures_util::future;
use millrace_proto::TransactionId;
use object_store::path::Path;

use crate::error::QuarantineError;
use crate::filter::Filter;
use crate::index::{apply, parsed};
use crate::names::{self, Mark, SPAN};
use crate::record::Record;
use crate::store::Quarantine;
use crate::when;

/// Index records from the newest to the oldest, one folder at a time.
pub(crate) struct Walk<'a> {
    store: &'a Quarantine,
    filter: &'a Filter,
    /// Names at or above this are passed over.
    below: Option<String>,
    /// Folders and objects to come; the next one is the last.
    days: Option<Vec<Path>>,
    hours: Vec<Path>,
    minutes: Vec<Path>,
    objects: Vec<Indexed>,
    /// How many of them are read next.
    at_once: usize,
    /// Read, and not handed out yet.
    ready: vec::IntoIter<Seen>,
    /// Half days whose index was made again: once is enough.
    mended: HashSet<u64>,
    /// Marks without a record that were passed.
    orphans: Vec<TransactionId>,
    /// What is being deleted: it is not handed out.
    going: HashSet<TransactionId>,
}

/// A record, with what its marks say.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) record: Record,
    pub(crate) marks: Vec<Mark>,
}

/// What a folder of the index has of one transaction.
#[derive(Debug)]
struct Indexed {
    id: TransactionId,
    has_record: bool,
    marks: Vec<Mark>,
}

/// Records that are read at once: a few for a page that is soon full, and more each time that it is not.
const FEW: usize = 16;
const MANY: usize = 512;

impl Quarantine {
    /// The records that can fit, from the one after `after` on.
    pub(crate) fn walk<'a>(&'a self, filter: &'a Filter, after: Option<TransactionId>) -> Walk<'a> {
        Walk {
            store: self,
            filter,
            below: after.map(|id| names::index(id).to_string()),
            days: None,
            hours: Vec::new(),
            minutes: Vec::new(),
            objects: Vec::new(),
            at_once: FEW,
            ready: Vec::new().into_iter(),
            mended: HashSet::new(),
            orphans: Vec::new(),
            going: HashSet::new(),
        }
    }
}

impl Walk<'_> {
    /// The next older record that can fit, by its time; the rest of the filter
    /// is the caller's.
    pub(crate) async fn next(&mut self) -> Result<Option<Seen>, QuarantineError> {
        loop {
            if let Some(seen) = self.ready.next() {
                return Ok(Some(seen));
            }
            if !self.objects.is_empty() {
                self.read().await?;
            } else if let Some(minute) = self.minutes.pop() {
                if self.can_have(&minute) {
                    let objects = self.store.objects().objects_in(&minute).await?;
                    self.objects = self.indexed(&objects);
                }
            } else if let Some(hour) = self.hours.pop() {
                if self.can_have(&hour) {
                    self.minutes = self.store.objects().folders(&hour).await?;
                }
            } else if let Some(days) = &mut self.days {
                let Some(day) = days.pop() else {
                    return Ok(None);
                };
                if self.can_have(&day) {
                    self.hours = self.store.objects().folders(&day).await?;
                }
            } else {
                self.going = self.store.going().await?.into_iter().collect();
                let index = Path::from("index");
                self.days = Some(self.store.objects().folders(&index).await?);
            }
        }
    }

    /// Marks without a record that were passed since this was asked for last.
    pub(crate) fn orphans(&mut self) -> Vec<TransactionId> {
        std::mem::take(&mut self.orphans)
    }

    /// What of a folder is looked for, oldest first.
    fn indexed(&mut self, objects: &[Path]) -> Vec<Indexed> {
        let mut found: Vec<Indexed> = Vec::new();
        for path in objects {
            let file = path.filename().unwrap_or_default();
            let Some((id, mark)) = names::indexed(file) else {
                tracing::warn!(%path, "it is no part of the index");
                continue;
            };
            let time = when::milliseconds(id);
            let too_new = self.filter.until.is_some_and(|until| time >= until);
            let too_old = self.filter.since.is_some_and(|since| time < since);
            let passed = self.below.as_deref();
            if too_new || too_old || passed.is_some_and(|below| names::index(id).as_ref() >= below)
            {
                continue;
            }
            if self.going.contains(&id) {
                continue;
            }
            if found.last().is_none_or(|last| last.id != id) {
                found.push(Indexed {
                    id,
                    has_record: false,
                    marks: Vec::new(),
                });
            }
            let last = found.last_mut().expect("one was just put there");
            match mark {
                Some(mark) => last.marks.push(mark),
                None => last.has_record = true,
            }
        }
        let orphans = found.iter().filter(|one| !one.has_record);
        self.orphans.extend(orphans.map(|one| one.id));
        found.retain(|one| one.has_record);
        found
    }

    /// Reads the newest of the objects.
    async fn read(&mut self) -> Result<(), QuarantineError> {
        let rest = self.objects.len().saturating_sub(self.at_once);
        let some = self.objects.split_off(rest);
        self.at_once = MANY.min(self.at_once * 2);
        let store = self.store;
        let paths: Vec<Path> = some.iter().map(|one| names::index(one.id)).collect();
        let records = store.objects().find_all(&paths).await?;
        // What has none was deleted since the folder was read.
        let read = some
            .into_iter()
            .zip(records)
            .rev()
            .filter_map(|(one, record)| {
                let record = record?;
                Some(async move {
                    let seen = store.seen(&one, &record).await;
                    (one, seen)
                })
            });
        let mut ready = Vec::new();
        for (one, seen) in future::join_all(read).await {
            match seen {
                Ok(seen) => ready.push(seen),
                Err(error @ QuarantineError::Damaged { .. }) => {
                    ready.extend(self.mended(&one, &error).await?);
                }
                Err(error) => return Err(error),
            }
        }
        self.ready = ready.into_iter();
        Ok(())
    }

    /// A record that is damaged is made again from its copy, and all others of that half day.
    async fn mended(
        &mut self,
        one: &Indexed,
        damage: &QuarantineError,
    ) -> Result<Option<Seen>, QuarantineError> {
        if self.mended.insert(when::milliseconds(one.id) / SPAN) {
            self.store.mend_span_of(one.id, damage).await?;
        }
        let again = async {
            let record = self.store.objects().get(&names::index(one.id)).await?;
            self.store.seen(one, &record).await
        };
        match again.await {
            Ok(seen) => Ok(Some(seen)),
            Err(error) => {
                tracing::error!(copy = %one.id, %error, "what cannot be read is left out of the listing");
                Ok(None)
            }
        }
    }

    /// Whether a folder can have records that are looked for.
    fn can_have(&self, folder: &Path) -> bool {
        let name: &str = folder.as_ref();
        let not_after = |bound: &str| name <= &bound[..name.len().min(bound.len())];
        let not_before = |bound: &str| name >= &bound[..name.len().min(bound.len())];
        let of = |time| format!("index/{}", when::minute(time));
        self.below.as_deref().is_none_or(not_after)
            && self.filter.until.is_none_or(|until| not_after(&of(until)))
            && self.filter.since.is_none_or(|since| not_before(&of(since)))
    }
}

impl Quarantine {
    async fn seen(&self, one: &Indexed, record: &[u8]) -> Result<Seen, QuarantineError> {
        let mut record: Record = parsed(&names::index(one.id), record)?;
        for &mark in &one.marks {
            if matches!(mark, Mark::Settled | Mark::Released)
                && let Some(content) = self.mark(one.id, mark).await?
            {
                apply(mark, &content, &mut record);
            }
        }
        Ok(Seen {
            record,
            marks: one.marks.clone(),
        })
    }
}
