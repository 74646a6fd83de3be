//! Nodes elsewhere: a static list of addresses, asked in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use millrace_client::{CallOptions, Client, Content, InvalidEndpoint};
use millrace_proto::{
    CallError, ClientName, Direction, ScreenRequest, Settlement, Transaction, Verdict,
};
use millrace_runtime::tls::Connector;
use millrace_runtime::trace_context;

use super::Plans;
use super::settle::Settler;
use crate::metrics::GatewayMetrics;

/// The nodes of a static list.
#[derive(Debug)]
pub(super) struct Nodes {
    nodes: Vec<Node>,
    next: AtomicUsize,
    began: Instant,
    settler: Settler,
}

#[derive(Debug)]
struct Node {
    address: String,
    client: Client,
    /// Milliseconds since `began` until which others are asked first.
    shunned_until: AtomicU64,
}

/// What a node is asked.
#[derive(Clone, Copy)]
enum Question<'a> {
    Screen(&'a ScreenRequest),
    /// Whether this side is under load.
    Process(&'a Transaction, &'a Content, bool),
}

/// How long a node that was not reached is asked only when no other is left.
const SHUNNED: Duration = Duration::from_secs(1);
/// A call is tried on so many nodes at most: a message over which two were lost goes nowhere else.
const TRIES: usize = 2;
/// What is left of a deadline that is too little for another try.
const TOO_LATE: Duration = Duration::from_millis(10);
/// Messages that each node is asked about at once.
const AT_ONCE_EACH: usize = 64;
const SETTLE_DEADLINE: Duration = Duration::from_secs(10);
/// Between tries to hear a plan.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Nodes {
    pub(super) fn new<'a>(
        addresses: impl IntoIterator<Item = &'a str>,
        connector: &Connector,
    ) -> Result<Self, InvalidEndpoint> {
        let nodes = addresses
            .into_iter()
            .map(|address| {
                Ok(Node {
                    address: address.to_owned(),
                    client: Client::over(address, connector.clone())?,
                    shunned_until: AtomicU64::new(0),
                })
            })
            .collect::<Result<Vec<_>, InvalidEndpoint>>()?;
        Ok(Self {
            nodes,
            next: AtomicUsize::new(0),
            began: Instant::now(),
            settler: Settler::new(),
        })
    }

    /// A plan is told by whichever node answers; a broken stream leaves the last plan, and the next node is asked.
    pub(super) fn follow(
        self: &Arc<Self>,
        client: &ClientName,
        direction: Direction,
        sized: bool,
    ) -> Plans {
        let (nodes, name) = (self.clone(), client.clone());
        Plans::new(None, sized, move |sink| async move {
            let mut pause = FIRST_PAUSE;
            loop {
                for node in nodes.beside() {
                    let problem = match node.client.watch_plan(&name, direction).await {
                        Err(error) => error,
                        Ok(plans) => {
                            let mut plans = std::pin::pin!(plans);
                            loop {
                                match plans.next().await {
                                    Some(Ok(plan)) => {
                                        pause = FIRST_PAUSE;
                                        tracing::info!(
                                            client = %name, node = node.address, revision = plan.revision.short(),
                                            "the policy's plan"
                                        );
                                        sink.put(&plan);
                                    }
                                    Some(Err(error)) => break error,
                                    None => {
                                        break CallError::Unavailable(
                                            "the stream ended".to_owned(),
                                        );
                                    }
                                }
                            }
                        }
                    };
                    sink.lost();
                    tracing::debug!(client = %name, node = node.address, %problem, "no plan from this node");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        })
    }

    pub(super) async fn screen(
        &self,
        request: &ScreenRequest,
        deadline: Duration,
        metrics: &GatewayMetrics,
    ) -> Result<Verdict, CallError> {
        self.call(Question::Screen(request), deadline, metrics)
            .await
    }

    pub(super) async fn process(
        &self,
        transaction: &Transaction,
        content: &Content,
        deadline: Duration,
        overloaded: bool,
        metrics: &GatewayMetrics,
    ) -> Result<Verdict, CallError> {
        let question = Question::Process(transaction, content, overloaded);
        self.call(question, deadline, metrics).await
    }

    /// How many messages the nodes are asked about at once, at most.
    pub(super) fn admits(&self) -> usize {
        AT_ONCE_EACH * self.nodes.len()
    }

    pub(super) fn settle(&self, settlement: Settlement, metrics: &GatewayMetrics) {
        let Some(node) = self.beside().next() else {
            return;
        };
        let options = options(SETTLE_DEADLINE);
        self.settler
            .settle(node.client.clone(), settlement, options, metrics);
    }

    async fn call(
        &self,
        question: Question<'_>,
        deadline: Duration,
        metrics: &GatewayMetrics,
    ) -> Result<Verdict, CallError> {
        let end = Instant::now() + deadline;
        let mut failed = CallError::Unavailable("there are no nodes".to_owned());
        // As it is now: a node that fails in the loop below must not come up again before one that was not asked.
        let order: Vec<&Node> = self.in_turn().collect();
        // One node is tried again as well: its connection may have been lost before it came back.
        for (n, node) in order.into_iter().cycle().take(TRIES).enumerate() {
            let left = end.saturating_duration_since(Instant::now());
            if n > 0 {
                if left < TOO_LATE {
                    return Err(CallError::Deadline);
                }
                metrics.retried();
            }
            let error = match node.ask(question, options(left)).await {
                Ok(verdict) => return Ok(verdict),
                Err(error) => error,
            };
            let elsewhere = match &error {
                // We hang up only where nobody waits: a call that was cancelled is one that the node let go when it ended.
                CallError::Unavailable(_) | CallError::Cancelled => {
                    node.shun(self.began);
                    true
                }
                CallError::UnknownRevision(_)
                | CallError::Overloaded(_)
                | CallError::NoPolicy(_)
                | CallError::Denied(_)
                | CallError::Store(_) => true,
                CallError::Malformed(_)
                | CallError::TooLarge { .. }
                | CallError::Deadline
                | CallError::Internal(_) => false,
            };
            tracing::debug!(node = node.address, %error, try_elsewhere = elsewhere && n == 0, "a call failed");
            if !elsewhere {
                return Err(error);
            }
            failed = error;
        }
        Err(failed)
    }

    /// All nodes, from the next in turn; those that were not reached just now come last.
    fn in_turn(&self) -> impl Iterator<Item = &Node> {
        self.from(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The same, for what is beside the calls and shall not disturb their turns.
    fn beside(&self) -> impl Iterator<Item = &Node> {
        self.from(self.next.load(Ordering::Relaxed))
    }

    fn from(&self, first: usize) -> impl Iterator<Item = &Node> {
        let now = since(self.began);
        let turn = move || {
            (0..self.nodes.len())
                .map(move |n| &self.nodes[(first.wrapping_add(n)) % self.nodes.len()])
        };
        let shunned = move |node: &&Node| node.shunned_until.load(Ordering::Relaxed) > now;
        turn()
            .filter(move |node| !shunned(node))
            .chain(turn().filter(shunned))
    }
}

impl Node {
    async fn ask(
        &self,
        question: Question<'_>,
        options: CallOptions,
    ) -> Result<Verdict, CallError> {
        match question {
            Question::Screen(request) => self.client.screen(request, options).await,
            Question::Process(transaction, content, overloaded) => {
                let options = CallOptions {
                    overloaded,
                    ..options
                };
                self.client.process(transaction, content, options).await
            }
        }
    }

    fn shun(&self, began: Instant) {
        let until = since(began) + u64::try_from(SHUNNED.as_millis()).unwrap_or(u64::MAX);
        self.shunned_until.store(until, Ordering::Relaxed);
    }
}

fn since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn options(deadline: Duration) -> CallOptions {
    let mut options = CallOptions::deadline(deadline);
    trace_context::inject(&mut options.metadata);
    options
}
