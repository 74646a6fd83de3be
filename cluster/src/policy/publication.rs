//! What is said of a published policy, and of one that is tried.

use std::time::SystemTime;

use millrace_proto::Revision;
use serde::{Deserialize, Serialize};

/// A revision that was put in force: who did it, when, and in place of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Counts from 1, without gaps.
    pub number: u64,
    /// The revision.
    pub revision: String,
    /// The revision that was in force before.
    #[serde(default)]
    pub parent: Option<String>,
    /// Who published it: `user@host`.
    #[serde(default)]
    pub by: String,
    /// When. RFC 3339, UTC.
    #[serde(default)]
    pub at: String,
    /// What it is for.
    #[serde(default)]
    pub comment: String,
    /// The version of Millrace that compiled it.
    #[serde(default)]
    pub version: String,
    /// Files that it consists of.
    #[serde(default)]
    pub files: u64,
    /// All their bytes.
    #[serde(default)]
    pub bytes: u64,
    /// Which act of publishing this was: tells a swap of one's own from another's.
    #[serde(default)]
    pub(crate) id: String,
}

/// A candidate that judges beside the policy in force, and decides nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its revision.
    pub revision: String,
    /// The share of messages that it judges too, from 0 to 1.
    pub share: f64,
    /// Who began it: `user@host`.
    #[serde(default)]
    pub by: String,
    /// When. RFC 3339, UTC.
    #[serde(default)]
    pub at: String,
}

impl Publication {
    /// The revision, where it is one.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        Revision::new(&self.revision)
    }
}

impl Trial {
    /// The revision, where it is one.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        Revision::new(&self.revision)
    }
}

/// The time now, as it stands in a publication.
pub(super) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}
