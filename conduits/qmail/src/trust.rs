//! Whose configuration the program's rights are lent to.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{getegid, getgid};

use crate::config::FILE;

/// Installed, the program has its group's rights: it alone can execute the real qmail-queue, and read the key. With a
/// second name for it in a folder of one's own it would find one's own file, and lend these rights to it.
///
/// # Errors
/// The file is not root's.
pub(crate) fn lent(home: &Path) -> Result<(), String> {
    if getegid() == getgid() {
        return Ok(());
    }
    let file = home.join(FILE);
    match fs::metadata(&file) {
        Ok(metadata) if metadata.uid() == 0 => Ok(()),
        Ok(metadata) => Err(format!(
            "{} belongs to user {}: it must be root's",
            file.display(),
            metadata.uid()
        )),
        Err(error) => Err(format!("cannot read {}: {error}", file.display())),
    }
}
