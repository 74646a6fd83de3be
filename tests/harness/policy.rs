//! A policy folder that a test writes.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

/// A folder with a `policy.toml`; removed when dropped.
#[derive(Debug)]
pub struct PolicyFolder {
    folder: TempDir,
}

impl PolicyFolder {
    /// Makes a folder whose `policy.toml` has this text.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn of(text: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("policy-")
            .tempdir()
            .expect("a temp folder can be made");
        let made = Self { folder };
        made.replace(text);
        made
    }

    /// Puts another `policy.toml` in place, whole, as an editor or a deployment does.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn replace(&self, text: &str) {
        let new = self.path().join(".policy.toml.new");
        fs::write(&new, text).expect("the temp folder is ours");
        fs::rename(new, self.path().join("policy.toml")).expect("the temp folder is ours");
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}
