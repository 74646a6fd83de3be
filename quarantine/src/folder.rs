//! A store that is a folder: how a copy becomes durable in it.
//!
//! Everything else is done by `object_store`. This is not: its folder makes a temporary file beside the other copies,
//! looks its metadata up, syncs every folder up to the root each time, and wants one hop to another thread for each
//! step. Here a copy is one hop and one file.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use millrace_proto::TransactionId;

use crate::draft::Draft;
use crate::stop;
use crate::together::Together;

/// The store's folder.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    /// Folders that this process knows to be durable.
    known: Mutex<Vec<Arc<Known>>>,
}

/// A folder that is there for good; what is in it is reached from here, and not from the root each time.
#[derive(Debug)]
struct Known {
    path: PathBuf,
    opened: File,
    /// How its names become durable.
    together: Together,
}

/// Where files are written before they have their name, if the file system wants one for them.
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
        let mut draft = self.draft(path)?;
        let named = write(draft.file(), parts).and_then(|()| {
            stop::at("synced");
            self.name(&draft, path)
        });
        stop::at("named");
        if !matches!(named, Ok((_, true))) {
            // What stays here when the process dies is swept.
            draft.discard()?;
        }
        let (folder, new) = named?;
        folder.sync()?;
        stop::at("durable");
        Ok(new)
    }

    /// Whether there is a file, whose name then is durable: whoever wrote it need not have come to that.
    pub(crate) fn holds(&self, below: &object_store::path::Path) -> io::Result<bool> {
        let file = self.path(below);
        let there = file.try_exists()?;
        if there {
            self.sync_folder_of(&file)?;
        }
        Ok(there)
    }

    /// Makes the name of a file durable.
    pub(crate) fn sync_folder_of(&self, path: &Path) -> io::Result<()> {
        match File::open(self.above(path)) {
            Ok(folder) => folder.sync_all(),
            // Nothing was ever in it.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
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

    /// A new file that is to get this name.
    fn draft(&self, path: &Path) -> io::Result<Draft> {
        let nowhere = self.within(self.above(path), |folder| Draft::nowhere(&folder.opened))?;
        match nowhere {
            (_, Some(draft)) => Ok(draft),
            (_, None) => {
                let beside = |folder: &Known| {
                    Draft::beside(&folder.opened, TransactionId::new().to_string())
                };
                Ok(self.within(&self.root.join(BESIDE), beside)?.1)
            }
        }
    }

    /// Gives the file its name, unless something has it; the folder, and whether nothing had.
    fn name(&self, draft: &Draft, path: &Path) -> io::Result<(Arc<Known>, bool)> {
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
        self.within(self.above(path), |folder| {
            match draft.name(&folder.opened, name.as_ref()) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    fn above<'p>(&'p self, path: &'p Path) -> &'p Path {
        path.parent().unwrap_or(&self.root)
    }

    /// Does something in a folder; in one made anew, where it was removed because it was empty.
    fn within<T>(
        &self,
        folder: &Path,
        what: impl Fn(&Known) -> io::Result<T>,
    ) -> io::Result<(Arc<Known>, T)> {
        let known = self.know(folder)?;
        match what(&known) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.forget(folder);
                let known = self.know(folder)?;
                let done = what(&known)?;
                Ok((known, done))
            }
            done => done.map(|done| (known, done)),
        }
    }

    /// Makes a folder, unless it is there, and makes it durable.
    fn know(&self, folder: &Path) -> io::Result<Arc<Known>> {
        if let Some(known) = self.known().iter().find(|one| one.path == folder) {
            return Ok(known.clone());
        }
        fs::create_dir_all(folder)?;
        // Also what another process has just made.
        for above in folder.ancestors().skip(1) {
            File::open(above)?.sync_all()?;
            if above == self.root {
                break;
            }
        }
        let new = Arc::new(Known {
            path: folder.to_owned(),
            opened: File::open(folder)?,
            together: Together::default(),
        });
        let mut known = self.known();
        if known.len() == KNOWN {
            known.remove(0);
        }
        known.push(new.clone());
        Ok(new)
    }

    fn forget(&self, folder: &Path) {
        self.known().retain(|one| one.path != folder);
    }

    fn known(&self) -> MutexGuard<'_, Vec<Arc<Known>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Makes its names durable, together with others who want the same.
    fn sync(&self) -> io::Result<()> {
        self.together.run(|| self.opened.sync_all())
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
