//! The policy that is built in.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Its files, by their place in the folder.
const FILES: &[(&str, &str)] = &[
    ("policy.toml", include_str!("../../policy/policy.toml")),
    (
        "rules/attachments.toml",
        include_str!("../../policy/rules/attachments.toml"),
    ),
    (
        "rules/content.toml",
        include_str!("../../policy/rules/content.toml"),
    ),
    (
        "rules/headers.toml",
        include_str!("../../policy/rules/headers.toml"),
    ),
    (
        "rules/mime.toml",
        include_str!("../../policy/rules/mime.toml"),
    ),
    (
        "lists/allowed-clients.txt",
        include_str!("../../policy/lists/allowed-clients.txt"),
    ),
    (
        "lists/allowed-senders.txt",
        include_str!("../../policy/lists/allowed-senders.txt"),
    ),
    (
        "lists/blocked-clients.txt",
        include_str!("../../policy/lists/blocked-clients.txt"),
    ),
    (
        "lists/blocked-senders.txt",
        include_str!("../../policy/lists/blocked-senders.txt"),
    ),
];

/// Why the default policy was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteDefaultError {
    /// A file is there already.
    #[error("{} exists; nothing was written: name another folder, or move it away", .0.display())]
    Exists(PathBuf),
    /// A file or folder could not be written.
    #[error("{} cannot be written: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

pub(super) fn files() -> BTreeMap<String, String> {
    FILES
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

pub(super) fn write(folder: &Path) -> Result<(), WriteDefaultError> {
    if let Some(there) = FILES
        .iter()
        .map(|(name, _)| folder.join(name))
        .find(|path| path.symlink_metadata().is_ok())
    {
        return Err(WriteDefaultError::Exists(there));
    }
    for (name, text) in FILES {
        let path = folder.join(name);
        write_new(&path, text).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => WriteDefaultError::Exists(path),
            _ => WriteDefaultError::Io { path, source },
        })?;
    }
    Ok(())
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)?
        .write_all(text.as_bytes())
}
