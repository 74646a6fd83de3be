//! What is counted of nodes. The figures lie with the nodes, and are read when somebody asks for them: nothing is
//! looked up on a message's way, and the rows of a node go with it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millrace_runtime::metrics::Metrics;
use millrace_runtime::metrics::prometheus_client::collector::Collector;
use millrace_runtime::metrics::prometheus_client::encoding::{
    DescriptorEncoder, EncodeMetric, MetricEncoder,
};
use millrace_runtime::metrics::prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::node::Node;
use super::pool::Pool;

/// How calls end, and how often each has.
#[derive(Debug, Default)]
pub(super) struct NodeCounts {
    calls: [AtomicU64; RESULTS.len()],
    ejections: [AtomicU64; EJECTIONS.len()],
}

/// What is counted over all nodes.
#[derive(Debug, Default)]
pub(super) struct PoolCounts {
    retries: AtomicU64,
    retries_denied: AtomicU64,
    hedges: AtomicU64,
    hedges_won: AtomicU64,
    hedges_denied: AtomicU64,
    settlements_lost: AtomicU64,
}

/// `ok`, the kinds of [`millrace_proto::CallError`], and calls that were dropped: another node was faster, or nobody
/// waited any more.
const RESULTS: [&str; 16] = [
    "ok",
    "lost",
    "unavailable",
    "deadline",
    "overloaded",
    "outrun",
    "given-up",
    "malformed",
    "unknown-revision",
    "too-large",
    "no-policy",
    "internal",
    "cancelled",
    "denied",
    "store",
    "other",
];
const EJECTIONS: [&str; 3] = ["failures", "slow", "stalled"];

impl NodeCounts {
    pub(super) fn called(&self, result: &str) {
        let place = RESULTS.iter().position(|&known| known == result);
        count(&self.calls[place.unwrap_or(RESULTS.len() - 1)]);
    }

    pub(super) fn ejected(&self, kind: &str) {
        if let Some(place) = EJECTIONS.iter().position(|&known| known == kind) {
            count(&self.ejections[place]);
        }
    }
}

impl PoolCounts {
    pub(super) fn retried(&self) {
        count(&self.retries);
    }

    pub(super) fn retry_denied(&self) {
        count(&self.retries_denied);
    }

    pub(super) fn hedged(&self) {
        count(&self.hedges);
    }

    pub(super) fn hedge_won(&self) {
        count(&self.hedges_won);
    }

    pub(super) fn hedge_denied(&self) {
        count(&self.hedges_denied);
    }

    pub(super) fn settlement_lost(&self) {
        count(&self.settlements_lost);
    }
}

/// Has the pool's figures told with all others.
pub(super) fn register(metrics: &Metrics, pool: &Arc<Pool>) {
    let figures = Figures(pool.clone());
    metrics.with_registry(|registry| registry.register_collector(Box::new(figures)));
}

#[derive(Debug)]
struct Figures(Arc<Pool>);

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(pool) = self;
        let nodes = pool.nodes.load();
        let counts = &pool.counts;
        for (name, help, value) in [
            (
                "retries",
                "Calls that were tried on another node.",
                &counts.retries,
            ),
            (
                "hedges",
                "Calls for which another node was asked beside a slow one.",
                &counts.hedges,
            ),
            (
                "hedges_won",
                "Hedged calls that the other node answered first.",
                &counts.hedges_won,
            ),
            (
                "settlements_lost",
                "Settlements that reached no node.",
                &counts.settlements_lost,
            ),
        ] {
            let metric = ConstCounter::new(value.load(Ordering::Relaxed));
            let name = format!("millrace_gateway_{name}");
            metric.encode(encoder.encode_descriptor(&name, help, None, metric.metric_type())?)?;
        }
        let mut denied = encoder.encode_descriptor(
            "millrace_gateway_budget_exhausted",
            "Retries and hedges that were not made, for their budget was used up.",
            None,
            MetricType::Counter,
        )?;
        for (budget, value) in [
            ("retry", &counts.retries_denied),
            ("hedge", &counts.hedges_denied),
        ] {
            counter(&mut denied, &[("budget", budget)], value)?;
        }
        let mut calls = encoder.encode_descriptor(
            "millrace_gateway_node_calls",
            "Calls of nodes, by how they ended.",
            None,
            MetricType::Counter,
        )?;
        for node in nodes.iter() {
            for (result, value) in RESULTS.iter().zip(&node.counts.calls) {
                if value.load(Ordering::Relaxed) > 0 {
                    let labels = [("node", node.address.as_str()), ("result", result)];
                    counter(&mut calls, &labels, value)?;
                }
            }
        }
        let mut ejections = encoder.encode_descriptor(
            "millrace_gateway_node_ejections",
            "How often nodes were ejected, and why.",
            None,
            MetricType::Counter,
        )?;
        for node in nodes.iter() {
            for (reason, value) in EJECTIONS.iter().zip(&node.counts.ejections) {
                let labels = [("node", node.address.as_str()), ("reason", reason)];
                counter(&mut ejections, &labels, value)?;
            }
        }
        gauges(&mut encoder, &nodes, pool)
    }
}

/// A gauge of each node: its name, what it means, and its value.
type NodeGauge = (&'static str, &'static str, fn(&Node, &Pool) -> usize);

fn gauges(encoder: &mut DescriptorEncoder<'_>, nodes: &[Arc<Node>], pool: &Pool) -> fmt::Result {
    let kinds: [NodeGauge; 5] = [
        (
            "millrace_gateway_node_serving",
            "1 while a node's health serves.",
            |node, _| node.standing.serves().into(),
        ),
        (
            "millrace_gateway_node_ejected",
            "1 while a node is asked only when no other is left.",
            |node, _| (node.standing.serves() && !node.standing.is_sound()).into(),
        ),
        (
            "millrace_gateway_node_policy_differs",
            "1 while a node has another policy in force than most nodes.",
            |node, pool| pool.differs(node).into(),
        ),
        (
            "millrace_gateway_node_in_flight",
            "Calls of a node that are under way.",
            |node, _| node.limit.in_flight(),
        ),
        (
            "millrace_gateway_node_limit",
            "Calls at once that a node is given, as things are now.",
            |node, _| node.limit.limit(),
        ),
    ];
    for (name, help, value) in kinds {
        let mut encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for node in nodes {
            let metric = ConstGauge::new(i64::try_from(value(node, pool)).unwrap_or(i64::MAX));
            metric.encode(encoder.encode_family(&[("node", node.address.as_str())])?)?;
        }
    }
    Ok(())
}

fn counter(
    encoder: &mut MetricEncoder<'_>,
    labels: &[(&str, &str)],
    value: &AtomicU64,
) -> fmt::Result {
    let metric = ConstCounter::new(value.load(Ordering::Relaxed));
    metric.encode(encoder.encode_family(&labels)?)
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
