//! A store that is a folder: how a copy becomes durable in it.
//!
//! Everything else is done by `object_store`. This is not: its folder makes a temporary file beside the other copies,
//! looks its metadata up, syncs every folder up to the root each time, and wants one hop to another thread for each
//! step. Here a copy is one hop and one file.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use millrace_proto::TransactionId;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use crate::stop;
use crate::together::Together;

/// The store's folder.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    /// Folders that this process knows to be durable, and how their names become so.
    known: Mutex<Vec<(PathBuf, Arc<Together>)>>,
}

/// Where files are written before they have their name.
pub(crate) const BESIDE: &str = "new";
/// A file there that is in nobody's way, and can go.
const ROOM: &str = "room";
/// Enough for a lease, some notes and a line of the audit log. Bytes.
const ROOM_SIZE: usize = 64 << 10;
/// Folders that are remembered: copies come into one or two at a time.
const KNOWN: usize = 16;
/// Up to this size head and content are written at once.
const AT_ONCE: usize = 64 << 10;

impl Folder {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self {
            root,
            known: Mutex::default(),
        }
    }

    pub(crate) fn path(&self, below: &object_store::path::Path) -> PathBuf {
        self.root.join(below.as_ref())
    }

    /// Writes a file that is not there yet; whether it was not. When this returns, file and name are durable.
    ///
    /// The bytes are durable before there is a name, so that whoever sees the name sees all of them.
    pub(crate) fn create(&self, path: &Path, parts: &[Bytes]) -> io::Result<bool> {
        stop::at("begun");
        let beside = self
            .root
            .join(BESIDE)
            .join(TransactionId::new().to_string());
        let mut file = self.open_beside(&beside)?;
        let named = write(&mut file, parts).and_then(|()| {
            stop::at("synced");
            self.name(&beside, path)
        });
        stop::at("named");
        if !matches!(named, Ok(true)) {
            // What stays here when the process dies is swept.
            fs::remove_file(&beside)?;
        }
        let new = named?;
        self.sync_names_of(path)?;
        stop::at("durable");
        Ok(new)
    }

    /// Makes the name of a file durable.
    pub(crate) fn sync_folder_of(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.root);
        match File::open(folder) {
            Ok(folder) => folder.sync_all(),
            // Nothing was ever in it.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// As [`Self::sync_folder_of`], together with others who want the same.
    fn sync_names_of(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.root);
        match self.known(folder) {
            Some(together) => together.sync(folder),
            None => self.sync_folder_of(path),
        }
    }

    /// Files that were never named, because their process died: those not touched for as long go.
    pub(crate) fn sweep_beside(&self, untouched: std::time::Duration) -> io::Result<u64> {
        let mut gone = 0;
        for file in fs::read_dir(self.root.join(BESIDE))? {
            let file = file?;
            if file.file_name() == ROOM {
                continue;
            }
            let touched = file.metadata()?.modified()?;
            if touched.elapsed().is_ok_and(|age| age > untouched) {
                fs::remove_file(file.path())?;
                gone += 1;
            }
        }
        Ok(gone)
    }

    /// Keeps some room on the disk: without it nothing could be deleted from a full one, since a deletion is noted
    /// first.
    pub(crate) fn take_room(&self) {
        let room = self.root.join(BESIDE).join(ROOM);
        if room.exists() || fs::create_dir_all(self.root.join(BESIDE)).is_err() {
            return;
        }
        if fs::write(&room, [b' '; ROOM_SIZE]).is_err() {
            let _ = fs::remove_file(&room);
        }
    }

    /// Gives the room up; whether there was any.
    pub(crate) fn give_room(&self) -> bool {
        fs::remove_file(self.root.join(BESIDE).join(ROOM)).is_ok()
    }

    /// Removes the empty folders in a folder, and the folder. One that is not empty stays.
    pub(crate) fn prune(&self, below: &object_store::path::Path, depth: u32) {
        let folder = self.path(below);
        self.forget(&folder);
        prune(&folder, depth);
    }

    fn open_beside(&self, beside: &Path) -> io::Result<File> {
        match File::create_new(beside) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(self.root.join(BESIDE))?;
                File::create_new(beside)
            }
            other => other,
        }
    }

    /// Gives the file its name, unless something has it; whether nothing had. The file stays where it was then.
    fn name(&self, beside: &Path, path: &Path) -> io::Result<bool> {
        let folder = path.parent().unwrap_or(&self.root);
        self.know(folder)?;
        let named = match rename_new(beside, path) {
            // It was empty, and removed as such.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.forget(folder);
                self.know(folder)?;
                rename_new(beside, path)
            }
            other => other,
        };
        match named {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes a folder, unless it is there, and makes it durable.
    fn know(&self, folder: &Path) -> io::Result<()> {
        if self.known(folder).is_some() {
            return Ok(());
        }
        fs::create_dir_all(folder)?;
        // Also what another process has just made.
        for above in folder.ancestors().skip(1) {
            File::open(above)?.sync_all()?;
            if above == self.root {
                break;
            }
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() == KNOWN {
            known.remove(0);
        }
        known.push((folder.to_owned(), Arc::default()));
        Ok(())
    }

    fn known(&self, folder: &Path) -> Option<Arc<Together>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().find(|(one, _)| one == folder);
        found.map(|(_, together)| Arc::clone(together))
    }

    fn forget(&self, folder: &Path) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(one, _)| one != folder);
    }
}

/// Renames a file, and never over another one.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let once = renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE);
    match once {
        // Not every file system can (NFS cannot): a second name is made, and the first one goes.
        Err(Errno::EINVAL | Errno::ENOSYS) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        other => Ok(other?),
    }
}

fn write(file: &mut File, parts: &[Bytes]) -> io::Result<()> {
    if parts.iter().map(Bytes::len).sum::<usize>() <= AT_ONCE {
        file.write_all(&parts.concat())?;
    } else {
        for part in parts {
            file.write_all(part)?;
        }
    }
    stop::at("written");
    file.sync_all()
}

fn prune(folder: &Path, depth: u32) {
    let inner = fs::read_dir(folder).into_iter().flatten().flatten();
    if depth > 0 {
        for inner in inner {
            prune(&inner.path(), depth - 1);
        }
    }
    // Fails for what is not empty, as is meant.
    let _ = fs::remove_dir(folder);
}
