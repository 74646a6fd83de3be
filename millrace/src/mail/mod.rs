//! Messages on disk: single files, mboxes, Maildirs, folders, standard input.
//!
//! [`Sources`] walks what was named and gives one [`Found`] a message, in the order of the names, holding one
//! message at a time.

mod mbox;
mod walk;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use mbox::Mbox;
use walk::Walk;

/// One message, or why there is none.
#[derive(Debug)]
pub(crate) struct Found {
    /// The file; `-` for standard input.
    pub(crate) path: PathBuf,
    /// Which one of an mbox, from 1; `None` for a file that is one message.
    pub(crate) number: Option<u64>,
    /// The sender in an mbox's `From ` line.
    pub(crate) sender: Option<Vec<u8>>,
    /// The message as it is on disk, an mbox's quoting undone.
    pub(crate) content: io::Result<Bytes>,
}

/// The messages of files and folders, one after another.
#[derive(Debug)]
pub(crate) struct Sources {
    walk: Walk,
    open: Option<(PathBuf, Mbox)>,
}

/// A message larger than this is not read: it would fit no mail server either.
const MAX_MESSAGE: u64 = 512 << 20;

impl Sources {
    /// Of files, folders, or `-` for standard input.
    ///
    /// # Errors
    /// One of them is not there; nothing was read yet.
    pub(crate) fn new(paths: &[PathBuf]) -> io::Result<Self> {
        for path in paths.iter().filter(|path| !is_stdin(path)) {
            path.metadata().map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            })?;
        }
        Ok(Self {
            walk: Walk::new(paths),
            open: None,
        })
    }

    fn open(&mut self, path: PathBuf) -> Option<Found> {
        let opened = if is_stdin(&path) {
            Ok(Box::new(io::stdin()) as Box<dyn Read + Send>)
        } else {
            File::open(&path).map(|file| Box::new(file) as Box<dyn Read + Send>)
        };
        let whole = |path, content| {
            Some(Found {
                path,
                number: None,
                sender: None,
                content,
            })
        };
        let mut input = match opened {
            Ok(input) => BufReader::with_capacity(64 << 10, input),
            Err(error) => return whole(path, Err(error)),
        };
        match Mbox::begins(&mut input) {
            Ok(true) => {
                self.open = Some((path, Mbox::new(input)));
                self.next_of_mbox()
            }
            Ok(false) => whole(path, read_whole(input)),
            Err(error) => whole(path, Err(error)),
        }
    }

    fn next_of_mbox(&mut self) -> Option<Found> {
        let (path, mbox) = self.open.as_mut()?;
        let path = path.clone();
        match mbox.next_message(MAX_MESSAGE) {
            Ok(Some(message)) => Some(Found {
                path,
                number: Some(message.number),
                sender: message.sender,
                content: message.content,
            }),
            Ok(None) => {
                self.open = None;
                None
            }
            Err(error) => {
                self.open = None;
                Some(Found {
                    path,
                    number: None,
                    sender: None,
                    content: Err(error),
                })
            }
        }
    }
}

impl Iterator for Sources {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            if let Some(found) = self.next_of_mbox() {
                return Some(found);
            }
            let found = match self.walk.next()? {
                Ok(path) => self.open(path),
                Err((path, error)) => Some(Found {
                    path,
                    number: None,
                    sender: None,
                    content: Err(error),
                }),
            };
            if found.is_some() {
                return found;
            }
        }
    }
}

/// Bytes of all files together, for a progress bar; `None` when standard input is among them.
pub(crate) fn total_bytes(paths: &[PathBuf]) -> Option<u64> {
    if paths.iter().any(|path| is_stdin(path)) {
        return None;
    }
    let files = Walk::new(paths).filter_map(Result::ok);
    Some(
        files
            .filter_map(|file| file.metadata().ok())
            .map(|metadata| metadata.len())
            .sum(),
    )
}

fn read_whole(input: impl Read) -> io::Result<Bytes> {
    let mut content = Vec::new();
    input.take(MAX_MESSAGE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_MESSAGE {
        return Err(too_large());
    }
    Ok(content.into())
}

fn too_large() -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("the message is larger than {} MiB", MAX_MESSAGE >> 20),
    )
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

#[cfg(test)]
mod tests;
