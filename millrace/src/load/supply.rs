//! Where the messages come from.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use millrace_milter::mta::Message;

use super::synthetic;
use crate::mail::Sources;

/// Messages, over and over. They are made ready before the clock starts.
#[derive(Debug)]
pub(super) struct Supply {
    messages: Vec<(Message, u64)>,
    is_corpus: bool,
}

/// A corpus is held in memory, up to here.
const MAX_CORPUS: u64 = 2 << 30;

impl Supply {
    /// The messages of a folder, a Maildir or an mbox.
    pub(super) fn corpus(path: &Path) -> anyhow::Result<Self> {
        let mut messages = Vec::new();
        let mut total = 0;
        for found in Sources::new(&[PathBuf::from(path)])? {
            let content = found
                .content
                .with_context(|| format!("{}", found.path.display()))?;
            let bytes = content.len() as u64;
            total += bytes;
            if total > MAX_CORPUS {
                bail!(
                    "{} has more than {} MiB of messages; name a part of it",
                    path.display(),
                    MAX_CORPUS >> 20
                );
            }
            messages.push((Message::parse(&content), bytes));
        }
        if messages.is_empty() {
            bail!("{} has no messages", path.display());
        }
        Ok(Self {
            messages,
            is_corpus: true,
        })
    }

    /// Made-up messages of about this size.
    pub(super) fn synthetic(size: usize, attachment: bool) -> Self {
        let messages = (0..synthetic::variants(size))
            .map(|number| {
                let content = synthetic::message(number, size, attachment);
                (Message::parse(&content), content.len() as u64)
            })
            .collect();
        Self {
            messages,
            is_corpus: false,
        }
    }

    /// How many messages a corpus has; `None` when they are made up.
    pub(super) fn once(&self) -> Option<u64> {
        self.is_corpus.then_some(self.messages.len() as u64)
    }

    /// The message to send as number so-and-so.
    pub(super) fn message(&self, number: u64) -> Message {
        self.entry(number).0.clone()
    }

    /// Its size on disk.
    pub(super) fn bytes(&self, number: u64) -> u64 {
        self.entry(number).1
    }

    fn entry(&self, number: u64) -> &(Message, u64) {
        let index = number % self.messages.len() as u64;
        &self.messages[usize::try_from(index).unwrap_or(0)]
    }
}
