//! The policy in force, and those before it.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use millrace_proto::Revision;
use tokio::sync::watch;

use super::Policy;

/// Revisions that are kept for transactions that began under them, the one in force among them.
const KEPT: usize = 16;

/// Holds the policy in force. Reading takes no lock; a swap happens between messages.
#[derive(Debug)]
pub struct PolicyStore {
    current: ArcSwap<Policy>,
    recent: ArcSwap<Vec<Arc<Policy>>>,
    changes: watch::Sender<Arc<Policy>>,
    publishing: Mutex<()>,
}

impl PolicyStore {
    /// A store with one policy.
    #[must_use]
    pub fn new(policy: Arc<Policy>) -> Self {
        Self {
            current: ArcSwap::new(policy.clone()),
            recent: ArcSwap::from_pointee(vec![policy.clone()]),
            changes: watch::Sender::new(policy),
            publishing: Mutex::new(()),
        }
    }

    /// The policy in force.
    #[must_use]
    pub fn current(&self) -> Arc<Policy> {
        self.current.load_full()
    }

    /// The policy of this revision, if it is in force or was not long ago.
    #[must_use]
    pub fn pinned(&self, revision: &Revision) -> Option<Arc<Policy>> {
        let current = self.current.load();
        if current.revision() == revision {
            return Some(Arc::clone(&current));
        }
        self.recent
            .load()
            .iter()
            .find(|policy| policy.revision() == revision)
            .cloned()
    }

    /// Puts a policy in force; `false` when its revision is in force already.
    pub fn publish(&self, policy: Arc<Policy>) -> bool {
        let _one_at_a_time = self
            .publishing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.current.load().revision() == policy.revision() {
            return false;
        }
        let mut recent = vec![policy.clone()];
        let earlier = self.recent.load();
        recent.extend(
            earlier
                .iter()
                .filter(|known| known.revision() != policy.revision())
                .take(KEPT - 1)
                .cloned(),
        );
        // First findable, then in force: a transaction can only be pinned to what can be found.
        self.recent.store(Arc::new(recent));
        self.current.store(policy.clone());
        self.changes.send_replace(policy);
        true
    }

    /// Makes a policy that was in force once findable for transactions that began under it.
    pub fn remember(&self, policy: Arc<Policy>) {
        let _one_at_a_time = self
            .publishing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.pinned(policy.revision()).is_some() {
            return;
        }
        let mut recent = self.recent.load().as_ref().clone();
        recent.truncate(KEPT - 1);
        // After the one in force, which is not to be pushed out.
        recent.insert(1.min(recent.len()), policy);
        self.recent.store(Arc::new(recent));
    }

    /// The revisions that can be found, the one in force first.
    #[must_use]
    pub fn revisions(&self) -> Vec<Revision> {
        let recent = self.recent.load();
        recent
            .iter()
            .map(|policy| policy.revision().clone())
            .collect()
    }

    /// Tells of each policy that comes into force.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Policy>> {
        self.changes.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn policy(score: u32) -> Arc<Policy> {
        let text = format!("[scores]\nMISSING_DATE = {score}\n");
        Policy::from_files(BTreeMap::from([("policy.toml".to_owned(), text)])).unwrap()
    }

    #[test]
    fn a_transaction_finds_the_revision_that_it_began_under() {
        let first = policy(0);
        let store = PolicyStore::new(first.clone());
        let mut changes = store.subscribe();
        assert!(!changes.has_changed().unwrap());
        let second = policy(1);
        assert!(store.publish(second.clone()));
        assert!(!store.publish(policy(1)), "the same revision again");
        assert!(changes.has_changed().unwrap());
        assert_eq!(changes.borrow_and_update().revision(), second.revision());
        assert_eq!(store.current().revision(), second.revision());
        assert_eq!(
            store.pinned(first.revision()).unwrap().revision(),
            first.revision()
        );
        assert!(store.pinned(&Revision::new("abc").unwrap()).is_none());
        for score in 2..(2 + KEPT as u32) {
            store.publish(policy(score));
        }
        assert!(store.pinned(first.revision()).is_none(), "too long ago");
    }

    #[test]
    fn one_that_was_fetched_is_found_and_pushes_none_in_force_out() {
        let store = PolicyStore::new(policy(0));
        for score in 1..(2 * KEPT as u32) {
            let earlier = policy(score);
            store.remember(earlier.clone());
            assert!(store.pinned(earlier.revision()).is_some());
            assert_eq!(store.current().revision(), policy(0).revision());
            assert_eq!(&store.revisions()[0], policy(0).revision());
        }
        assert_eq!(store.revisions().len(), KEPT);
    }

    #[test]
    fn going_back_to_an_earlier_revision_is_a_change() {
        let (first, second) = (policy(0), policy(1));
        let store = PolicyStore::new(first.clone());
        store.publish(second);
        assert!(store.publish(first.clone()));
        assert_eq!(store.current().revision(), first.revision());
    }
}
