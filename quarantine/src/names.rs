//! What objects are called.

use std::str::FromStr as _;

use millrace_proto::TransactionId;
use object_store::path::Path;

use crate::error::QuarantineError;
use crate::when;

/// A message that comes again finds the copy of this span of time and of the one before; later it is kept anew, so
/// that no copy is found again which is about to expire. Milliseconds.
pub(crate) const SPAN: u64 = 12 * 3_600_000;

/// What became known of a copy after its index record was written: each is an object of its own beside the record,
/// so that nothing is ever read, changed and written back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A later transaction was promised this copy; when.
    Again,
    /// It was sent on; when.
    Released,
    /// What was done with the message.
    Settled,
}

impl Mark {
    pub(crate) const ALL: [Self; 3] = [Self::Again, Self::Released, Self::Settled];

    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Again => "again",
            Self::Released => "released",
            Self::Settled => "settled",
        }
    }
}

/// A copy's name: the half day that it was first kept in, `YYYYMMDDHH`, and its hash.
pub(crate) fn copy(hash: &str, span: u64) -> String {
    format!("{}/{hash}", when::hour(span * SPAN))
}

/// Where a copy of this name is.
pub(crate) fn entry(name: &str) -> Path {
    Path::from(format!("entries/{name}"))
}

/// Where the copies of a half day are.
pub(crate) fn entries(span: u64) -> Path {
    Path::from(format!("entries/{}", when::hour(span * SPAN)))
}

/// The name of a copy that is there.
pub(crate) fn name_of(entry: &Path) -> &str {
    entry
        .as_ref()
        .strip_prefix("entries/")
        .unwrap_or(entry.as_ref())
}

/// Where the index record of a transaction is.
pub(crate) fn index(id: TransactionId) -> Path {
    let minute = when::minute(when::milliseconds(id));
    Path::from(format!("index/{minute}/{id}"))
}

/// Where a mark beside the record is.
pub(crate) fn mark(id: TransactionId, mark: Mark) -> Path {
    Path::from(format!("{}.{}", index(id), mark.suffix()))
}

/// Where it stands that a copy is being deleted.
pub(crate) fn going(id: TransactionId) -> Path {
    Path::from(format!("going/{id}"))
}

/// An object of the index by its file name: the identifier, and the mark when it is no record.
pub(crate) fn indexed(file: &str) -> Option<(TransactionId, Option<Mark>)> {
    let (id, suffix) = match file.split_once('.') {
        Some((id, suffix)) => (id, Some(suffix)),
        None => (file, None),
    };
    let mark = match suffix {
        Some(suffix) => Some(Mark::ALL.into_iter().find(|one| one.suffix() == suffix)?),
        None => None,
    };
    Some((identifier(id).ok()?, mark))
}

/// Where a later transaction finds the first one's identifier.
pub(crate) fn alias(id: TransactionId) -> Path {
    let day = when::day(when::milliseconds(id));
    Path::from(format!("alias/{day}/{id}"))
}

pub(crate) fn identifier(text: &str) -> Result<TransactionId, QuarantineError> {
    uuid::Uuid::from_str(text)
        .map(|id| TransactionId::from_bytes(id.into_bytes()))
        .map_err(|_| QuarantineError::Unknown(text.to_owned()))
}
