//! Deletion is deletion: the copy goes first, then what is known of it.
//!
//! That it is going is noted first, for good: a deletion that breaks off is ended by the next sweep or expiry. The
//! note also tells those who find the same message's copy at this instant that it is not to be promised any more:
//! they look for it after they have noted their promise, and expiry looks for theirs after it has made its own, so
//! one of the two gives way. Copies that are too old to be found again need no note: they are over their limit also
//! at the next expiry.

use futures_util::StreamExt as _;
use futures_util::stream;
use millrace_proto::TransactionId;
use object_store::path::Path;

use crate::error::QuarantineError;
use crate::index::time;
use crate::names::{self, Mark, SPAN};
use crate::record::Record;
use crate::store::Quarantine;
use crate::when;

/// Why a copy is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Somebody wants it gone, whoever else was promised it.
    Wanted,
    /// It is over a limit: then it stays when another transaction was just promised it.
    OverLimit,
}

/// A copy that was promised again so short a time ago does not expire. Milliseconds.
const PROMISED: u64 = 3_600_000;
/// Objects that are deleted at once.
const AT_ONCE: usize = 16;

/// A copy that is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) id: TransactionId,
    /// The copy's name.
    pub(crate) name: String,
}

impl Quarantine {
    /// Deletes a copy for good, and notes in the audit log who did so.
    ///
    /// # Errors
    /// There is none, or the store failed.
    pub async fn delete(&self, id: &str, who: &str) -> Result<(), QuarantineError> {
        let record = self.record(id).await?;
        match self.audit(who, "delete", id, "").await {
            Err(error) if self.objects().gives_room(&error) => {
                self.audit(who, "delete", id, "").await?;
            }
            other => other?,
        }
        self.remove(vec![Target::of(&record)?], Reason::Wanted)
            .await?;
        self.objects().take_room();
        Ok(())
    }

    /// Takes copies away, and what is known of them; those that are gone.
    pub(crate) async fn remove(
        &self,
        targets: Vec<Target>,
        reason: Reason,
    ) -> Result<Vec<Target>, QuarantineError> {
        let mut going = Vec::new();
        for target in targets {
            if self.begin(&target, reason).await? {
                self.waiting().forget(&target.id.to_string());
                going.push(target);
            }
        }
        self.end(&going).await?;
        Ok(going)
    }

    /// Ends deletions that broke off.
    pub(crate) async fn end_deletions(&self) -> Result<(), QuarantineError> {
        for id in self.going().await? {
            let going = names::going(id);
            let Some(noted) = self.objects().find(&going).await? else {
                continue;
            };
            let noted = String::from_utf8_lossy(&noted).into_owned();
            let (reason, name) = noted.split_once(' ').unwrap_or(("", ""));
            if reason == Reason::OverLimit.word() && self.is_promised(id).await? {
                self.delete_objects(vec![going]).await?;
                continue;
            }
            let name = name.to_owned();
            self.end(&[Target { id, name }]).await?;
        }
        Ok(())
    }

    /// Copies that are being deleted.
    pub(crate) async fn going(&self) -> Result<Vec<TransactionId>, QuarantineError> {
        let noted = self.objects().objects_in(&Path::from("going")).await?;
        let ids = noted.iter().filter_map(|path| path.filename());
        Ok(ids.filter_map(|id| names::identifier(id).ok()).collect())
    }

    /// Says that a copy is being deleted, where anybody could find it; whether it may be.
    async fn begin(&self, target: &Target, reason: Reason) -> Result<bool, QuarantineError> {
        if reason == Reason::OverLimit && !can_be_found(target) {
            return Ok(true);
        }
        let going = names::going(target.id);
        let noted = format!("{} {}", reason.word(), target.name).into_bytes();
        match self.objects().write(&going, noted.clone()).await {
            Err(error) if self.objects().gives_room(&error) => {
                self.objects().write(&going, noted).await?;
            }
            other => other?,
        }
        if reason == Reason::OverLimit && self.is_promised(target.id).await? {
            self.delete_objects(vec![going]).await?;
            return Ok(false);
        }
        Ok(true)
    }

    async fn end(&self, going: &[Target]) -> Result<(), QuarantineError> {
        // What was noted by hand, and badly, names none.
        let copies = going.iter().filter(|target| !target.name.is_empty());
        let copies = copies.map(|target| names::entry(&target.name));
        self.delete_objects(copies.collect()).await?;
        crate::stop::at("deleted");
        let known = going.iter().flat_map(|target| {
            let marks = Mark::ALL.map(|mark| names::mark(target.id, mark));
            marks.into_iter().chain([names::index(target.id)])
        });
        self.delete_objects(known.collect()).await?;
        let notes = going.iter().map(|target| names::going(target.id));
        self.delete_objects(notes.collect()).await
    }

    /// Whether the copy was promised to another transaction a short time ago.
    async fn is_promised(&self, id: TransactionId) -> Result<bool, QuarantineError> {
        let again = self.mark(id, Mark::Again).await?;
        let promised = again.as_deref().and_then(time);
        Ok(promised.is_some_and(|time| when::now().saturating_sub(time) < PROMISED))
    }

    /// Deletes objects for good.
    pub(crate) async fn delete_objects(&self, paths: Vec<Path>) -> Result<(), QuarantineError> {
        let deleted = stream::iter(paths.clone())
            .map(|path| async move { self.objects().delete(&path).await })
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        // What went is to be gone for good, also when something did not go.
        self.objects().sync(&paths).await?;
        deleted.into_iter().collect()
    }
}

impl Reason {
    fn word(self) -> &'static str {
        match self {
            Self::Wanted => "wanted",
            Self::OverLimit => "over-limit",
        }
    }
}

impl Target {
    pub(crate) fn of(record: &Record) -> Result<Self, QuarantineError> {
        Ok(Self {
            id: names::identifier(&record.id)?,
            name: record.hash.clone(),
        })
    }
}

/// Whether a message that comes now can find this copy. One half day more, for clocks that differ.
fn can_be_found(target: &Target) -> bool {
    when::milliseconds(target.id) / SPAN + 2 >= when::now() / SPAN
}
