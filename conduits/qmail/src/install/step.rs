//! One step, which is done whole or can be done again.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::running::wait_for_conduits;
use super::survey::named;

/// What is done to the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A folder that only root can enter.
    Folder(PathBuf),
    /// A second name for a file, in place of what has that name.
    Link { from: PathBuf, to: PathBuf },
    /// A copy of a file, in place of what has that name.
    Copy {
        from: PathBuf,
        to: PathBuf,
        owner: u32,
        group: u32,
        mode: u32,
    },
    /// A file's group and mode.
    Permit {
        path: PathBuf,
        group: u32,
        mode: u32,
        /// An empty one where there is none.
        create: bool,
    },
    /// Until the calls under way have ended that still need what is removed next.
    Wait {
        live: PathBuf,
        original: (u64, u64),
        patience: Duration,
    },
    /// Takes away a file of ours.
    Remove(PathBuf),
    /// Takes away the folder.
    RemoveFolder(PathBuf),
}

impl Step {
    /// Does it; what it did is on the disk then.
    pub(super) fn run(&self) -> io::Result<()> {
        let (result, path) = match self {
            Self::Folder(path) => (make_folder(path), path),
            Self::Link { from, to } => (link(from, to), to),
            Self::Copy {
                from,
                to,
                owner,
                group,
                mode,
            } => (copy(from, to, (*owner, *group, *mode)), to),
            Self::Permit {
                path,
                group,
                mode,
                create,
            } => (permit(path, *group, *mode, *create), path),
            Self::Wait {
                live,
                original,
                patience,
            } => (wait_for_conduits(live, *original, *patience), live),
            Self::Remove(path) => (fs::remove_file(path), path),
            Self::RemoveFolder(path) => (fs::remove_dir(path), path),
        };
        result
            .and_then(|()| sync_folder_of(path))
            .map_err(|error| named(path, &error))
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made?,
    }
    chown(path, Some(0), Some(0))?;
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// Where the new file waits for its rename.
pub(super) fn temporary(to: &Path) -> PathBuf {
    let name = match to.parent().and_then(Path::file_name) {
        // Inside the folder, whose own name says what it is.
        Some(folder) if folder == "qmail-queue.saved" => return to.with_file_name("new"),
        _ => to.file_name().unwrap_or_default(),
    };
    let mut name = name.to_owned();
    name.push(".new");
    to.with_file_name(name)
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    let new = temporary(to);
    remove_if_there(&new)?;
    fs::hard_link(from, &new)?;
    fs::rename(&new, to)?;
    // Renaming one of two names of a file to the other does nothing.
    remove_if_there(&new)
}

fn copy(from: &Path, to: &Path, (owner, group, mode): (u32, u32, u32)) -> io::Result<()> {
    let new = temporary(to);
    // It may be a second name of the original: it is taken away, never written to.
    remove_if_there(&new)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    io::copy(&mut File::open(from)?, &mut file)?;
    // In this order: a change of the owner takes the setuid bit.
    fchown(&file, Some(owner), Some(group))?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, to)
}

fn permit(path: &Path, group: u32, mode: u32, create: bool) -> io::Result<()> {
    let file = OpenOptions::new()
        .append(true)
        .create(create)
        .mode(0o600)
        .open(path)?;
    fchown(&file, None, Some(group))?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "make the folder {}, for root alone", path.display()),
            Self::Link { from, to } => {
                write!(
                    f,
                    "link {} as {}, in one step",
                    from.display(),
                    to.display()
                )
            }
            Self::Copy {
                from,
                to,
                owner,
                group,
                mode,
            } => write!(
                f,
                "copy {} to {}, owner {owner}, group {group}, mode {mode:04o}, in one step",
                from.display(),
                to.display()
            ),
            Self::Permit {
                path, group, mode, ..
            } => {
                write!(
                    f,
                    "give {} group {group} and mode {mode:04o}",
                    path.display()
                )
            }
            Self::Wait { .. } => f.write_str("wait until no call of the conduit is under way"),
            Self::Remove(path) => write!(f, "remove {}", path.display()),
            Self::RemoveFolder(path) => write!(f, "remove the folder {}", path.display()),
        }
    }
}
