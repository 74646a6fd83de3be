//! The files below what was named.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Files, in the order of their names; of a Maildir those that are messages.
#[derive(Debug)]
pub(super) struct Walk {
    /// What is still to be looked at, the next one last.
    pending: Vec<PathBuf>,
    /// How many of them were named by the user, who means what he says: they are taken even when hidden.
    named: usize,
}

impl Walk {
    pub(super) fn new(paths: &[PathBuf]) -> Self {
        Self {
            pending: paths.iter().rev().cloned().collect(),
            named: paths.len(),
        }
    }

    /// Puts a folder's entries before what is pending.
    fn enter(&mut self, folder: &Path) -> io::Result<()> {
        let mut entries = fs::read_dir(folder)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()?;
        let named = |entries: &[PathBuf], name: &str| {
            entries
                .iter()
                .any(|entry| entry.file_name() == Some(OsStr::new(name)))
        };
        if named(&entries, "cur") && named(&entries, "new") && named(&entries, "tmp") {
            // A Maildir: messages are in these two, further Maildirs have names with a dot.
            entries.retain(|entry| {
                let name = entry.file_name().unwrap_or_default();
                name == "cur" || name == "new" || (is_hidden(entry) && entry.is_dir())
            });
        } else {
            entries.retain(|entry| !is_hidden(entry));
        }
        entries.sort_unstable_by(|a, b| b.cmp(a));
        self.pending.extend(entries);
        Ok(())
    }
}

impl Iterator for Walk {
    type Item = Result<PathBuf, (PathBuf, io::Error)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let path = self.pending.pop()?;
            let by_user = self.pending.len() < self.named;
            self.named = self.named.min(self.pending.len());
            if super::is_stdin(&path) && by_user {
                return Some(Ok(path));
            }
            // Links to files are followed; a link to a folder only when the user named it: it could lead back here.
            let kind = match path.metadata() {
                Ok(kind) => kind,
                Err(error) => return Some(Err((path, error))),
            };
            if !kind.is_dir() {
                // No fifo or device by accident: reading one may never end.
                if kind.is_file() || by_user {
                    return Some(Ok(path));
                }
                continue;
            }
            if !by_user && path.is_symlink() {
                continue;
            }
            if let Err(error) = self.enter(&path) {
                return Some(Err((path, error)));
            }
        }
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_bytes().starts_with(b"."))
}
