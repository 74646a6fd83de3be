//! The nodes that are known, and which of them is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use millrace_proto::{CallError, Revision};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tower::retry::budget::{Budget as _, TpsBudget};

use super::UpstreamConfig;
use super::agreement::{self, Speaker};
use super::call::{Call, Journey};
use super::limit;
use super::metrics::PoolCounts;
use super::node::{Node, Visit};
use super::random::Random;
use super::standing::Trust;
use super::window::Window;

/// All nodes that one gateway knows, and what it knows of all of them together.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) config: UpstreamConfig,
    pub(super) nodes: ArcSwap<Vec<Arc<Node>>>,
    pub(super) random: Random,
    /// What answers took of late, at any node.
    pub(super) latency: Window,
    pub(super) counts: PoolCounts,
    pub(super) retries: TpsBudget,
    hedges: TpsBudget,
    /// Whether a source has told of any node.
    pub(super) known: watch::Sender<bool>,
    /// Told when a node is no longer sound, or is one again.
    pub(super) changed: Notify,
    /// The policy that counts for all clients; `None` while no node has told any.
    pub(super) agreed: watch::Sender<Option<Revision>>,
    /// Whom nodes are asked for the plan of, to learn which policy they have; `None` while nobody is served.
    pub(super) speaker: watch::Sender<Option<Speaker>>,
    next_id: AtomicU64,
    room: Notify,
    waiting: AtomicUsize,
}

/// The node for a call.
pub(super) enum Pick {
    /// This one; the call has its place there.
    Node(Visit),
    /// All that are sound have as many calls as they are given.
    Full,
    /// None, and that will not change by waiting.
    None(CallError),
}

/// Slower than this share of all answers is what is hedged.
const HEDGED_QUANTILE: f64 = 0.99;
/// A budget's deposits count for so long.
const BUDGET_SECONDS: Duration = Duration::from_secs(10);
/// Retries and hedges a second that are always there, so that a quiet gateway has some.
const BUDGET_RESERVE: u32 = 10;
/// Calls in hand and none answered for so many times the hedging delay, and for at least so long, are a stall.
const STALL_FACTOR: u32 = 4;
const SHORTEST_STALL: Duration = Duration::from_secs(1);

impl Pool {
    pub(super) fn new(config: UpstreamConfig) -> Self {
        let budget = |share: f32| {
            let reserve = if share == 0.0 { 0 } else { BUDGET_RESERVE };
            TpsBudget::new(BUDGET_SECONDS, reserve, share)
        };
        Self {
            nodes: ArcSwap::default(),
            random: Random::new(config.seed),
            latency: Window::new(HEDGED_QUANTILE),
            counts: PoolCounts::default(),
            retries: budget(config.retry_share),
            hedges: budget(config.hedge_share),
            known: watch::Sender::new(false),
            changed: Notify::new(),
            agreed: watch::Sender::new(None),
            speaker: watch::Sender::new(None),
            next_id: AtomicU64::new(1),
            room: Notify::new(),
            waiting: AtomicUsize::new(0),
            config,
        }
    }

    pub(super) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// How long a call is under way before another node is asked beside it.
    pub(super) fn hedging_delay(&self, now: Instant) -> Duration {
        let quantile = self.latency.quantile(now).unwrap_or_default();
        quantile.max(self.config.hedge_after)
    }

    /// Whether another node may be asked beside one that is slow. Takes it from the budget.
    pub(super) fn may_hedge(&self, call: &Call) -> bool {
        // A message that has cost a node may be what it died of: it is shown to one at a time.
        if call.journey.lost() > 0 || self.config.hedge_share == 0.0 {
            return false;
        }
        let nodes = self.nodes.load();
        let mut others = nodes
            .iter()
            .filter(|node| !call.journey.has_visited(node.id) && may_be_second(node));
        if others.next().is_none() {
            return false;
        }
        let granted = self.hedges.withdraw();
        if !granted {
            self.counts.hedge_denied();
        }
        granted
    }

    /// A call that may be hedged begins: a share of it goes to the budget.
    pub(super) fn deposit_hedge(&self) {
        self.hedges.deposit();
    }

    /// Whether, after one more node, there is another to ask.
    pub(super) fn has_another(&self, journey: &Journey) -> bool {
        let nodes = self.nodes.load();
        let sound = |node: &&Arc<Node>| node.standing.is_sound() && !journey.has_visited(node.id);
        nodes.iter().filter(sound).count() > 1
    }

    /// The better of two sound nodes that have room and were not asked yet; when no sound one is left, the least
    /// bad: that it is one is a hint, too.
    pub(super) fn pick(self: &Arc<Self>, call: &Call) -> Pick {
        let now = Instant::now();
        let nodes = self.nodes.load();
        let (mut free, mut rest) = (Vec::with_capacity(nodes.len()), Vec::new());
        let mut full = false;
        let patience = SHORTEST_STALL.max(self.hedging_delay(now) * STALL_FACTOR);
        for node in nodes.iter() {
            if call.journey.has_visited(node.id) {
                continue;
            }
            if node.is_refused() || !self.is_sound(node, patience, now) {
                rest.push(node);
            } else if node.limit.has_room() {
                free.push(node);
            } else {
                full = true;
            }
        }
        let node = match free.len() {
            0 if call.hedge => match rest.iter().find(|node| may_be_second(node)) {
                Some(node) => node,
                None => return Pick::None(none_left()),
            },
            0 if full => return Pick::Full,
            0 => match rest.iter().min_by_key(|node| least_bad(node)) {
                Some(node) => node,
                None => {
                    call.journey.is_at_its_end();
                    return Pick::None(none_left());
                }
            },
            1 => free[0],
            count => {
                let (one, other) = self.random.two_below(count);
                let (one, other) = (free[one], free[other]);
                if one.cost(now) <= other.cost(now) {
                    one
                } else {
                    other
                }
            }
        };
        Pick::Node(Visit::begin(self, node, call.clone()))
    }

    /// Whether it is sound now: this is where a stall is found.
    fn is_sound(&self, node: &Arc<Node>, patience: Duration, now: Instant) -> bool {
        if !node.standing.is_sound() {
            return false;
        }
        if node.standing.is_stalled(patience, now) {
            self.eject(node, "stalled", "it has calls in hand and answers none");
        }
        node.standing.is_sound()
    }

    /// Takes a node out of turn, unless too few would be left.
    pub(super) fn eject(&self, node: &Arc<Node>, kind: &'static str, reason: &str) {
        let nodes = self.nodes.load();
        let serving = nodes.iter().filter(|node| node.standing.serves()).count();
        let sound = nodes.iter().filter(|node| node.standing.is_sound()).count();
        let ejected = serving - sound;
        // What befalls more than half of all nodes is no node's own.
        if sound < 2 || ejected + 1 > serving.div_ceil(2) {
            return;
        }
        if node.standing.set_trust(Trust::Ejected) {
            node.counts.ejected(kind);
            tracing::warn!(node = %node.address, reason, "a node is ejected");
        }
    }

    /// A node that was ejected or on probation has answered.
    pub(super) fn trust_again(&self, node: &Arc<Node>, before: Trust) {
        if node.standing.set_trust(Trust::Full) {
            node.limit.restore();
            self.room_for_all();
            if before == Trust::Ejected {
                tracing::info!(node = %node.address, "an ejected node answers: it is back in");
            }
        }
    }

    /// Its health was asked after it was ejected, and serves: one call at a time, to begin with.
    pub(super) fn admit(&self, node: &Arc<Node>) {
        if node.standing.trust() != Trust::Ejected {
            return;
        }
        node.limit.on_probation();
        node.load.forget(Instant::now());
        if node.standing.set_trust(Trust::Probation) {
            tracing::info!(node = %node.address, "an ejected node is let back in on probation");
            self.room_for_all();
        }
    }

    /// A node has this policy in force.
    pub(super) fn hears(&self, node: &Node, revision: &Revision) {
        node.has(revision);
        self.agree();
    }

    /// Finds out which policy counts, after something has changed.
    pub(super) fn agree(&self) {
        let nodes = self.nodes.load();
        let serving = nodes.iter().filter(|node| node.standing.serves());
        let revisions: Vec<_> = serving.filter_map(|node| node.revision()).collect();
        let Some(revision) = agreement::agreed(revisions.iter().map(AsRef::as_ref)) else {
            // Whoever comes next is likely to have what was there last.
            return;
        };
        self.agreed.send_if_modified(|agreed| {
            let changed = agreed.as_ref() != Some(&revision);
            if changed {
                tracing::info!(revision = revision.short(), "the nodes' policy");
                *agreed = Some(revision);
                nodes.iter().for_each(|node| node.forgive());
            }
            changed
        });
    }

    /// Whether it has another policy in force than the one that counts.
    pub(super) fn differs(&self, node: &Node) -> bool {
        let agreed = self.agreed.borrow();
        match (agreed.as_ref(), node.revision()) {
            (Some(agreed), Some(revision)) => *revision != *agreed,
            _ => false,
        }
    }

    /// A node has said that it does not know the policy that a message is pinned to. If that is the one that counts, and
    /// the node has another, it is not asked until either changes. A message may also be older than what it knows.
    pub(super) fn does_not_know(&self, node: &Node, revision: Option<&Revision>) {
        let counts = |revision: &&Revision| self.agreed.borrow().as_ref() == Some(*revision);
        let Some(revision) = revision.filter(counts) else {
            return;
        };
        if self.differs(node) && node.refuse() {
            let its = node.revision();
            tracing::warn!(
                node = %node.address,
                its = its.as_ref().map(|its| its.short()),
                nodes = revision.short(),
                "a node has another policy than most nodes, and is not asked; give all nodes the same policy folder, or \
                 publish the policy in etcd"
            );
        }
    }

    /// Its health serves.
    pub(super) fn serves(&self, node: &Arc<Node>) {
        if node.standing.health(true) {
            tracing::info!(node = %node.address, "a node is in: its health serves");
            // What is connected to anew may be another process.
            self.admit(node);
            self.agree();
            self.changed.notify_one();
            self.room_for_all();
        }
    }

    /// Its health does not serve, or is not heard any more. `true` when it did before.
    pub(super) fn is_out(&self, node: &Arc<Node>, reason: &str) -> bool {
        let was_in = node.standing.health(false);
        if was_in {
            tracing::warn!(node = %node.address, reason, "a node is out");
            self.agree();
            self.changed.notify_one();
            // Who waits for room there is to look elsewhere.
            self.room_for_all();
        }
        was_in
    }

    /// How many messages the nodes are asked about at once: what those that are sound have earned; what they all
    /// have while none is.
    pub(super) fn admits(&self) -> usize {
        let nodes = self.nodes.load();
        let sound = nodes.iter().filter(|node| node.standing.is_sound());
        let earned: usize = sound.map(|node| node.limit.limit()).sum();
        if earned > 0 {
            return earned;
        }
        let all: usize = nodes.iter().map(|node| node.limit.limit()).sum();
        all.max(limit::FIRST)
    }

    /// A place has become free.
    pub(super) fn room_for_one(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.room.notify_one();
        }
    }

    /// Things have changed: whoever waits looks again.
    pub(super) fn room_for_all(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.room.notify_waiters();
        }
    }

    /// A place for a call, as soon as there is one.
    ///
    /// # Errors
    /// There is nobody to ask, or there was no room in time.
    pub(super) async fn place(self: &Arc<Self>, call: &Call) -> Result<Visit, CallError> {
        match self.pick(call) {
            Pick::Node(visit) => return Ok(visit),
            Pick::None(error) => return Err(error),
            Pick::Full => {}
        }
        let _waiting = Waiting::new(&self.waiting);
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            // From here on no place that becomes free is missed.
            room.as_mut().enable();
            match self.pick(call) {
                Pick::Node(visit) => return Ok(visit),
                Pick::None(error) => return Err(error),
                Pick::Full => {}
            }
            if tokio::time::timeout_at(call.end, room).await.is_err() {
                return Err(CallError::Overloaded(
                    "every node has as many calls as it can take".to_owned(),
                ));
            }
        }
    }
}

/// Somebody waits for room.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether a node may be asked beside a slow one. One that is ejected may: if it answers it is well again, and if it
/// does not, nothing is lost.
fn may_be_second(node: &Node) -> bool {
    node.standing.serves() && node.limit.has_room() && !node.is_refused()
}

/// Those whose health serves and who know the policy first, and those with the fewest failures.
fn least_bad(node: &Node) -> (bool, bool, u32, usize) {
    let standing = &node.standing;
    (
        node.is_refused(),
        !standing.serves(),
        standing.failures(),
        node.limit.in_flight(),
    )
}

fn none_left() -> CallError {
    CallError::Unavailable("there is no other node to ask".to_owned())
}
