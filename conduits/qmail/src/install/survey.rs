//! What is there: the files that an installation is made of, as they are now.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::queue::GUARD;

/// A qmail home, and what is in it that concerns us.
#[derive(Debug, Clone)]
pub(super) struct Survey {
    pub(super) home: PathBuf,
    /// `bin/qmail-queue`, which callers execute.
    pub(super) live: Seen,
    /// `bin/qmail-queue.orig`: what the conduit executes.
    pub(super) orig: Seen,
    /// The original, under its second name.
    pub(super) saved: Seen,
    /// The folder of that name.
    pub(super) saved_folder: Seen,
    /// What an interrupted run left behind.
    pub(super) leftovers: Vec<PathBuf>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    pub(super) inode: (u64, u64),
    pub(super) owner: u32,
    pub(super) group: u32,
    /// The permission bits, with setuid and setgid.
    pub(super) mode: u32,
    pub(super) size: u64,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Nothing,
    /// millrace-qmail-queue.
    Conduit,
    /// A program, which is not ours.
    Program,
    Folder,
    /// A symbolic link, a device.
    Other,
}

/// How far an installation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// There is nothing of ours.
    Absent,
    /// All is as it is to be.
    Installed,
    /// Begun and not ended, or changed since: installing again, or uninstalling, mends it.
    Incomplete,
}

/// The conduit: root's, with its own group's rights, not readable.
pub(super) const CONDUIT_MODE: u32 = 0o2711;
/// The copy of the original: for the conduit's group alone.
pub(super) const ORIG_MODE: u32 = 0o4710;

impl Survey {
    /// Looks at a qmail home.
    pub(super) fn new(home: &Path) -> io::Result<Self> {
        let bin = home.join("bin");
        let leftovers = [
            "qmail-queue.new",
            "qmail-queue.orig.new",
            "qmail-queue.saved/new",
        ];
        Ok(Self {
            home: home.to_owned(),
            live: Seen::look(bin.join("qmail-queue"))?,
            orig: Seen::look(bin.join("qmail-queue.orig"))?,
            saved: Seen::look(bin.join("qmail-queue.saved/qmail-queue"))?,
            saved_folder: Seen::look(bin.join("qmail-queue.saved"))?,
            leftovers: leftovers
                .into_iter()
                .map(|name| bin.join(name))
                .filter(|path| path.symlink_metadata().is_ok())
                .collect(),
        })
    }

    /// How far the installation is.
    pub(super) fn state(&self) -> State {
        let parts = [&self.orig, &self.saved, &self.saved_folder];
        let nothing = parts.iter().all(|part| part.kind == Kind::Nothing);
        if self.live.kind != Kind::Conduit && nothing && self.leftovers.is_empty() {
            return State::Absent;
        }
        let conduit = self.live.kind == Kind::Conduit
            && (self.live.owner, self.live.mode) == (0, CONDUIT_MODE);
        let orig = self.orig.kind == Kind::Program
            && (self.orig.owner, self.orig.mode) == (self.saved.owner, ORIG_MODE)
            && self.orig.group == self.live.group
            && self.orig.same_content(&self.saved);
        let saved = self.saved.kind == Kind::Program
            && (self.saved_folder.owner, self.saved_folder.mode) == (0, 0o700);
        if conduit && orig && saved && self.leftovers.is_empty() {
            State::Installed
        } else {
            State::Incomplete
        }
    }

    /// The original, wherever it is now: in place, saved, or where a hand put it.
    pub(super) fn original(&self) -> Option<&Seen> {
        [&self.live, &self.saved, &self.orig]
            .into_iter()
            .find(|seen| seen.kind == Kind::Program && seen.mode & 0o4000 != 0)
            // The copy alone tells neither the original's inode nor its group.
            .filter(|seen| seen.path != self.orig.path || seen.mode != ORIG_MODE)
    }
}

impl Seen {
    /// Looks at a file, without following a link.
    pub(super) fn look(path: PathBuf) -> io::Result<Self> {
        let metadata = match path.symlink_metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self {
                    path,
                    kind: Kind::Nothing,
                    inode: (0, 0),
                    owner: 0,
                    group: 0,
                    mode: 0,
                    size: 0,
                });
            }
            Err(error) => return Err(named(&path, &error)),
        };
        let kind = if metadata.is_dir() {
            Kind::Folder
        } else if !metadata.is_file() {
            Kind::Other
        } else if is_conduit(&path).map_err(|error| named(&path, &error))? {
            Kind::Conduit
        } else {
            Kind::Program
        };
        Ok(Self {
            path,
            kind,
            inode: (metadata.dev(), metadata.ino()),
            owner: metadata.uid(),
            group: metadata.gid(),
            mode: metadata.mode() & 0o7777,
            size: metadata.len(),
        })
    }

    pub(super) fn same_content(&self, other: &Self) -> bool {
        let content = |seen: &Self| fs::read(&seen.path).ok();
        self.size == other.size && content(self).is_some() && content(self) == content(other)
    }
}

/// Whether a program is the conduit: it has the name of its guard in it. So has this program, with its own name beside.
fn is_conduit(path: &Path) -> io::Result<bool> {
    let bytes = fs::read(path)?;
    let has = |text: &str| memchr::memmem::find(&bytes, text.as_bytes()).is_some();
    Ok(has(GUARD) && !has(super::command::PROGRAM))
}

pub(super) fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
