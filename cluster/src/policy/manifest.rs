//! What a revision consists of: names and hashes of its files. The revision is the hash of this list.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::{Component, Path};
use std::sync::Arc;

use millrace_proto::Revision;
use sha2::{Digest, Sha256};

/// The files of a policy: their names below its folder, and what they hold.
pub type PolicyFiles = BTreeMap<String, Arc<str>>;

/// Names and hashes of a revision's files, one `NAME HASH` a line, in order of the names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest(BTreeMap<String, String>);

/// A text that is no manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no manifest of a policy: {0}")]
pub struct ManifestError(String);

impl Manifest {
    /// The manifest of these files.
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(
            files
                .into_iter()
                .map(|(name, text)| (name.to_owned(), hash(text.as_bytes())))
                .collect(),
        )
    }

    /// Reads a manifest that came from elsewhere.
    ///
    /// # Errors
    /// A line is none, or names what is not below a folder.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let mut files = BTreeMap::new();
        for line in text.lines() {
            let known = line
                .rsplit_once(' ')
                .filter(|(name, hash)| is_name(name) && is_hash(hash));
            let Some((name, hash)) = known else {
                return Err(ManifestError(format!("'{}'", line.escape_debug())));
            };
            files.insert(name.to_owned(), hash.to_owned());
        }
        Ok(Self(files))
    }

    /// The revision: the hash of the manifest.
    #[must_use]
    pub fn revision(&self) -> Revision {
        Revision::new(&hash(self.to_string().as_bytes())).expect("a hash is hexadecimal")
    }

    /// Names and hashes.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, hash)| (name.as_str(), hash.as_str()))
    }

    /// The first name that cannot be published.
    pub(crate) fn unfit(&self) -> Option<&str> {
        self.0
            .keys()
            .map(String::as_str)
            .find(|name| !is_name(name))
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(name, hash)| writeln!(f, "{name} {hash}"))
    }
}

/// A content's hash: SHA-256, in hexadecimal.
#[must_use]
pub fn hash(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

pub(super) fn is_hash(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a name stays below a folder, on one line.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.chars().any(char::is_control)
        && Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_is_written() {
        let manifest = Manifest::of([("policy.toml", "a"), ("lists/with space.txt", "b")]);
        assert_eq!(Manifest::parse(&manifest.to_string()).unwrap(), manifest);
        assert_eq!(
            manifest.revision().as_str(),
            hash(manifest.to_string().as_bytes())
        );
    }

    #[test]
    fn what_leads_out_of_the_folder_is_no_manifest() {
        let some = hash(b"");
        for name in ["../x", "/etc/passwd", "a/../b", "", "a\tb"] {
            assert!(
                Manifest::parse(&format!("{name} {some}\n")).is_err(),
                "{name}"
            );
        }
        for text in ["policy.toml", "policy.toml abc", "policy.toml \n"] {
            assert!(Manifest::parse(text).is_err(), "{text}");
        }
    }
}
