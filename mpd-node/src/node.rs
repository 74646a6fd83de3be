//! The node itself: a policy in force, and messages judged by it. gRPC and
//! embedding processes call the same thing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use millrace_proto::{
    CallError, ClientName, Direction, Keeping, Revision, ScreenRequest, Settlement, Stage,
    Transaction, Verdict,
};
use millrace_quarantine::{KeyFileError, Quarantine, QuarantineError, Release, StampKeys, Stamped};
use millrace_runtime::metrics::Metrics;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::NodeConfig;
use crate::copies::Copies;
use crate::load::Load;
use crate::metrics::{NodeMetrics, PolicyState};
use crate::plan_watch::PlanWatch;
use crate::policy::{FolderSource, Policy, PolicyErrors, PolicyStore};
use crate::pool::CpuPool;
use crate::request::Message;
use crate::stamps::Stamps;
use crate::verdict::{judge, screen};

/// A node. Cheap to clone; all clones are the same node.
#[derive(Debug, Clone)]
pub struct Node(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: Arc<str>,
    policies: Arc<PolicyStore>,
    source: Option<FolderSource>,
    /// The policy's folder.
    folder: Option<PathBuf>,
    pool: CpuPool,
    load: Load,
    memory: Arc<Semaphore>,
    metrics: Arc<NodeMetrics>,
    copies: Option<Copies>,
    serves_copies: bool,
    /// How copies are released over gRPC.
    release: Release,
    stamps: Option<Arc<Stamps>>,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The policy does not compile, so there is nothing to judge by.
    #[error("the policy is refused:\n{0}")]
    Policy(#[from] PolicyErrors),
    /// The store for kept copies cannot be opened.
    #[error("key `quarantine.store`: {0}")]
    Quarantine(#[from] QuarantineError),
    /// The keys of stamps cannot be read.
    #[error("key `stamp.keys`: {0}")]
    Stamp(#[from] KeyFileError),
}

/// Up to this size a message is judged where the call came in; a larger one
/// would hold up the thread's other calls.
const IN_PLACE: usize = 64 << 10;
/// The unit in which memory is counted.
const MEMORY_UNIT: u64 = 1024;

impl Node {
    /// Compiles the policy and starts to follow its folder.
    ///
    /// # Errors
    /// The policy does not compile: a node starts with a good one or not at
    /// all.
    pub fn start(config: &NodeConfig, metrics: &Metrics) -> Result<Self, StartError> {
        let workers = match config.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let units = usize::try_from(config.memory / MEMORY_UNIT).unwrap_or(usize::MAX);
        let policy = match &config.policy {
            Some(folder) => Policy::load(folder)?,
            None => Policy::builtin()?,
        };
        let copies = Copies::open(&config.quarantine)?;
        let stamps = config.stamp.keys.as_deref().map(Stamps::open).transpose()?;
        if copies.is_none() && policy.wants_store() {
            tracing::warn!(
                "the policy keeps copies, and there is no store for them: name one with [quarantine] store"
            );
        }
        let policies = Arc::new(PolicyStore::new(policy));
        let source = config
            .policy
            .as_ref()
            .map(|folder| FolderSource::watch(folder, policies.clone()));
        let node = Self(Arc::new(Inner {
            name: config.name.as_str().into(),
            policies,
            source,
            folder: config.policy.clone(),
            pool: CpuPool::new(workers),
            load: Load::new(config.in_flight),
            memory: Arc::new(Semaphore::new(units.clamp(1, Semaphore::MAX_PERMITS))),
            metrics: NodeMetrics::register(metrics),
            serves_copies: copies.is_some() && config.quarantine.serve,
            copies,
            release: Release {
                via: config.quarantine.release_via.clone(),
                tls: config.quarantine.release_tls,
                authorities: config.quarantine.release_ca.clone(),
                hello: config.name.clone(),
                ..Release::default()
            },
            stamps: stamps.map(Arc::new),
        }));
        let told = node.clone();
        NodeMetrics::tell_policy(metrics, move || told.policy_state());
        Ok(node)
    }

    /// The name that it signs its verdicts with.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// The revision in force.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.0.policies.current().revision().clone()
    }

    /// Puts a policy in force: what a source does that is no folder. `false` when its revision is in force already.
    pub fn publish(&self, policy: Arc<Policy>) -> bool {
        self.0.policies.publish(policy)
    }

    /// Looks at the policy's folder again, now.
    pub fn reload(&self) {
        if let Some(source) = &self.0.source {
            source.reload();
        }
    }

    /// The plan of a client, and its changes.
    #[must_use]
    pub fn watch_plan(&self, client: &ClientName, direction: Direction) -> PlanWatch {
        // A copy without its body would be a lie, and a stamp is over the whole message.
        let whole = self.0.copies.is_some() || self.0.stamps.is_some();
        PlanWatch::new(
            self.0.policies.subscribe(),
            client.clone(),
            direction,
            whole,
        )
    }

    /// Judges what can be judged before there is a message.
    ///
    /// # Errors
    /// The pinned revision is unknown, or the node failed over the request.
    pub fn screen(&self, request: &ScreenRequest) -> Result<Verdict, CallError> {
        let begun = Instant::now();
        let result = self
            .policy(&request.transaction)
            .and_then(|policy| shielded(|| screen(&policy, &self.0.name, request)));
        self.count(request.stage, &result, begun);
        result
    }

    /// Judges a message. Dropping the future gives the work up.
    ///
    /// # Errors
    /// Why there is no verdict; see [`CallError`].
    pub async fn process(
        &self,
        transaction: Arc<Transaction>,
        content: Bytes,
    ) -> Result<Verdict, CallError> {
        self.process_under_load(transaction, content, false).await
    }

    /// As [`Node::process`]; `overloaded` when the caller is under load: then, and when this node is, the policy's
    /// optional checks are left out.
    ///
    /// # Errors
    /// As [`Node::process`]; and the node has enough to do.
    pub async fn process_under_load(
        &self,
        transaction: Arc<Transaction>,
        content: Bytes,
        overloaded: bool,
    ) -> Result<Verdict, CallError> {
        let begun = Instant::now();
        let in_flight = self.0.metrics.enter(content.len());
        let result = match self.0.load.enter(overloaded) {
            Ok(busy) => {
                let judging = self.judge_and_keep(transaction, content, busy.overloaded);
                judging.await
            }
            Err(error) => Err(error),
        };
        drop(in_flight);
        self.count(Stage::EndOfMessage, &result, begun);
        result
    }

    /// Takes note of what was done in the end.
    pub fn settle(&self, settlement: &Settlement) {
        self.0.metrics.settled(settlement);
        if let Some(copies) = self.0.copies.as_ref().filter(|_| settlement.kept) {
            copies.settle(settlement.clone());
        }
        tracing::debug!(
            transaction = %settlement.transaction,
            client = %settlement.client,
            outcome = settlement.outcome.kind.name(),
            disposition = %settlement.outcome.disposition,
            "settled"
        );
    }

    /// Waits until what was settled is noted in the store. The node is of no use afterwards.
    pub async fn finish(&self) {
        if let Some(copies) = &self.0.copies {
            copies.finish().await;
        }
    }

    /// The policy's folder, where it is one.
    pub(crate) fn policy_folder(&self) -> Option<&Path> {
        self.0.folder.as_deref()
    }

    /// The store of kept copies, where there is one.
    pub(crate) fn kept(&self) -> Option<&Quarantine> {
        self.0.copies.as_ref().map(Copies::store)
    }

    /// Whether kept copies are served over gRPC.
    pub(crate) fn serves_copies(&self) -> bool {
        self.0.serves_copies
    }

    /// Where released copies go, and how; to whom is the caller's.
    pub(crate) fn release(&self) -> &Release {
        &self.0.release
    }

    /// What released copies are stamped with, where there is a file of keys.
    pub(crate) fn stamp_keys(&self) -> Option<Arc<StampKeys>> {
        self.0.stamps.as_ref().map(|stamps| stamps.keys())
    }

    /// Memory for content that comes in by pieces.
    ///
    /// # Errors
    /// There is no more; the call is to be shed.
    pub(crate) fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, CallError> {
        let units = u32::try_from((bytes as u64).div_ceil(MEMORY_UNIT)).unwrap_or(u32::MAX);
        self.0
            .memory
            .clone()
            .try_acquire_many_owned(units)
            .map_err(|_| CallError::Overloaded("the memory for messages is used up".to_owned()))
    }

    /// The largest message that this transaction may be. Bytes.
    ///
    /// # Errors
    /// The pinned revision is unknown.
    pub(crate) fn size_limit(&self, transaction: &Transaction) -> Result<Option<u64>, CallError> {
        let policy = self.policy(transaction)?;
        Ok(policy.size_limit(&transaction.client, transaction.direction))
    }

    /// A verdict that promises a copy is given when the copy is durable, and
    /// not before.
    async fn judge_and_keep(
        &self,
        transaction: Arc<Transaction>,
        content: Bytes,
        overloaded: bool,
    ) -> Result<Verdict, CallError> {
        let Some(copies) = &self.0.copies else {
            return self.judge(transaction, content, overloaded).await;
        };
        let verdict = self
            .judge(transaction.clone(), content.clone(), overloaded)
            .await?;
        if verdict.keep {
            copies.keep(&transaction, &verdict, content).await?;
        }
        Ok(verdict)
    }

    async fn judge(
        &self,
        transaction: Arc<Transaction>,
        content: Bytes,
        overloaded: bool,
    ) -> Result<Verdict, CallError> {
        let policy = self.policy(&transaction)?;
        let length = content.len() as u64;
        if let Some(limit) = policy
            .size_limit(&transaction.client, transaction.direction)
            .filter(|&limit| length > limit)
        {
            return Err(CallError::TooLarge { limit });
        }
        let name = self.0.name.clone();
        let small = content.len() <= IN_PLACE;
        let keeping = match self.0.copies {
            Some(_) => Keeping::Available,
            None => Keeping::Unavailable,
        };
        let stamps = self.0.stamps.clone();
        let job = move || {
            shielded(|| {
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
                    overloaded,
                )
            })
        };
        if small {
            return job();
        }
        let span = tracing::Span::current();
        match self.0.pool.run(move || span.in_scope(job)).await {
            Ok(result) => result,
            Err(_) => Err(internal()),
        }
    }

    fn policy_state(&self) -> PolicyState {
        let refused = |source: &FolderSource| source.status().refused.is_some();
        PolicyState {
            revision: self.revision(),
            refused: self.0.source.as_ref().is_some_and(refused),
        }
    }

    /// The policy that a transaction is pinned to; the one in force when it is
    /// not.
    fn policy(&self, transaction: &Transaction) -> Result<Arc<Policy>, CallError> {
        match &transaction.revision {
            None => Ok(self.0.policies.current()),
            Some(revision) => self
                .0
                .policies
                .pinned(revision)
                .ok_or_else(|| CallError::UnknownRevision(revision.to_string())),
        }
    }

    fn count(&self, stage: Stage, result: &Result<Verdict, CallError>, begun: Instant) {
        match result {
            Ok(verdict) => self.0.metrics.verdict(stage, verdict, begun.elapsed()),
            Err(error) => self.0.metrics.error(error),
        }
    }
}

/// A message over which the node fails costs itself a temporary failure, and
/// the process goes on.
fn shielded<T>(work: impl FnOnce() -> T) -> Result<T, CallError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| internal())
}

fn internal() -> CallError {
    CallError::Internal("the node failed over this message".to_owned())
}
