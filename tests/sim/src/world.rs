//! What the hosts of one run share, and what the time line moves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use millrace_runtime::metrics::Metrics;
use millrace_runtime::metrics::prometheus_client::encoding::text;
use mpd_node::policy::Policy;
use tokio::sync::watch;

use crate::faults::Size;
use crate::record::Record;

/// What a gateway's source of nodes tells: nodes in this order, or a problem.
pub(crate) type Told = Option<Vec<usize>>;

pub(crate) struct World {
    pub(crate) seed: u64,
    /// When all is well again.
    pub(crate) recovered: Duration,
    pub(crate) record: Record,
    /// All policies that are ever published, in order.
    policies: &'static [Arc<Policy>],
    published: watch::Sender<usize>,
    /// The policy that each node has heard of.
    heard: Vec<watch::Sender<usize>>,
    pub(crate) members: Vec<watch::Sender<Told>>,
    /// Of each process that runs now.
    metrics: Mutex<BTreeMap<String, Metrics>>,
}

/// Policies that a run publishes at most.
const POLICIES: usize = 12;
/// Gauges that are 0 when nothing is in hand.
const IN_HAND: [&str; 6] = [
    "millrace_gateway_connections",
    "millrace_gateway_memory_bytes",
    "millrace_gateway_spool_bytes",
    "millrace_gateway_queue_messages",
    "millrace_gateway_node_in_flight",
    "millrace_node_in_flight",
];

impl World {
    pub(crate) fn new(seed: u64, size: Size, recovered: Duration) -> Self {
        let world = Self {
            seed,
            recovered,
            record: Record::default(),
            policies: policies(),
            published: watch::Sender::new(0),
            heard: (0..size.nodes).map(|_| watch::Sender::new(0)).collect(),
            members: (0..size.gateways)
                .map(|_| watch::Sender::new(Some((0..size.nodes).collect())))
                .collect(),
            metrics: Mutex::default(),
        };
        world.note_published(0);
        world
    }

    pub(crate) fn policy(&self, number: usize) -> Arc<Policy> {
        self.policies[number].clone()
    }

    /// What a node has heard of, from now on.
    pub(crate) fn heard(&self, node: usize) -> watch::Receiver<usize> {
        self.heard[node].subscribe()
    }

    pub(crate) fn publish(&self) {
        let next = (*self.published.borrow() + 1).min(POLICIES - 1);
        self.note_published(next);
        self.published.send_replace(next);
    }

    pub(crate) fn tell(&self, node: usize) {
        self.heard[node].send_replace(*self.published.borrow());
    }

    fn note_published(&self, number: usize) {
        let revision = self.policies[number].revision().short().to_owned();
        self.record.seen().published.insert(revision, number);
    }

    pub(crate) fn measures(&self, host: String, metrics: &Metrics) {
        let mut all = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(host, metrics.clone());
    }

    /// Notes what is still in hand.
    pub(crate) fn look_for_leaks(&self) {
        let all = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = Vec::new();
        for (host, metrics) in all.iter() {
            let mut told = String::new();
            let encoded = metrics.with_registry(|registry| text::encode(&mut told, registry));
            encoded.expect("a string takes what is written");
            left.extend(
                told.lines()
                    .filter(|line| in_hand(line))
                    .map(|line| format!("{host}: {line}")),
            );
        }
        self.record.seen().left = left;
    }
}

fn in_hand(line: &str) -> bool {
    let Some((name, value)) = line.rsplit_once(' ') else {
        return false;
    };
    let name = name.split('{').next().unwrap_or_default();
    IN_HAND.contains(&name) && value.parse() != Ok(0.0)
}

/// Compiled once for all runs.
fn policies() -> &'static [Arc<Policy>] {
    static COMPILED: OnceLock<Vec<Arc<Policy>>> = OnceLock::new();
    COMPILED.get_or_init(|| (0..POLICIES).map(policy).collect())
}

/// A policy that writes into each message by which policy it was judged.
fn policy(number: usize) -> Arc<Policy> {
    let text = format!(
        "[[action]]\nname = \"mark\"\nwhen = \"1\"\n\
         add_header = \"X-Judged: {{revision}} {{transaction}} {number}\"\n"
    );
    let files = BTreeMap::from([("policy.toml".to_owned(), text)]);
    Policy::from_files(files).unwrap_or_else(|errors| panic!("{errors}"))
}
