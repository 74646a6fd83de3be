//! What a gateway counts, all under `millrace_gateway_`. Labels are bounded: clients are those of the
//! configuration, everything else is a closed set.

use std::fmt;

use millrace_proto::{ClientName, Disposition, Stage};
use millrace_runtime::metrics::{Latency, LatencyFamily, Metrics, SIZE_BUCKETS};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::failure::{FailureAction, FailureKind};

/// The gateway's metrics, before they are taken apart by client.
#[derive(Debug, Clone)]
pub(crate) struct GatewayMetrics {
    connections: Family<ClientLabel, Gauge>,
    accepted: Family<ClientLabel, Counter>,
    refused: Family<RefusedLabels, Counter>,
    broken: Family<BrokenLabels, Counter>,
    verdicts: Family<VerdictLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    aborted: Family<ClientLabel, Counter>,
    passed_on: Family<PassedOnLabels, Counter>,
    stages: Family<StageLabels, Histogram, Latency>,
    message_bytes: Family<ClientLabel, Histogram, Sizes>,
    queued: Family<ClientLabel, Gauge>,
    waited: LatencyFamily<ClientLabel>,
    shed: Family<ClientLabel, Counter>,
    spooled: Counter,
    memory: Gauge,
    spool: Gauge,
}

/// Handles for one client: found once, when it is configured.
#[derive(Debug)]
pub(crate) struct ClientMetrics {
    pub(crate) connections: Gauge,
    pub(crate) accepted: Counter,
    pub(crate) aborted: Counter,
    pub(crate) message_bytes: Histogram,
    /// Messages that wait for their turn.
    pub(crate) queued: Gauge,
    /// How long those waited that had to.
    pub(crate) waited: Histogram,
    /// Those whose turn did not come.
    pub(crate) shed: Counter,
    stages: [Histogram; Stage::ALL.len()],
    message_verdicts: [Counter; DISPOSITIONS.len()],
    client: Name,
    all: GatewayMetrics,
}

/// Why a connection was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Refused {
    /// Its address is not in the allow-list.
    NotAllowed,
    /// There are too many.
    TooMany,
}

/// Why a connection was given up by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Broken {
    /// Something else than the milter protocol came.
    WrongProtocol,
    /// The milter protocol was broken.
    Protocol,
    /// Nothing came for too long.
    Idle,
    /// The socket failed.
    Socket,
    /// A fault of ours.
    Panic,
}

const DISPOSITIONS: [Disposition; 5] = [
    Disposition::Accept,
    Disposition::Reject,
    Disposition::Tempfail,
    Disposition::Discard,
    Disposition::Hold,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClientLabel {
    client: Name,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    client: Name,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BrokenLabels {
    client: Name,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    client: Name,
    stage: &'static str,
    disposition: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    client: Name,
    kind: &'static str,
    action: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PassedOnLabels {
    client: Name,
    answer: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    client: Name,
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name(ClientName);

impl EncodeLabelValue for Name {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.as_str().encode(encoder)
    }
}

#[derive(Debug, Clone, Copy)]
struct Sizes;

impl MetricConstructor<Histogram> for Sizes {
    fn new_metric(&self) -> Histogram {
        Histogram::new(SIZE_BUCKETS)
    }
}

impl GatewayMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        Self {
            connections: metrics.gauges(
                "millrace_gateway_connections",
                "Milter connections that are open",
            ),
            accepted: metrics.counters(
                "millrace_gateway_connections_accepted",
                "Milter connections taken",
            ),
            refused: metrics.counters(
                "millrace_gateway_connections_refused",
                "Milter connections not taken",
            ),
            broken: metrics.counters(
                "millrace_gateway_connections_broken",
                "Milter connections given up by the gateway",
            ),
            verdicts: metrics.counters(
                "millrace_gateway_verdicts",
                "Verdicts carried out, by stage",
            ),
            failures: metrics.counters(
                "millrace_gateway_failures",
                "Questions without a verdict, and what was done",
            ),
            aborted: metrics.counters(
                "millrace_gateway_aborted",
                "Messages that the mail server withdrew",
            ),
            passed_on: metrics.counters(
                "millrace_gateway_passed_on",
                "Messages passed on by QMQP, and what the downstream server answered",
            ),
            stages: metrics.latencies(
                "millrace_gateway_answer_seconds",
                "Time from a mail server's question to the answer, by stage",
            ),
            message_bytes: metrics.register(
                "millrace_gateway_message_bytes",
                "Size of messages",
                Family::new_with_constructor(Sizes),
            ),
            queued: metrics.gauges(
                "millrace_gateway_queue_messages",
                "Messages that wait for their turn to be judged",
            ),
            waited: metrics.latencies(
                "millrace_gateway_queue_wait_seconds",
                "How long messages waited for their turn, of those that had to",
            ),
            shed: metrics.counters(
                "millrace_gateway_queue_shed",
                "Messages whose turn did not come",
            ),
            spooled: metrics.counter(
                "millrace_gateway_spooled_messages",
                "Messages that were written to a spool file",
            ),
            memory: metrics.gauge(
                "millrace_gateway_memory_bytes",
                "Memory reserved for messages",
            ),
            spool: metrics.gauge("millrace_gateway_spool_bytes", "Bytes in spool files"),
        }
    }

    pub(crate) fn client(&self, name: &ClientName) -> ClientMetrics {
        let client = Name(name.clone());
        let label = ClientLabel {
            client: client.clone(),
        };
        ClientMetrics {
            connections: self.connections.get_or_create_owned(&label),
            accepted: self.accepted.get_or_create_owned(&label),
            aborted: self.aborted.get_or_create_owned(&label),
            message_bytes: self.message_bytes.get_or_create_owned(&label),
            queued: self.queued.get_or_create_owned(&label),
            waited: self.waited.get_or_create_owned(&label),
            shed: self.shed.get_or_create_owned(&label),
            stages: Stage::ALL.map(|stage| {
                let labels = StageLabels {
                    client: client.clone(),
                    stage: stage.name(),
                };
                self.stages.get_or_create_owned(&labels)
            }),
            message_verdicts: DISPOSITIONS.map(|disposition| {
                self.verdicts.get_or_create_owned(&VerdictLabels {
                    client: client.clone(),
                    stage: Stage::EndOfMessage.name(),
                    disposition: disposition.name(),
                })
            }),
            client,
            all: self.clone(),
        }
    }

    pub(crate) fn spooled(&self) {
        self.spooled.inc();
    }

    /// The shared budgets, as they are now.
    pub(crate) fn reserved(&self, memory: u64, spool: u64) {
        self.memory.set(i64::try_from(memory).unwrap_or(i64::MAX));
        self.spool.set(i64::try_from(spool).unwrap_or(i64::MAX));
    }
}

impl ClientMetrics {
    pub(crate) fn all(&self) -> &GatewayMetrics {
        &self.all
    }

    pub(crate) fn refused(&self, reason: Refused) {
        let labels = RefusedLabels {
            client: self.client.clone(),
            reason: reason.name(),
        };
        self.all.refused.get_or_create(&labels).inc();
    }

    pub(crate) fn broken(&self, reason: Broken) {
        let labels = BrokenLabels {
            client: self.client.clone(),
            reason: reason.name(),
        };
        self.all.broken.get_or_create(&labels).inc();
    }

    pub(crate) fn answered(&self, stage: Stage, took: std::time::Duration) {
        self.stages[stage as usize].observe(took.as_secs_f64());
    }

    pub(crate) fn verdict(&self, stage: Stage, disposition: Disposition) {
        let place = DISPOSITIONS.iter().position(|&known| known == disposition);
        if let (Stage::EndOfMessage, Some(place)) = (stage, place) {
            self.message_verdicts[place].inc();
            return;
        }
        let labels = VerdictLabels {
            client: self.client.clone(),
            stage: stage.name(),
            disposition: disposition.name(),
        };
        self.all.verdicts.get_or_create(&labels).inc();
    }

    pub(crate) fn passed_on(&self, answer: &'static str) {
        let labels = PassedOnLabels {
            client: self.client.clone(),
            answer,
        };
        self.all.passed_on.get_or_create(&labels).inc();
    }

    pub(crate) fn failure(&self, kind: FailureKind, action: FailureAction) {
        let labels = FailureLabels {
            client: self.client.clone(),
            kind: kind.name(),
            action: action.name(),
        };
        self.all.failures.get_or_create(&labels).inc();
    }
}

impl Refused {
    fn name(self) -> &'static str {
        match self {
            Self::NotAllowed => "not-allowed",
            Self::TooMany => "too-many",
        }
    }
}

impl Broken {
    fn name(self) -> &'static str {
        match self {
            Self::WrongProtocol => "wrong-protocol",
            Self::Protocol => "protocol",
            Self::Idle => "idle",
            Self::Socket => "socket",
            Self::Panic => "panic",
        }
    }
}
