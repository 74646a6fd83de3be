//! Label values from outside, with a limit on how many there can be.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

/// The value that stands for all names past the limit.
pub const OTHER: &str = "other";

/// Names for a label, at most a fixed number of them: a time series exists for each, for as long as the process
/// lives, so whoever chooses names must not choose how many there are.
///
/// Resolve a name once, when its owner is configured or connects, and keep the result.
#[derive(Debug)]
pub struct BoundedLabel {
    limit: usize,
    known: RwLock<HashSet<Arc<str>>>,
}

impl BoundedLabel {
    /// A label with at most `limit` values besides [`OTHER`].
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            known: RwLock::default(),
        }
    }

    /// `name` if it is among the first names seen, else [`OTHER`].
    pub fn value(&self, name: &str) -> Arc<str> {
        if let Some(known) = self
            .known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
        {
            return Arc::clone(known);
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = known.get(name) {
            return Arc::clone(name);
        }
        if known.len() >= self.limit {
            return OTHER.into();
        }
        let name: Arc<str> = name.into();
        known.insert(Arc::clone(&name));
        name
    }
}
