//! The node itself: a policy in force, and messages judged by it. gRPC and
//! embedding processes call the same thing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use millrace_cluster::Etcd;
use millrace_cluster::membership::Refused;
use millrace_proto::{
    CallError, ClientName, Direction, Keeping, Revision, ScreenRequest, Settlement, Stage,
    Transaction, Verdict,
};
use millrace_quarantine::{KeyFileError, Quarantine, QuarantineError, Release, StampKeys, Stamped};
use millrace_runtime::metrics::Metrics;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::config::NodeConfig;
use crate::copies::Copies;
use crate::load::Load;
use crate::metrics::{NodeMetrics, PolicyState};
use crate::plan_watch::PlanWatch;
use crate::policy::{CannotOpen, EtcdSource, FolderSource, Policy, PolicyErrors, PolicyStore};
use crate::pool::CpuPool;
use crate::request::Message;
use crate::shadow::{Judged, Shadow};
use crate::stamps::Stamps;
use crate::verdict::{judge, screen};

/// A node. Cheap to clone; all clones are the same node.
#[derive(Debug, Clone)]
pub struct Node(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: Arc<str>,
    policies: Arc<PolicyStore>,
    source: Source,
    shadow: Arc<Shadow>,
    /// The folder of candidates, followed while this is here.
    _candidates: Option<FolderSource>,
    width: usize,
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

/// Where policies come from.
#[derive(Debug)]
enum Source {
    BuiltIn,
    Folder(FolderSource),
    Etcd(EtcdSource),
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The policy does not compile, so there is nothing to judge by.
    #[error("the policy is refused:\n{0}")]
    Policy(#[from] PolicyErrors),
    /// The policy that is to be tried does not compile.
    #[error("key `shadow.policy`: the policy is refused:\n{0}")]
    Candidate(PolicyErrors),
    /// The store for kept copies cannot be opened.
    #[error("key `quarantine.store`: {0}")]
    Quarantine(#[from] QuarantineError),
    /// The keys of stamps cannot be read.
    #[error("key `stamp.keys`: {0}")]
    Stamp(#[from] KeyFileError),
    /// The copy of the policy cannot be kept.
    #[error(transparent)]
    Etcd(#[from] CannotOpen),
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
        let policy = match &config.policy {
            Some(folder) => Policy::load(folder)?,
            None => Policy::builtin()?,
        };
        Self::with(config, metrics, policy, |store, _| match &config.policy {
            Some(folder) => Source::Folder(FolderSource::watch(folder, store)),
            None => Source::BuiltIn,
        })
    }

    /// A node that judges by one policy for ever.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn judging_by(
        policy: Arc<Policy>,
        config: &NodeConfig,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        Self::with(config, metrics, policy, |_, _| Source::BuiltIn)
    }

    /// The same, but without a folder the policy is the one that is published in etcd, where that is given. Waits
    /// until there is one.
    ///
    /// # Errors
    /// As [`Node::start`], or the copy of the policy cannot be kept.
    pub async fn start_in(
        config: &NodeConfig,
        etcd: Option<&Etcd>,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let Some(etcd) = etcd.filter(|_| config.policy.is_none()) else {
            return Self::start(config, metrics);
        };
        let source = EtcdSource::open(etcd)?;
        let policy = source.first().await;
        let told = config.shadow.policy.is_none();
        Self::with(config, metrics, policy, |store, shadow| {
            source.follow(store, told.then_some(shadow));
            Source::Etcd(source)
        })
    }

    fn with(
        config: &NodeConfig,
        metrics: &Metrics,
        policy: Arc<Policy>,
        follow: impl FnOnce(Arc<PolicyStore>, Arc<Shadow>) -> Source,
    ) -> Result<Self, StartError> {
        let units = usize::try_from(config.memory / MEMORY_UNIT).unwrap_or(usize::MAX);
        let copies = Copies::open(&config.quarantine)?;
        let stamps = config.stamp.keys.as_deref().map(Stamps::open).transpose()?;
        if copies.is_none() && policy.wants_store() {
            tracing::warn!(
                "the policy keeps copies, and there is no store for them: name one with [quarantine] store"
            );
        }
        let shadow = Shadow::new(config.shadow.concurrent, metrics);
        let candidates = match &config.shadow.policy {
            None => None,
            Some(folder) => {
                let candidate = Policy::load(folder).map_err(StartError::Candidate)?;
                let store = Arc::new(PolicyStore::new(candidate));
                shadow.try_those_of(store.clone(), config.shadow.share);
                Some(FolderSource::watch(folder, store))
            }
        };
        let policies = Arc::new(PolicyStore::new(policy));
        let node = Self(Arc::new(Inner {
            source: follow(policies.clone(), shadow.clone()),
            shadow,
            _candidates: candidates,
            name: config.name.as_str().into(),
            policies,
            folder: config.policy.clone(),
            load: Load::new(config.in_flight),
            width: config.width(),
            pool: CpuPool::new(config.width()),
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

    /// Messages above 64 KiB that it judges at once.
    pub(crate) fn width(&self) -> usize {
        self.0.width
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
        if let Source::Folder(source) = &self.0.source {
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

    /// Has the policy that a transaction is pinned to at hand, if it is to be had: fetches it from etcd where that is
    /// the source.
    pub async fn obtain(&self, transaction: &Transaction) {
        if let (Some(revision), Source::Etcd(source)) = (&transaction.revision, &self.0.source) {
            source.obtain(revision, &self.0.policies).await;
        }
    }

    /// Tells of each policy that comes into force.
    pub(crate) fn policies(&self) -> watch::Receiver<Arc<Policy>> {
        self.0.policies.subscribe()
    }

    /// The published policy that this node cannot use, and why; `None` where policies do not come from etcd.
    pub(crate) fn refused(&self) -> Option<watch::Receiver<Option<Refused>>> {
        match &self.0.source {
            Source::Etcd(source) => Some(source.refused()),
            Source::BuiltIn | Source::Folder(_) => None,
        }
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
        let (looked_at, whole) = (transaction.clone(), content.clone());
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
        let verdict = if small {
            job()
        } else {
            let span = tracing::Span::current();
            let ran = self.0.pool.run(move || span.in_scope(job)).await;
            ran.unwrap_or_else(|_| Err(internal()))
        }?;
        self.0.shadow.look(&Judged {
            transaction: &looked_at,
            content: &whole,
            keeping,
            stamps: self.0.stamps.as_ref(),
            overloaded,
            verdict: &verdict,
        });
        Ok(verdict)
    }

    fn policy_state(&self) -> PolicyState {
        PolicyState {
            revision: self.revision(),
            refused: match &self.0.source {
                Source::BuiltIn => false,
                Source::Folder(source) => source.status().refused.is_some(),
                Source::Etcd(source) => source.refused().borrow().is_some(),
            },
            lost: match &self.0.source {
                Source::BuiltIn | Source::Folder(_) => false,
                Source::Etcd(source) => source.is_lost(),
            },
            candidate: self.0.shadow.revision(),
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
