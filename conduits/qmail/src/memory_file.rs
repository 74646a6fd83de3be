//! Files in memory: what was read is in no heap, survives the exec, and cannot be changed by anybody once it is sealed.

use std::fs::File;
use std::io::{self, Seek, Write};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// A file in memory (`memfd_create(2)`), closed on exec; not counted by the limits that qmail's callers run under.
#[derive(Debug)]
pub struct MemoryFile(pub(crate) File);

impl MemoryFile {
    /// An empty one.
    ///
    /// # Errors
    /// There are no more descriptors, or no memory.
    pub fn new(name: &str) -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        Ok(Self(memfd_create(name, flags)?.into()))
    }

    /// One with this content.
    ///
    /// # Errors
    /// As [`MemoryFile::new`].
    pub fn with(name: &str, bytes: &[u8]) -> io::Result<Self> {
        let mut file = Self::new(name)?;
        file.0.write_all(bytes)?;
        Ok(file)
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.0
    }

    /// The file, to write to.
    pub fn file_mut(&mut self) -> &mut File {
        &mut self.0
    }

    /// Goes back to its beginning, and makes it impossible to change.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn seal(&mut self) -> io::Result<()> {
        self.0.rewind()?;
        let seals = SealFlag::F_SEAL_SHRINK
            | SealFlag::F_SEAL_GROW
            | SealFlag::F_SEAL_WRITE
            | SealFlag::F_SEAL_SEAL;
        fcntl(&self.0, FcntlArg::F_ADD_SEALS(seals))?;
        Ok(())
    }
}
