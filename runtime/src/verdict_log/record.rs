//! A verdict line read back.

use serde::{Serialize, Serializer};

use crate::escape::printable;

/// A [`VerdictLine`](super::VerdictLine) as it was read from a log, with its time.
///
/// Bytes are what was logged, no longer escaped: show them with [`crate::printable`]. Serialised they
/// are printable text. A field that the line lacks (an older version wrote it) is empty or zero.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(
    missing_docs,
    reason = "each field is described in the table of the module"
)]
pub struct VerdictRecord {
    /// When the line was written, as RFC 3339 in UTC.
    pub timestamp: String,
    #[serde(serialize_with = "text")]
    pub queue_id: Vec<u8>,
    pub transaction_id: String,
    pub client: String,
    pub direction: String,
    pub conduit: String,
    pub stage: String,
    #[serde(serialize_with = "text")]
    pub peer: Vec<u8>,
    #[serde(serialize_with = "text")]
    pub helo: Vec<u8>,
    #[serde(serialize_with = "text")]
    pub sender: Vec<u8>,
    #[serde(serialize_with = "texts")]
    pub recipients: Vec<Vec<u8>>,
    pub recipients_total: u64,
    pub size: u64,
    pub revision: String,
    pub disposition: String,
    pub kept: bool,
    #[serde(serialize_with = "text")]
    pub reply: Vec<u8>,
    pub score: f64,
    pub threshold: f64,
    pub symbols: Vec<Finding>,
    pub degradations: Vec<String>,
    pub unscanned: Vec<Unscanned>,
    pub node: String,
    pub duration_us: u64,
    pub outcome: String,
}

/// A finding of a [`VerdictRecord`].
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Finding {
    /// The symbol's name.
    pub name: String,
    /// Points that it gave.
    pub score: f64,
    /// What was found.
    #[serde(serialize_with = "text")]
    pub detail: Vec<u8>,
    /// The policy's `file:line`.
    pub source: String,
}

/// A check that was not done, of a [`VerdictRecord`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Unscanned {
    /// The check.
    pub check: String,
    /// Why it was not done.
    pub reason: String,
}

fn text<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&printable(bytes))
}

fn texts<S: Serializer>(list: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|bytes| printable(bytes)))
}
