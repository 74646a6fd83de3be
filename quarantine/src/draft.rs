//! A file that is being written, and what it takes to give it its name: never over another file.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};

/// What files are made with, less the process's mask.
const MODE: Mode = Mode::from_bits_truncate(0o666);

/// Where a process's open files have names (`proc_pid_fd(5)`).
const DESCRIPTORS: &str = "/proc/self/fd";

/// A file without its name.
#[derive(Debug)]
pub(crate) struct Draft {
    file: File,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// It has no name anywhere (`O_TMPFILE`): when its process dies, it is gone.
    Nowhere,
    /// In a folder of such files, for file systems that want a name from the beginning.
    Beside { folder: File, name: String },
}

impl Draft {
    /// A file on the file system of this folder; `None` where that makes none without a name, or there is no /proc to
    /// give it one through.
    pub(crate) fn nowhere(folder: &File) -> io::Result<Option<Self>> {
        static PROC: OnceLock<bool> = OnceLock::new();
        if !PROC.get_or_init(|| Path::new(DESCRIPTORS).is_dir()) {
            return Ok(None);
        }
        let flags = OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        match openat(folder, ".", flags, MODE) {
            Ok(file) => Ok(Some(Self {
                file: file.into(),
                place: Place::Nowhere,
            })),
            // The latter two from kernels that do not know the flag.
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A file in this folder, by a name that nothing there has.
    pub(crate) fn beside(folder: &File, name: String) -> io::Result<Self> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = openat(folder, name.as_str(), flags, MODE)?;
        Ok(Self {
            file: file.into(),
            place: Place::Beside {
                folder: folder.try_clone()?,
                name,
            },
        })
    }

    /// To write to.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives it a name in a folder. After an error, as when something has that name, it can have another.
    pub(crate) fn name(&self, folder: &File, new: &Path) -> io::Result<()> {
        let Place::Beside { folder: from, name } = &self.place else {
            let own = format!("{DESCRIPTORS}/{}", self.file.as_raw_fd());
            let follow = AtFlags::AT_SYMLINK_FOLLOW;
            return Ok(linkat(AT_FDCWD, own.as_str(), folder, new, follow)?);
        };
        let name = name.as_str();
        match renameat2(from, name, folder, new, RenameFlags::RENAME_NOREPLACE) {
            // Not every file system can (NFS cannot): a second name is made, and the first one goes.
            Err(Errno::EINVAL | Errno::ENOSYS) => {
                linkat(from, name, folder, new, AtFlags::empty())?;
                Ok(unlinkat(from, name, UnlinkatFlags::NoRemoveDir)?)
            }
            other => Ok(other?),
        }
    }

    /// Takes away one that was not given a name.
    pub(crate) fn discard(self) -> io::Result<()> {
        match self.place {
            Place::Nowhere => Ok(()),
            Place::Beside { folder, name } => Ok(unlinkat(
                &folder,
                name.as_str(),
                UnlinkatFlags::NoRemoveDir,
            )?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{ErrorKind, Write};

    use super::*;

    /// Each kind of draft in a folder, and the folder.
    fn drafts() -> Vec<(tempfile::TempDir, File, Draft)> {
        let nowhere = |folder: &File| Draft::nowhere(folder).unwrap();
        let beside = |folder: &File| Draft::beside(folder, "draft".to_owned()).ok();
        let made = [true, false].into_iter().filter_map(|named| {
            let place = tempfile::tempdir().unwrap();
            let folder = File::open(place.path()).unwrap();
            let draft = if named {
                beside(&folder)
            } else {
                nowhere(&folder)
            };
            Some((place, folder, draft?))
        });
        made.collect()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_draft_has_its_name_alone() {
        for (place, folder, mut draft) in drafts() {
            draft.file().write_all(b"all of it").unwrap();
            draft.name(&folder, "name".as_ref()).unwrap();
            assert_eq!(names(place.path()), ["name"], "{draft:?}");
            assert_eq!(fs::read(place.path().join("name")).unwrap(), b"all of it");
        }
    }

    #[test]
    fn what_has_the_name_stays_and_the_draft_can_go() {
        for (place, folder, mut draft) in drafts() {
            fs::write(place.path().join("name"), "first").unwrap();
            draft.file().write_all(b"second").unwrap();
            let error = draft.name(&folder, "name".as_ref()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{draft:?}");
            draft.discard().unwrap();
            assert_eq!(names(place.path()), ["name"]);
            assert_eq!(fs::read(place.path().join("name")).unwrap(), b"first");
        }
    }

    #[test]
    fn a_folder_that_is_gone_is_told_and_another_takes_it() {
        for (place, _, mut draft) in drafts() {
            draft.file().write_all(b"x").unwrap();
            let gone = place.path().join("gone");
            fs::create_dir(&gone).unwrap();
            let opened = File::open(&gone).unwrap();
            fs::remove_dir(&gone).unwrap();
            let error = draft.name(&opened, "name".as_ref()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{draft:?}");
            fs::create_dir(&gone).unwrap();
            let again = File::open(&gone).unwrap();
            draft.name(&again, "name".as_ref()).unwrap();
            assert_eq!(names(&gone), ["name"]);
        }
    }
}
