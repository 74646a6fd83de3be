//! What a node counts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use millrace_proto::{CallError, Revision, Settlement, Stage, Verdict};
use millrace_runtime::metrics::{Metrics, SIZE_BUCKETS};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric, LabelValueEncoder,
};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;

use crate::difference::Difference;

/// Handles to a node's metrics.
#[derive(Debug)]
pub(crate) struct NodeMetrics {
    verdicts: Family<VerdictLabels, Counter>,
    errors: Family<ErrorLabels, Counter>,
    symbols: Family<SymbolLabels, Counter>,
    distinct_symbols: AtomicUsize,
    unscanned: Family<CheckLabels, Counter>,
    degradations: Counter,
    settlements: Family<OutcomeLabels, Counter>,
    judging: Family<StageLabels, Histogram, Buckets>,
    checks: Family<CheckLabels, Histogram, Buckets>,
    message_bytes: Histogram,
    in_flight: Gauge,
}

/// Policies come and go; the names that they bring are counted up to here.
const DISTINCT_SYMBOLS: usize = 2000;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    stage: &'static str,
    disposition: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
    disposition: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    check: Name,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SymbolLabels {
    symbol: Name,
}

/// A label's value that is shared, not copied, at each look-up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name(Arc<str>);

impl EncodeLabelValue for Name {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.as_ref().encode(encoder)
    }
}

/// Makes histograms of seconds of a check's work: 2.5 µs to 10 s.
#[derive(Debug, Clone, Copy)]
struct Buckets;

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new([
            0.000_002_5,
            0.000_01,
            0.000_025,
            0.000_05,
            0.000_1,
            0.000_25,
            0.000_5,
            0.001,
            0.002_5,
            0.005,
            0.01,
            0.025,
            0.05,
            0.1,
            0.5,
            2.5,
            10.0,
        ])
    }
}

impl NodeMetrics {
    /// Registers the metrics, all under `millrace_node_`.
    pub(crate) fn register(metrics: &Metrics) -> Arc<Self> {
        Arc::new(Self {
            verdicts: metrics.counters("millrace_node_verdicts", "Verdicts given"),
            errors: metrics.counters("millrace_node_errors", "Calls without a verdict"),
            symbols: metrics.counters("millrace_node_symbols", "Findings, by symbol"),
            distinct_symbols: AtomicUsize::new(0),
            unscanned: metrics.counters("millrace_node_unscanned", "Checks not done"),
            degradations: metrics.counter(
                "millrace_node_degradations",
                "Things a policy wanted and a conduit could not do",
            ),
            settlements: metrics.counters(
                "millrace_node_settlements",
                "What was done with judged messages",
            ),
            judging: metrics.register(
                "millrace_node_judging_seconds",
                "Time to a verdict",
                Family::new_with_constructor(Buckets),
            ),
            checks: metrics.register(
                "millrace_node_check_seconds",
                "Time in one check",
                Family::new_with_constructor(Buckets),
            ),
            message_bytes: metrics.register(
                "millrace_node_message_bytes",
                "Size of messages",
                Histogram::new(SIZE_BUCKETS),
            ),
            in_flight: metrics.gauge("millrace_node_in_flight", "Messages being judged"),
        })
    }

    /// Registers what is said of the policy: which revision is in force, and
    /// whether its folder holds one that was refused.
    pub(crate) fn tell_policy(
        metrics: &Metrics,
        look: impl Fn() -> PolicyState + Send + Sync + 'static,
    ) {
        let collector = PolicyCollector {
            look: Box::new(look),
        };
        metrics.with_registry(|registry| registry.register_collector(Box::new(collector)));
    }

    /// Counts a message as in flight until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>, bytes: usize) -> InFlight {
        self.in_flight.inc();
        // Far below 2^53, where f64 stops counting bytes.
        #[allow(clippy::cast_precision_loss)]
        self.message_bytes.observe(bytes as f64);
        InFlight(self.clone())
    }

    /// Counts a verdict of a stage.
    pub(crate) fn verdict(&self, stage: Stage, verdict: &Verdict, took: Duration) {
        self.verdicts
            .get_or_create(&VerdictLabels {
                stage: stage.name(),
                disposition: verdict.disposition.name(),
            })
            .inc();
        self.judging
            .get_or_create(&StageLabels {
                stage: stage.name(),
            })
            .observe(took.as_secs_f64());
        for time in &verdict.times {
            let check = Name(time.check.clone());
            let seconds = Duration::from_micros(time.microseconds).as_secs_f64();
            self.checks
                .get_or_create(&CheckLabels { check })
                .observe(seconds);
        }
        for finding in &verdict.findings {
            self.symbol(&finding.symbol);
        }
        for unscanned in &verdict.unscanned {
            let check = Name(unscanned.check.as_str().into());
            self.unscanned.get_or_create(&CheckLabels { check }).inc();
        }
        self.degradations.inc_by(verdict.degradations.len() as u64);
    }

    fn symbol(&self, symbol: &Arc<str>) {
        let labels = SymbolLabels {
            symbol: Name(symbol.clone()),
        };
        if let Some(counter) = self.symbols.get(&labels) {
            counter.inc();
            return;
        }
        if self.distinct_symbols.fetch_add(1, Ordering::Relaxed) < DISTINCT_SYMBOLS {
            self.symbols.get_or_create(&labels).inc();
        }
    }

    /// Counts a call that ended without a verdict.
    pub(crate) fn error(&self, error: &CallError) {
        let kind = error.kind();
        self.errors.get_or_create(&ErrorLabels { kind }).inc();
    }

    /// Counts what was done in the end.
    pub(crate) fn settled(&self, settlement: &Settlement) {
        self.settlements
            .get_or_create(&OutcomeLabels {
                outcome: settlement.outcome.kind.name(),
                disposition: settlement.outcome.disposition.name(),
            })
            .inc();
    }
}

/// Handles to what is counted of a candidate policy.
#[derive(Debug)]
pub(crate) struct ShadowMetrics {
    messages: Family<ResultLabels, Counter>,
    dispositions: Family<ChangeLabels, Counter>,
    crossings: Family<CrossingLabels, Counter>,
    symbols: Family<SymbolChangeLabels, Counter>,
    distinct_symbols: AtomicUsize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChangeLabels {
    from: &'static str,
    to: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CrossingLabels {
    candidate: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SymbolChangeLabels {
    symbol: Name,
    change: &'static str,
}

impl ShadowMetrics {
    /// Registers the metrics, all under `millrace_node_shadow_`.
    pub(crate) fn register(metrics: &Metrics) -> Self {
        Self {
            messages: metrics.counters(
                "millrace_node_shadow_messages",
                "Messages that a candidate policy was to judge too",
            ),
            dispositions: metrics.counters(
                "millrace_node_shadow_dispositions",
                "Messages of which a candidate policy makes something else",
            ),
            crossings: metrics.counters(
                "millrace_node_shadow_crossings",
                "Messages whose score only one of both policies finds high enough to refuse them",
            ),
            symbols: metrics.counters(
                "millrace_node_shadow_symbols",
                "Symbols that make a difference, by what the candidate does",
            ),
            distinct_symbols: AtomicUsize::new(0),
        }
    }

    /// There was no room for the message.
    pub(crate) fn passed_by(&self) {
        self.result("passed-by");
    }

    /// The candidate failed over the message.
    pub(crate) fn failed(&self) {
        self.result("failed");
    }

    /// Both come to the same.
    pub(crate) fn same(&self) {
        self.result("same");
    }

    /// They do not.
    pub(crate) fn different(&self, difference: &Difference) {
        self.result("different");
        let (before, after) = (&difference.before, &difference.after);
        if difference.acts() {
            let (from, to) = (before.disposition.name(), after.disposition.name());
            self.dispositions
                .get_or_create(&ChangeLabels { from, to })
                .inc();
        }
        if difference.crosses() {
            let candidate = if after.is_over() { "over" } else { "under" };
            self.crossings
                .get_or_create(&CrossingLabels { candidate })
                .inc();
        }
        for changed in &difference.symbols {
            let change = match (changed.before, changed.after) {
                (None, _) => "raised",
                (_, None) => "not-raised",
                _ => "scored",
            };
            let labels = SymbolChangeLabels {
                symbol: Name(changed.symbol.clone()),
                change,
            };
            if let Some(counter) = self.symbols.get(&labels) {
                counter.inc();
                continue;
            }
            if self.distinct_symbols.fetch_add(1, Ordering::Relaxed) < DISTINCT_SYMBOLS {
                self.symbols.get_or_create(&labels).inc();
            }
        }
    }

    fn result(&self, result: &'static str) {
        self.messages.get_or_create(&ResultLabels { result }).inc();
    }
}

/// How things stand with the policy.
#[derive(Debug)]
pub(crate) struct PolicyState {
    /// The revision in force.
    pub(crate) revision: Revision,
    /// The folder, or etcd, holds something else, which does not compile.
    pub(crate) refused: bool,
    /// The policy comes from etcd, and nothing is heard from there.
    pub(crate) lost: bool,
    /// The revision that is tried beside it.
    pub(crate) candidate: Option<Revision>,
}

/// Looks at the policy when somebody asks for the metrics.
struct PolicyCollector {
    look: Box<dyn Fn() -> PolicyState + Send + Sync>,
}

impl fmt::Debug for PolicyCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyCollector").finish_non_exhaustive()
    }
}

impl Collector for PolicyCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let state = (self.look)();
        let revision = Info::new(vec![("revision", state.revision.as_str().to_owned())]);
        revision.encode(encoder.encode_descriptor(
            "millrace_node_policy",
            "The policy revision in force.",
            None,
            revision.metric_type(),
        )?)?;
        let refused = ConstGauge::new(i64::from(state.refused));
        refused.encode(encoder.encode_descriptor(
            "millrace_node_policy_refused",
            "1 while the policy's folder, or etcd, holds one that does not compile.",
            None,
            refused.metric_type(),
        )?)?;
        let lost = ConstGauge::new(i64::from(state.lost));
        lost.encode(encoder.encode_descriptor(
            "millrace_node_policy_unfollowed",
            "1 while changes of the policy in etcd are not heard of.",
            None,
            lost.metric_type(),
        )?)?;
        let Some(candidate) = state.candidate else {
            return Ok(());
        };
        let candidate = Info::new(vec![("revision", candidate.as_str().to_owned())]);
        candidate.encode(encoder.encode_descriptor(
            "millrace_node_shadow_policy",
            "The policy revision that is tried beside the one in force.",
            None,
            candidate.metric_type(),
        )?)
    }
}

/// A message in flight.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<NodeMetrics>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}
