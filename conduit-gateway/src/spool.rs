//! A message's content on its way in: in memory, and above a limit (or when memory is short) in an unlinked file.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use millrace_client::Content;

use crate::budget::{Budget, Charge, Exhausted};

/// Where messages go that are too large for memory.
#[derive(Debug)]
pub(crate) struct SpoolPlace {
    pub(crate) folder: PathBuf,
    pub(crate) above: u64,
    pub(crate) budget: Arc<Budget>,
}

/// The content of one message, and what it holds of memory and disk.
#[derive(Debug)]
pub(crate) struct Spool {
    place: Arc<SpoolPlace>,
    memory: Charge,
    disk: Charge,
    file: Option<Arc<File>>,
    written: u64,
}

/// Why a message cannot be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    /// Neither memory nor spool have room.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// The spool's file failed: most likely the disk is full.
    #[error("the spool file in {} cannot be written: {source}", folder.display())]
    File { folder: PathBuf, source: io::Error },
}

/// Once a message goes to its file, so much is written at once.
const BATCH: usize = 256 << 10;

impl Spool {
    pub(crate) fn new(place: Arc<SpoolPlace>, memory: Arc<Budget>) -> Self {
        let disk = Charge::new(place.budget.clone());
        Self {
            place,
            memory: Charge::new(memory),
            disk,
            file: None,
            written: 0,
        }
    }

    /// Accounts for what is held in memory now. `true` when it is to be taken and given to [`write`](Self::write).
    pub(crate) fn hold(&mut self, bytes: usize) -> bool {
        if self.file.is_some() {
            return bytes >= BATCH || self.memory.cover(bytes as u64).is_err();
        }
        bytes as u64 > self.place.above || self.memory.cover(bytes as u64).is_err()
    }

    /// Writes pieces of content to the file, and gives their memory back.
    pub(crate) async fn write(&mut self, pieces: Vec<Bytes>) -> Result<(), SpoolError> {
        let length: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        self.disk.cover(self.written + length)?;
        let (file, folder) = (self.file.clone(), self.place.folder.clone());
        let written = tokio::task::spawn_blocking(move || {
            let file = match file {
                Some(file) => file,
                None => Arc::new(tempfile::tempfile_in(&folder)?),
            };
            let mut to = &*file;
            for piece in &pieces {
                to.write_all(piece)?;
            }
            Ok(file)
        });
        let written = written
            .await
            .unwrap_or_else(|_| Err(io::Error::other("the writing thread panicked")));
        let file = written.map_err(|source| SpoolError::File {
            folder: self.place.folder.clone(),
            source,
        })?;
        self.file = Some(file);
        self.written += length;
        self.memory.clear();
        Ok(())
    }

    /// Whether there is a file.
    pub(crate) fn is_spooled(&self) -> bool {
        self.file.is_some()
    }

    /// The content, as it can be sent; `rest` is what was not written.
    ///
    /// With `read_back` it will be read into memory, which is accounted for here.
    pub(crate) fn finish(&mut self, rest: Bytes, read_back: bool) -> Result<Content, SpoolError> {
        let Some(file) = self.file.clone() else {
            self.memory.cover(rest.len() as u64)?;
            return Ok(Content::Memory(rest));
        };
        if read_back {
            self.memory.cover(self.written)?;
        }
        Ok(Content::Spooled {
            file,
            length: self.written,
        })
    }

    /// Forgets the message, and gives everything back.
    pub(crate) fn clear(&mut self) {
        self.memory.clear();
        self.disk.clear();
        self.file = None;
        self.written = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(above: u64, spool: u64) -> Arc<SpoolPlace> {
        Arc::new(SpoolPlace {
            folder: std::env::temp_dir(),
            above,
            budget: Budget::new(spool),
        })
    }

    #[tokio::test]
    async fn a_small_message_stays_in_memory() {
        let memory = Budget::new(1 << 20);
        let mut spool = Spool::new(place(100, 1 << 20), memory.clone());
        assert!(!spool.hold(100));
        let content = spool.finish(Bytes::from_static(b"hello"), true).unwrap();
        assert!(matches!(content, Content::Memory(bytes) if bytes == "hello"));
        assert!(memory.used() > 0);
        spool.clear();
        assert_eq!(memory.used(), 0);
    }

    #[tokio::test]
    async fn a_large_one_goes_to_a_file_that_has_no_name() {
        let (memory, place) = (Budget::new(1 << 20), place(100, 1 << 20));
        let mut spool = Spool::new(place.clone(), memory.clone());
        assert!(spool.hold(101));
        spool
            .write(vec![Bytes::from_static(b"hel"), Bytes::from_static(b"lo ")])
            .await
            .unwrap();
        assert!(!spool.hold(5), "small pieces are gathered");
        assert!(spool.hold(BATCH));
        spool
            .write(vec![Bytes::from_static(b"world")])
            .await
            .unwrap();
        let content = spool.finish(Bytes::new(), true).unwrap();
        assert_eq!(content.read().unwrap(), "hello world");
        assert!(memory.used() > 0 && place.budget.used() > 0);
        drop(spool);
        assert_eq!((memory.used(), place.budget.used()), (0, 0));
    }

    #[tokio::test]
    async fn short_memory_sends_a_message_to_its_file_and_a_full_spool_is_an_error() {
        let mut spool = Spool::new(place(1 << 20, 16 << 10), Budget::new(0));
        assert!(spool.hold(1));
        spool
            .write(vec![Bytes::from(vec![b'x'; 16 << 10])])
            .await
            .unwrap();
        assert!(matches!(
            spool.write(vec![Bytes::from_static(b"x")]).await,
            Err(SpoolError::Exhausted(_))
        ));
        assert!(
            matches!(
                spool.finish(Bytes::new(), true),
                Err(SpoolError::Exhausted(_))
            ),
            "nor read back"
        );
        assert!(spool.finish(Bytes::new(), false).is_ok());
    }

    #[tokio::test]
    async fn a_spool_folder_that_cannot_be_written_is_named() {
        let place = SpoolPlace {
            folder: "/no/such".into(),
            above: 0,
            budget: Budget::new(1 << 20),
        };
        let mut spool = Spool::new(Arc::new(place), Budget::new(1 << 20));
        let error = spool
            .write(vec![Bytes::from_static(b"x")])
            .await
            .unwrap_err();
        assert!(error.to_string().contains("/no/such"), "{error}");
    }
}
