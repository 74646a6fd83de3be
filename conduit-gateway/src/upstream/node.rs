//! One node: its connection, and what is known of it. Here, and nowhere above, is a gRPC call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use millrace_client::{CallOptions, Client};
use millrace_proto::{CallError, Revision, Verdict};
use millrace_runtime::trace_context;
use tokio::time::Instant;

use super::call::{Answer, Call, Question};
use super::discovery::NodeAddress;
use super::ewma::Ewma;
use super::limit::Limit;
use super::metrics::NodeCounts;
use super::pool::Pool;
use super::standing::{Outcome, Standing};

/// Tells nodes apart; none comes twice.
pub(super) type NodeId = u64;

/// A node, as one gateway sees it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) address: NodeAddress,
    pub(super) client: Client,
    pub(super) load: Ewma,
    pub(super) limit: Limit,
    pub(super) standing: Standing,
    pub(super) counts: NodeCounts,
    /// Whether a source knows of it.
    pub(super) hinted: AtomicBool,
    /// The policy that it has in force, as far as it was heard.
    revision: ArcSwapOption<Revision>,
    /// Whether it could not judge by the policy that most nodes have.
    refused: AtomicBool,
    /// What it calls itself in its verdicts.
    name: ArcSwapOption<String>,
}

/// One call of a node, from its beginning to whatever end it takes.
#[derive(Debug)]
pub(super) struct Visit {
    pool: Arc<Pool>,
    node: Arc<Node>,
    call: Call,
    begun: Instant,
    over: bool,
}

impl Node {
    pub(super) fn new(id: NodeId, address: NodeAddress, client: Client, most_calls: usize) -> Self {
        Self {
            id,
            address,
            client,
            load: Ewma::new(),
            limit: Limit::new(most_calls),
            standing: Standing::new(),
            counts: NodeCounts::default(),
            hinted: AtomicBool::new(true),
            revision: ArcSwapOption::empty(),
            refused: AtomicBool::new(false),
            name: ArcSwapOption::empty(),
        }
    }

    /// What another call would cost there: how long it takes, times how many would be under way.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn cost(&self, now: Instant) -> f64 {
        self.load.estimate(now) * (self.limit.in_flight() + 1) as f64
    }

    /// Whether it signs its verdicts so.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name
            .load()
            .as_ref()
            .is_some_and(|known| known.as_str() == name)
    }

    /// It has this policy in force now.
    pub(super) fn has(&self, revision: &Revision) {
        let known = self.revision.load();
        if known.as_ref().is_none_or(|known| **known != *revision) {
            self.revision.store(Some(Arc::new(revision.clone())));
            self.forgive();
        }
    }

    /// The policy that it has in force; `None` while that was not heard.
    pub(super) fn revision(&self) -> Option<Arc<Revision>> {
        self.revision.load_full()
    }

    /// Whether it is not asked for its policy's sake.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Another policy counts now, which it may be able to judge by, or it has another one.
    pub(super) fn forgive(&self) {
        if self.refused.swap(false, Ordering::Relaxed) {
            // That it could not judge is no sign of how fast it is.
            self.load.forget(Instant::now());
        }
    }

    /// `true` when it was not refused before.
    pub(super) fn refuse(&self) -> bool {
        !self.refused.swap(true, Ordering::Relaxed)
    }

    fn signs(&self, name: &str) {
        if !self.is_named(name) {
            self.name.store(Some(Arc::new(name.to_owned())));
        }
    }
}

impl Visit {
    /// Takes a place at a node.
    pub(super) fn begin(pool: &Arc<Pool>, node: &Arc<Node>, call: Call) -> Self {
        let begun = Instant::now();
        node.limit.enter();
        if call.may_be_hedged() {
            node.standing.begins(begun);
        }
        call.journey.visits(node.id);
        Self {
            pool: pool.clone(),
            node: node.clone(),
            call,
            begun,
            over: false,
        }
    }

    /// Asks. Dropping the future cancels the call at the node.
    pub(super) fn ask(mut self) -> Answer {
        Box::pin(async move {
            let client = &self.node.client;
            let mut options =
                CallOptions::deadline(self.call.end.saturating_duration_since(self.begun));
            trace_context::inject(&mut options.metadata);
            let result = match &self.call.question {
                Question::Screen(request) => client.screen(request, options).await,
                Question::Process(transaction, content, overloaded) => {
                    options.overloaded = *overloaded;
                    client.process(transaction, content, options).await
                }
            };
            self.ends(&result);
            result
        })
    }

    fn ends(&mut self, result: &Result<Verdict, CallError>) {
        self.over = true;
        let Self { pool, node, .. } = self;
        let now = Instant::now();
        let took = now.saturating_duration_since(self.begun);
        node.limit.leave();
        let outcome = match result {
            Ok(verdict) => {
                node.signs(&verdict.node);
                if self.call.is_typical() {
                    node.load.observe(took, now);
                    pool.latency.observe(took, now);
                    if node.limit.answered(took) {
                        pool.room_for_all();
                    }
                }
                Outcome::Answered
            }
            // The same anywhere: it says nothing against the node.
            Err(CallError::Malformed(_) | CallError::TooLarge { .. } | CallError::Suspect(_)) => {
                Outcome::Answered
            }
            // It is alive, and does what it can.
            Err(CallError::Overloaded(_)) => {
                node.limit.overrun();
                node.load.penalise(now);
                Outcome::Answered
            }
            Err(CallError::UnknownRevision(_)) => {
                pool.does_not_know(node, self.call.revision());
                node.load.penalise(now);
                Outcome::Answered
            }
            Err(error) => {
                match error {
                    CallError::Lost(_) => self.call.journey.lost_a_node(),
                    CallError::Deadline => node.limit.overrun(),
                    _ => {}
                }
                node.load.penalise(now);
                Outcome::Failed
            }
        };
        node.counts
            .called(result.as_ref().map_or_else(CallError::kind, |_| "ok"));
        if self.call.may_be_hedged() {
            node.standing.ends(outcome, now);
        }
        match outcome {
            Outcome::Answered => {
                if let Some(trust) = node.standing.answered() {
                    pool.trust_again(node, trust);
                }
            }
            _ => {
                if node.standing.failed() {
                    let error = result.as_ref().err().map(ToString::to_string);
                    let reason = format!("failures in a row: {}", error.unwrap_or_default());
                    pool.eject(node, "failures", &reason);
                }
            }
        }
        pool.room_for_one();
    }

    /// The call is dropped: another node was faster, or nobody waits any more.
    fn given_up(&mut self) {
        let Self { pool, node, .. } = self;
        let now = Instant::now();
        node.limit.leave();
        // The one that was asked beside it had less time.
        let outrun = self.call.journey.was_answered() && !self.call.hedge;
        let outcome = if outrun {
            Outcome::Outrun
        } else {
            Outcome::GivenUp
        };
        node.counts
            .called(if outrun { "outrun" } else { "given-up" });
        if self.call.may_be_hedged() {
            node.standing.ends(outcome, now);
        }
        if outrun {
            node.load
                .observe(now.saturating_duration_since(self.begun), now);
            if node.standing.failed() {
                pool.eject(
                    node,
                    "slow",
                    "others had to answer in its place again and again",
                );
            }
        }
        pool.room_for_one();
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if !self.over {
            self.given_up();
        }
    }
}

impl Node {
    pub(super) fn is_hinted(&self) -> bool {
        self.hinted.load(Ordering::Relaxed)
    }
}
