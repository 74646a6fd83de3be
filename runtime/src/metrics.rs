//! The process's metrics: one registry, filled by whoever owns what is measured, read by the admin port.
//!
//! `prometheus-client` and not the OpenTelemetry metrics SDK: a counter is one atomic addition on the message's
//! way and nothing runs in between (no views, no attribute sets built per measurement, no export pipeline), and
//! it writes OpenMetrics text itself. Traces, where OpenTelemetry is at home, do use it.
//!
//! Who owns a stage, a check or a client registers its histogram at start and keeps the handle. A label whose
//! values come from outside (client names) goes through a [`BoundedLabel`].

mod bounded;
mod exposition;
mod process;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

pub use bounded::{BoundedLabel, OTHER};
pub use prometheus_client;

pub(crate) use exposition::Exposition;

/// Upper bounds of latency histograms, in seconds: from a verdict out of the cache to an MTA's last patience.
pub const LATENCY_BUCKETS: [f64; 15] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
    120.0,
];

/// Upper bounds of size histograms, in bytes: 1 KiB to 64 MiB.
pub const SIZE_BUCKETS: [f64; 9] = [
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// The process's metrics. Cheap to clone; all clones are the same registry.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

/// Histograms of latency in seconds, by a label set.
pub type LatencyFamily<L> = Family<L, Histogram, Latency>;

/// Makes histograms with [`LATENCY_BUCKETS`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Latency;

impl MetricConstructor<Histogram> for Latency {
    fn new_metric(&self) -> Histogram {
        Histogram::new(LATENCY_BUCKETS)
    }
}

impl Metrics {
    /// A registry that has the process's own figures and `millrace_build_info` in it. `service` is the
    /// process's name, such as `mpd-node`.
    #[must_use]
    pub fn new(service: &str) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::ProcessCollector::new()));
        let build = vec![
            ("service", service.to_owned()),
            ("version", crate::VERSION.to_owned()),
        ];
        registry.register("millrace_build", "What is running", Info::new(build));
        Self {
            registry: Arc::new(Mutex::new(registry)),
        }
    }

    /// Registers a metric under its full name, without `_total` for a counter, and gives it back.
    ///
    /// The help text needs no full stop: one is added.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        self.locked().register(name, help, metric.clone());
        metric
    }

    /// Gives the registry to someone who registers metrics of their own, under their full names.
    pub fn with_registry<T>(&self, register: impl FnOnce(&mut Registry) -> T) -> T {
        register(&mut self.locked())
    }

    /// A counter without labels.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        self.register(name, help, Counter::default())
    }

    /// A gauge without labels.
    #[must_use]
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.register(name, help, Gauge::default())
    }

    /// Counters by a label set.
    #[must_use]
    pub fn counters<L: LabelSet>(&self, name: &str, help: &str) -> Family<L, Counter> {
        self.register(name, help, Family::default())
    }

    /// Gauges by a label set.
    #[must_use]
    pub fn gauges<L: LabelSet>(&self, name: &str, help: &str) -> Family<L, Gauge> {
        self.register(name, help, Family::default())
    }

    /// A latency histogram without labels; `name` ends in `_seconds`.
    #[must_use]
    pub fn latency(&self, name: &str, help: &str) -> Histogram {
        self.register(name, help, Histogram::new(LATENCY_BUCKETS))
    }

    /// Latency histograms by a label set; `name` ends in `_seconds`.
    ///
    /// `get_or_create_owned` once and keep the histogram: looking a label set up takes a lock.
    #[must_use]
    pub fn latencies<L: LabelSet>(&self, name: &str, help: &str) -> LatencyFamily<L> {
        self.register(name, help, Family::new_with_constructor(Latency))
    }

    /// All metrics as text, in the form that the reader asks for with its `Accept` header.
    pub(crate) fn render(&self, form: Exposition) -> String {
        let mut text = String::new();
        // Writing to a `String` does not fail, and an encoder has no other cause to.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.locked());
        form.apply(text)
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What labels a metric: a struct with `#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]`.
pub trait LabelSet: Clone + Debug + Eq + Hash + EncodeLabelSet + Send + Sync + 'static {}

impl<L: Clone + Debug + Eq + Hash + EncodeLabelSet + Send + Sync + 'static> LabelSet for L {}
