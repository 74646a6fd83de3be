//! Nodes elsewhere: questions through the stack, plans and settlements beside it, all over the same pool.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use millrace_client::{CallOptions, Content};
use millrace_proto::{
    CallError, ClientName, Direction, Plan, ScreenRequest, Settlement, Transaction, Verdict,
};
use millrace_runtime::metrics::Metrics;
use millrace_runtime::trace_context;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt as _;

use super::call::{Call, Question};
use super::discovery::Source;
use super::node::Node;
use super::plans::PlanSink;
use super::pool::Pool;
use super::settle::Settler;
use super::stack::{Stack, stack};
use super::{Plans, UpstreamConfig, members, metrics};

/// The nodes of a gateway.
#[derive(Debug)]
pub(super) struct Nodes {
    stack: Stack,
    pool: Arc<Pool>,
    settler: Settler,
    _members: AbortOnDropHandle<()>,
}

const SETTLE_DEADLINE: Duration = Duration::from_secs(10);
/// Between tries to hear a plan.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A policy that was published is not in force on all nodes at the same moment.
const PATIENCE: Duration = Duration::from_secs(1);

impl Nodes {
    pub(super) fn new(sources: Vec<Source>, config: UpstreamConfig) -> Self {
        let pool = Arc::new(Pool::new(config));
        Self {
            stack: stack(&pool),
            settler: Settler::new(pool.clone()),
            _members: AbortOnDropHandle::new(tokio::spawn(members::follow(sources, pool.clone()))),
            pool,
        }
    }

    pub(super) fn register(&self, metrics: &Metrics) {
        metrics::register(metrics, &self.pool);
    }

    pub(super) async fn screen(
        &self,
        request: Arc<ScreenRequest>,
        deadline: Duration,
    ) -> Result<Verdict, CallError> {
        let call = Call::new(Question::Screen(request), deadline);
        self.stack.clone().oneshot(call).await
    }

    pub(super) async fn process(
        &self,
        transaction: Arc<Transaction>,
        content: Content,
        deadline: Duration,
        overloaded: bool,
    ) -> Result<Verdict, CallError> {
        let question = Question::Process(transaction, content, overloaded);
        let call = Call::new(question, deadline);
        self.stack.clone().oneshot(call).await
    }

    /// Waits until a source has told of a node, or for so long.
    pub(super) async fn known(&self, patience: Duration) {
        let mut known = self.pool.known.subscribe();
        let _ = tokio::time::timeout(patience, known.wait_for(|known| *known)).await;
    }

    /// How many messages the nodes are asked about at once, at most: what the sound ones have earned.
    pub(super) fn admits(&self) -> usize {
        self.pool.admits()
    }

    /// To the node that judged, which may have the message's copy in hand; to any, when it is gone or not known.
    pub(super) fn settle(&self, settlement: Settlement, judge: Option<&str>) {
        let nodes = self.pool.nodes.load();
        let judged = judge.and_then(|name| {
            nodes
                .iter()
                .find(|node| node.is_named(name) && node.standing.is_sound())
        });
        let Some(node) = judged.cloned().or_else(|| self.any(None)) else {
            self.pool.counts.settlement_lost();
            return;
        };
        let mut options = CallOptions::deadline(SETTLE_DEADLINE);
        trace_context::inject(&mut options.metadata);
        self.settler
            .settle(node.client.clone(), settlement, options);
    }

    /// A plan is told by whichever node is sound and has the policy that counts; when it is not or has not any more,
    /// another is asked. A broken stream leaves the last plan.
    pub(super) fn follow(
        self: &Arc<Self>,
        client: &ClientName,
        direction: Direction,
        sized: bool,
    ) -> Plans {
        self.pool.speaker.send_if_modified(|speaker| {
            let first = speaker.is_none();
            speaker.get_or_insert_with(|| (client.clone(), direction));
            first
        });
        let (nodes, name) = (Arc::downgrade(self), client.clone());
        Plans::new(None, sized, move |sink| async move {
            let mut pause = FIRST_PAUSE;
            let mut last = None;
            loop {
                let Some((node, pool)) = nodes
                    .upgrade()
                    .map(|nodes| (nodes.any(last), nodes.pool.clone()))
                else {
                    return;
                };
                let Some(node) = node else {
                    tokio::time::sleep(FIRST_PAUSE).await;
                    continue;
                };
                last = Some(node.id);
                let told = Told {
                    client: &name,
                    node: &node,
                    pool,
                    sink: &sink,
                };
                let problem = match node.client.watch_plan(&name, direction).await {
                    Err(error) => error,
                    Ok(plans) => told.follow(plans, &mut pause).await,
                };
                tracing::debug!(client = %name, node = %node.address, %problem, "no plan from this node");
                sink.lost();
                let another = nodes
                    .upgrade()
                    .is_some_and(|nodes| nodes.has_sound_besides(node.id));
                if !another {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        })
    }

    /// Any sound node that has the policy that counts, another than `last` if there is one; without a sound one, any.
    fn any(&self, last: Option<u64>) -> Option<Arc<Node>> {
        let nodes = self.pool.nodes.load();
        let sound = |node: &&Arc<Node>| node.standing.is_sound();
        let agrees = |node: &&Arc<Node>| sound(node) && !self.pool.differs(node);
        let other = |node: &&Arc<Node>| Some(node.id) != last;
        let of = |wanted: &dyn Fn(&&Arc<Node>) -> bool| {
            let found: Vec<_> = nodes.iter().filter(wanted).collect();
            (!found.is_empty()).then(|| found[self.pool.random.below(found.len())].clone())
        };
        of(&|node| agrees(node) && other(node))
            .or_else(|| of(&agrees))
            .or_else(|| of(&|node| sound(node) && other(node)))
            .or_else(|| of(&sound))
            .or_else(|| of(&other))
            .or_else(|| of(&|_| true))
    }

    fn has_sound_besides(&self, id: u64) -> bool {
        let nodes = self.pool.nodes.load();
        nodes
            .iter()
            .any(|node| node.id != id && node.standing.is_sound() && !self.pool.differs(node))
    }
}

/// A client's plan, as one node tells it.
struct Told<'a> {
    client: &'a ClientName,
    node: &'a Node,
    pool: Arc<Pool>,
    sink: &'a PlanSink,
}

impl Told<'_> {
    /// Puts each plan of the policy that counts in force, until another node has to tell: why is the result.
    async fn follow(
        &self,
        plans: impl Stream<Item = Result<Plan, CallError>>,
        pause: &mut Duration,
    ) -> CallError {
        let ended = |text: &str| CallError::Unavailable(text.to_owned());
        let mut plans = std::pin::pin!(plans);
        let mut unsound = std::pin::pin!(unsound(self.node));
        let mut agreed = self.pool.agreed.subscribe();
        let mut told: Option<Plan> = None;
        let mut in_force = None;
        // Since when the node has another policy than most.
        let mut alone: Option<Instant> = None;
        loop {
            let patience = alone.map(|since| since + PATIENCE);
            tokio::select! {
                biased;
                next = plans.next() => match next {
                    Some(Ok(next)) => {
                        *pause = FIRST_PAUSE;
                        self.pool.hears(self.node, &next.revision);
                        told = Some(next);
                    }
                    Some(Err(error)) => return error,
                    None => return ended("the stream ended"),
                },
                () = &mut unsound => return ended("the node is not sound"),
                // Its sender is in the pool, and so is here as long as this.
                _ = agreed.changed() => {}
                () = until(patience) => return ended("it has another policy than most nodes"),
            }
            let Some(plan) = &told else { continue };
            let counts = agreed.borrow_and_update().clone();
            if counts.is_some_and(|counts| counts != plan.revision) {
                if in_force.is_none() {
                    return ended("it has another policy than most nodes");
                }
                alone.get_or_insert_with(Instant::now);
                continue;
            }
            alone = None;
            if in_force.as_ref() != Some(plan) {
                tracing::info!(
                    client = %self.client, node = %self.node.address, revision = plan.revision.short(),
                    "the policy's plan"
                );
                self.sink.put(plan);
                in_force = Some(plan.clone());
            }
        }
    }
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// Until a node that was sound is not any more.
async fn unsound(node: &Node) {
    let mut followed = node.standing.followed();
    let _ = followed.wait_for(|sound| *sound).await;
    let _ = followed.wait_for(|sound| !*sound).await;
}
