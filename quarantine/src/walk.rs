//! Through the index, from the newest record to the oldest, one folder at a time.

use millrace_proto::TransactionId;
use object_store::path::Path;

use crate::error::QuarantineError;
use crate::filter::Filter;
use crate::record::Record;
use crate::store::{Quarantine, index};
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
    objects: Vec<Path>,
}

impl Quarantine {
    /// The records that can fit, from the one after `after` on.
    pub(crate) fn walk<'a>(&'a self, filter: &'a Filter, after: Option<TransactionId>) -> Walk<'a> {
        Walk {
            store: self,
            filter,
            below: after.map(|id| index(id).to_string()),
            days: None,
            hours: Vec::new(),
            minutes: Vec::new(),
            objects: Vec::new(),
        }
    }
}

impl Walk<'_> {
    /// The next older record that can fit, by its time; the rest of the filter
    /// is the caller's.
    pub(crate) async fn next(&mut self) -> Result<Option<Record>, QuarantineError> {
        loop {
            if let Some(path) = self.objects.pop() {
                if self
                    .below
                    .as_deref()
                    .is_some_and(|below| path.as_ref() >= below)
                {
                    continue;
                }
                match self.store.record_at(&path).await {
                    Ok(record) if self.filter.until.is_some_and(|until| record.time >= until) => {}
                    Ok(record) if self.filter.since.is_some_and(|since| record.time < since) => {
                        return Ok(None);
                    }
                    Ok(record) => return Ok(Some(record)),
                    // Deleted since the folder was read.
                    Err(error) if error.is_missing() => {}
                    Err(error) => return Err(error),
                }
            } else if let Some(minute) = self.minutes.pop() {
                if self.can_have(&minute) {
                    self.objects = self.store.objects_in(&minute).await?;
                }
            } else if let Some(hour) = self.hours.pop() {
                if self.can_have(&hour) {
                    self.minutes = self.store.folders(&hour).await?;
                }
            } else if let Some(days) = &mut self.days {
                let Some(day) = days.pop() else {
                    return Ok(None);
                };
                if self.can_have(&day) {
                    self.hours = self.store.folders(&day).await?;
                }
            } else {
                self.days = Some(self.store.folders(&Path::from("index")).await?);
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
