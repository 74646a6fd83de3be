//! How publications are told, and what a folder remembers of its own.

use std::io;
use std::path::Path;

use millrace_cluster::policy::Publication;
use millrace_proto::Revision;
use millrace_runtime::printable;
use serde_json::{Value, json};

/// A file beside `policy.toml`: the published revision that the folder's content was made from.
const MARK: &str = ".published";

/// The published revision that a folder was made from, where that is known.
pub(super) fn base_of(folder: &Path) -> Option<Revision> {
    let text = std::fs::read_to_string(folder.join(MARK)).ok()?;
    Revision::new(text.trim())
}

/// Notes that the folder's content is this publication's.
pub(super) fn mark(folder: &Path, revision: &str) -> io::Result<()> {
    std::fs::write(folder.join(MARK), format!("{revision}\n"))
}

/// The first 12 characters of a revision.
pub(super) fn short(revision: &str) -> &str {
    revision.get(..12).unwrap_or(revision)
}

/// A publication for programs.
pub(super) fn as_json(publication: &Publication) -> Value {
    json!({
        "number": publication.number,
        "revision": publication.revision,
        "parent": publication.parent,
        "by": publication.by,
        "at": publication.at,
        "comment": publication.comment,
        "version": publication.version,
        "files": publication.files,
        "bytes": publication.bytes,
    })
}

/// A publication on one line.
pub(super) fn line(publication: &Publication) -> String {
    let mut line = format!(
        "#{:<4} {}  {}  {}",
        publication.number,
        short(&publication.revision),
        publication.at,
        printable(publication.by.as_bytes()),
    );
    if !publication.comment.is_empty() {
        line.push_str("  ");
        line.push_str(&printable(publication.comment.as_bytes()));
    }
    line
}

/// Bytes as people read them.
pub(super) fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
