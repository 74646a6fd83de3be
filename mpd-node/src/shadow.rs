//! A candidate policy judges a share of the same messages beside the one in force. It decides nothing, keeps nothing
//! and holds nobody up: it runs after the verdict was found, so many messages at a time, and what there is no room for
//! is passed by and counted.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use millrace_proto::{Keeping, Revision, Transaction, Verdict};
use millrace_quarantine::Stamped;
use millrace_runtime::metrics::Metrics;
use tokio::sync::Semaphore;

use crate::difference::{Difference, SymbolChange};
use crate::metrics::ShadowMetrics;
use crate::policy::{Policy, PolicyStore};
use crate::request::Message;
use crate::stamps::Stamps;
use crate::verdict::judge;

/// The candidate, while there is one.
#[derive(Debug)]
pub(crate) struct Shadow {
    candidate: ArcSwapOption<Candidate>,
    room: Arc<Semaphore>,
    metrics: ShadowMetrics,
}

#[derive(Debug)]
struct Candidate {
    policies: Policies,
    /// In 2^-32 of all messages.
    share: u64,
}

#[derive(Debug)]
enum Policies {
    Fixed(Arc<Policy>),
    /// Those of a folder, as it changes.
    Followed(Arc<PolicyStore>),
}

/// What a message was judged with.
pub(crate) struct Judged<'a> {
    pub(crate) transaction: &'a Arc<Transaction>,
    pub(crate) content: &'a Bytes,
    pub(crate) keeping: Keeping,
    pub(crate) stamps: Option<&'a Arc<Stamps>>,
    /// The node had too much to do, and left optional checks out.
    pub(crate) overloaded: bool,
    pub(crate) verdict: &'a Verdict,
}

impl Shadow {
    /// Without a candidate yet; `concurrent` messages are judged at once at most.
    pub(crate) fn new(concurrent: usize, metrics: &Metrics) -> Arc<Self> {
        Arc::new(Self {
            candidate: ArcSwapOption::empty(),
            room: Arc::new(Semaphore::new(concurrent.max(1))),
            metrics: ShadowMetrics::register(metrics),
        })
    }

    /// Tries a policy from now on; `share` is from 0 to 1.
    pub(crate) fn try_out(&self, policy: Arc<Policy>, share: f64) {
        self.set(Policies::Fixed(policy), share);
    }

    /// Tries whatever policy is in the store.
    pub(crate) fn try_those_of(&self, policies: Arc<PolicyStore>, share: f64) {
        self.set(Policies::Followed(policies), share);
    }

    /// Tries none any more.
    pub(crate) fn end(&self) {
        self.candidate.store(None);
    }

    /// The candidate's revision.
    pub(crate) fn revision(&self) -> Option<Revision> {
        let candidate = self.candidate.load();
        candidate
            .as_ref()
            .map(|candidate| candidate.policy().revision().clone())
    }

    fn set(&self, policies: Policies, share: f64) {
        // From 0 to 2^32: exact in both.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let share = (share.clamp(0.0, 1.0) * 2_f64.powi(32)) as u64;
        self.candidate
            .store(Some(Arc::new(Candidate { policies, share })));
    }

    /// Has the candidate judge a message too, if it is one of its share. Never waits.
    pub(crate) fn look(self: &Arc<Self>, judged: &Judged<'_>) {
        let candidate = self.candidate.load();
        let Some(candidate) = candidate.as_ref() else {
            return;
        };
        if candidate.share <= place(judged.transaction) {
            return;
        }
        let policy = candidate.policy();
        if *policy.revision() == judged.verdict.revision {
            return;
        }
        let room = self.room.clone().try_acquire_owned().ok();
        let Some(room) = room.filter(|_| !judged.overloaded) else {
            self.metrics.passed_by();
            return;
        };
        let shadow = self.clone();
        let (transaction, content) = (judged.transaction.clone(), judged.content.clone());
        let (stamps, keeping) = (judged.stamps.cloned(), judged.keeping);
        let verdict = judged.verdict.clone();
        // In a task of its own, so that the verdict is on its way first; then off the runtime's threads.
        tokio::spawn(async move {
            let name = verdict.node.clone();
            let told = transaction.clone();
            let work = move || {
                let message = Message::parse(content, policy.limits());
                let stamped = stamps
                    .as_ref()
                    .map_or(Stamped::No, |stamps| stamps.look(&transaction, &message));
                judge(
                    &policy,
                    &name,
                    &transaction,
                    &message,
                    keeping,
                    &stamped,
                    false,
                )
            };
            match tokio::task::spawn_blocking(work).await {
                Ok(other) => shadow.compare(&told, &verdict, &other),
                Err(_) => shadow.metrics.failed(),
            }
            drop(room);
        });
    }

    fn compare(&self, transaction: &Transaction, verdict: &Verdict, other: &Verdict) {
        let Some(difference) = Difference::between(verdict, other) else {
            self.metrics.same();
            return;
        };
        self.metrics.different(&difference);
        let symbols: Vec<String> = difference
            .symbols
            .iter()
            .map(SymbolChange::to_string)
            .collect();
        tracing::info!(
            target: "millrace::shadow",
            transaction_id = %transaction.id,
            queue_id = transaction.queue_id.as_ref().map(|id| millrace_runtime::printable(id)),
            client = %transaction.client,
            revision = verdict.revision.short(),
            candidate = other.revision.short(),
            disposition = %verdict.disposition,
            candidate_disposition = %other.disposition,
            score = verdict.score,
            candidate_score = other.score,
            threshold = verdict.threshold,
            candidate_threshold = other.threshold,
            symbols = symbols.join(", "),
            "the candidate judges differently"
        );
    }
}

impl Candidate {
    fn policy(&self) -> Arc<Policy> {
        match &self.policies {
            Policies::Fixed(policy) => policy.clone(),
            Policies::Followed(store) => store.current(),
        }
    }
}

/// Where a transaction lies among all, from 0 to 2^32: the same on every node and at every try.
fn place(transaction: &Transaction) -> u64 {
    // The end of a UUIDv7 is random.
    let bytes = transaction.id.to_string();
    let tail = bytes.get(bytes.len().saturating_sub(8)..).unwrap_or("0");
    u64::from_str_radix(tail, 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use millrace_proto::TransactionId;

    #[test]
    fn places_are_spread_evenly() {
        let mut low = 0;
        for _ in 0..2000 {
            let id = TransactionId::new().to_string();
            let tail = u64::from_str_radix(&id[id.len() - 8..], 16).unwrap();
            low += usize::from(tail < 1 << 30);
        }
        assert!((350..650).contains(&low), "a quarter of them: {low}");
    }
}
