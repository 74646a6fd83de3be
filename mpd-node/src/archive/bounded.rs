//! Decompression against a budget.

use std::io::Read;

use bytes::Bytes;

use crate::request::{LimitHit, LimitSet, Limits};

/// What little content may unpack to before its ratio matters.
const SMALL: u64 = 1 << 20;
/// Bytes decompressed between two looks at the budget.
const STEP: usize = 64 * 1024;

/// What one attachment may still cost.
pub(super) struct Budget {
    left: u64,
    ratio: u64,
    hits: LimitSet,
}

/// Decompressed content.
pub(super) struct Unpacked {
    pub(super) content: Bytes,
    /// All of it was decompressed: no limit was reached and nothing is damaged.
    pub(super) complete: bool,
    pub(super) damaged: bool,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Budget {
            left: limits.archive_bytes,
            ratio: limits.archive_ratio,
            hits: LimitSet::default(),
        }
    }

    pub(super) fn hits(&self) -> LimitSet {
        self.hits
    }

    pub(super) fn is_bomb(&self, unpacked: u64, packed: u64) -> bool {
        unpacked > SMALL.max(packed.saturating_mul(self.ratio))
    }

    /// Reads `reader`, which decompresses `packed` bytes, until its end or a limit.
    pub(super) fn unpack(&mut self, mut reader: impl Read, packed: u64) -> Unpacked {
        let mut content = Vec::new();
        let mut damaged = false;
        let mut step = vec![0u8; STEP];
        let complete = loop {
            let unpacked = content.len() as u64;
            if self.is_bomb(unpacked, packed) {
                self.hits.insert(LimitHit::ArchiveRatio);
                break false;
            }
            if self.left == 0 {
                self.hits.insert(LimitHit::ArchiveBytes);
                break false;
            }
            let room = usize::try_from(self.left).unwrap_or(STEP).min(STEP);
            match reader.read(&mut step[..room]) {
                Ok(0) => break true,
                Ok(count) => {
                    self.left -= count as u64;
                    content.extend_from_slice(&step[..count]);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => {
                    damaged = true;
                    break false;
                }
            }
        };
        Unpacked {
            content: content.into(),
            complete,
            damaged,
        }
    }

    /// The first bytes of what `reader` decompresses, up to `max`.
    pub(super) fn head(&mut self, reader: impl Read, max: usize) -> Vec<u8> {
        let mut head = Vec::new();
        let max = (max as u64).min(self.left);
        // A head that cannot be read is as good as a shorter one: the caller learns no type from it.
        let _ = reader.take(max).read_to_end(&mut head);
        self.left -= (head.len() as u64).min(self.left);
        head
    }
}
