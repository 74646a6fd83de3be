//! Memory for messages, counted in bytes: in total, and for each client.
//!
//! Nobody waits for memory: a sender that waits holds what it already has. What cannot be had is said at once,
//! and the failure table answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number of bytes to share out; perhaps a part of a larger one.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicU64,
    limit: u64,
    parent: Option<Arc<Budget>>,
}

/// Bytes that one message holds; given back when dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

/// There is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the memory for messages is used up: limit {limit} bytes")]
pub(crate) struct Exhausted {
    limit: u64,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicU64::new(0),
            limit,
            parent: None,
        })
    }

    /// A share of this one, with a limit of its own.
    pub(crate) fn share(self: &Arc<Self>, limit: u64) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicU64::new(0),
            limit,
            parent: Some(self.clone()),
        })
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> Result<(), Exhausted> {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.limit {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Exhausted { limit: self.limit });
        }
        let Some(parent) = &self.parent else {
            return Ok(());
        };
        parent.take(bytes).inspect_err(|_| {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
        })
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(parent) = &self.parent {
            parent.give_back(bytes);
        }
    }
}

impl Charge {
    /// What is taken at once: a small message is one touch of the shared counters.
    const STEP: u64 = 16 << 10;

    /// Nothing yet.
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self { budget, bytes: 0 }
    }

    /// Makes it hold `bytes` at least.
    pub(crate) fn cover(&mut self, bytes: u64) -> Result<(), Exhausted> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let more = (bytes - self.bytes).next_multiple_of(Self::STEP);
        self.budget.take(more)?;
        self.bytes += more;
        Ok(())
    }

    /// Gives everything back.
    pub(crate) fn clear(&mut self) {
        if self.bytes > 0 {
            self.budget.give_back(std::mem::take(&mut self.bytes));
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_bounded_by_its_own_limit_and_by_the_whole() {
        let whole = Budget::new(3 * Charge::STEP);
        let (one, two) = (whole.share(2 * Charge::STEP), whole.share(2 * Charge::STEP));
        let mut a = Charge::new(one.clone());
        assert_eq!(a.cover(1), Ok(()));
        assert_eq!(a.cover(2 * Charge::STEP), Ok(()));
        assert!(
            a.cover(2 * Charge::STEP + 1).is_err(),
            "above its own share"
        );
        let mut b = Charge::new(two.clone());
        assert_eq!(b.cover(1), Ok(()));
        assert!(b.cover(Charge::STEP + 1).is_err(), "above the whole");
        assert_eq!(
            (one.used(), two.used(), whole.used()),
            (2 * Charge::STEP, Charge::STEP, 3 * Charge::STEP)
        );
        drop(a);
        assert_eq!(b.cover(Charge::STEP + 1), Ok(()));
        drop(b);
        assert_eq!((one.used(), two.used(), whole.used()), (0, 0, 0));
    }
}
