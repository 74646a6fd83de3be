//! Logs and traces of a process: one `tracing` subscriber, set up once from the configuration.
//!
//! Log lines go through a bounded queue to one writing thread (`sink`), so that a full disk or a stuck
//! terminal costs log lines and never holds mail up. Spans are made with [`trace_span!`](crate::trace_span),
//! all under one target that no log filter can enable: without an OTLP endpoint no layer wants them, `tracing`
//! caches that at each call site, and a span costs one load of an atomic.

mod config;
mod export;
mod format;
mod otlp;
mod sink;
#[cfg(test)]
pub(crate) mod tests;

use std::path::PathBuf;
use std::str::FromStr as _;

use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use config::{LogConfig, LogFormat, OtlpConfig, TelemetryConfig};

use crate::metrics::Metrics;
use crate::verdict_log;

/// The environment variable that overrides `log.level`.
pub const LEVEL_VARIABLE: &str = "MILLRACE_LOG";

/// The target of every span that is exported, and of nothing else.
pub const TRACE_TARGET: &str = "millrace::trace";

/// A span of a transaction's trace, free while nothing is exported.
///
/// Takes what `tracing::info_span!` takes after the target: `trace_span!("process", client = %name)`.
#[macro_export]
macro_rules! trace_span {
    ($($span:tt)+) => {
        $crate::tracing::info_span!(target: $crate::telemetry::TRACE_TARGET, $($span)+)
    };
}

/// Why logs and traces could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level`, or the environment variable that overrides it, is no list of levels.
    #[error(
        "{origin} = {value:?}: {problem}; write a level (error, warn, info, debug, trace, off) or target=level,…"
    )]
    Level {
        /// `log.level` or the name of the variable.
        origin: &'static str,
        /// What it says.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// `log.file` cannot be opened.
    #[error("log.file = {}: {source}; name a file in a folder that this process may write to", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// `otlp.endpoint` or `otlp.sample` cannot be used.
    #[error("otlp.{key} = {value}: {problem}")]
    Otlp {
        /// The key under `otlp`.
        key: &'static str,
        /// What it says.
        value: String,
        /// What is wrong with it, and the remedy.
        problem: String,
    },
    /// A subscriber was set before.
    #[error("logging was set up twice in one process")]
    Twice,
}

/// Keeps logs and traces going; dropping it writes out what is queued.
#[derive(Debug)]
#[must_use = "logs and traces end when the guard is dropped"]
pub struct TelemetryGuard {
    exporter: Option<otlp::Exporter>,
    sink: sink::Sink,
}

impl TelemetryGuard {
    /// Counts, as `millrace_log_lines_dropped_total`, lines that found the queue full and were given up.
    pub fn register(&self, metrics: &Metrics) {
        let _ = metrics.register(
            "millrace_log_lines_dropped",
            "Log lines given up because the log could not be written fast enough",
            self.sink.dropped_lines(),
        );
    }

    /// Opens `log.file` anew, as SIGHUP does by itself; without a file this does nothing.
    pub fn reopen_log(&self) {
        self.sink.reopener().reopen();
    }
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        // Traces first: what goes wrong with the last batch is still logged.
        if let Some(exporter) = self.exporter.take() {
            exporter.shutdown();
        }
        self.sink.shutdown();
    }
}

/// Sets the process's subscriber up. `service` is the process's name, such as `mpd-node`.
///
/// With an OTLP endpoint or a log file it must be called inside a multi-threaded tokio runtime, and the guard
/// dropped inside it: the last spans travel over its other threads.
///
/// # Errors
/// [`TelemetryError`]: a configuration that cannot be used, or a second call in one process.
pub fn init(config: &TelemetryConfig, service: &str) -> Result<TelemetryGuard, TelemetryError> {
    let levels = levels(&config.log)?;
    let sink = match &config.log.file {
        None => sink::Sink::stderr(),
        Some(path) => sink::Sink::file(path).map_err(|source| TelemetryError::File {
            path: path.clone(),
            source,
        })?,
    };
    let exporter = match &config.otlp.endpoint {
        None => None,
        Some(endpoint) => Some(otlp::Exporter::new(endpoint, config.otlp.sample, service)?),
    };

    let (writer, format) = (sink.writer(), config.log.format);
    // No `Option` of a layer here: an absent layer still has `tracing` ask at each span whether it is wanted.
    match &exporter {
        None => tracing_subscriber::registry()
            .with(log_layer(writer, format, levels))
            .try_init(),
        Some(exporter) => tracing_subscriber::registry()
            .with(span_layer(exporter))
            .with(log_layer(writer, format, levels))
            .try_init(),
    }
    .map_err(|_| TelemetryError::Twice)?;

    log_panics();
    if config.log.file.is_some() {
        reopen_on_hangup(sink.reopener());
    }
    Ok(TelemetryGuard { exporter, sink })
}

fn log_layer<S, W>(writer: W, format: LogFormat, levels: Targets) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .event_format(format::Lines::new(format))
        .with_writer(writer)
        .with_filter(levels)
}

fn span_layer<S>(exporter: &otlp::Exporter) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_opentelemetry::layer()
        .with_tracer(exporter.tracer())
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(Targets::new().with_target(TRACE_TARGET, LevelFilter::TRACE))
}

/// The levels to log at: the variable's, else the configuration's.
fn levels(config: &LogConfig) -> Result<Targets, TelemetryError> {
    let (origin, value) = match std::env::var(LEVEL_VARIABLE) {
        Ok(value) if !value.is_empty() => (LEVEL_VARIABLE, value),
        _ => ("log.level", config.level.clone()),
    };
    parse_levels(&value).map_err(|problem| TelemetryError::Level {
        origin,
        value,
        problem,
    })
}

fn parse_levels(value: &str) -> Result<Targets, String> {
    let wanted = Targets::from_str(value).map_err(|error| error.to_string())?;
    // `Targets` takes a word that is no level for a target; a misspelt level would then log everything.
    if let Some((word, _)) = value
        .split(',')
        .map(|d| (d, LevelFilter::from_str(d)))
        .find(|(d, level)| level.is_err() && !d.contains('=') && !d.contains("::"))
    {
        return Err(format!("`{word}` is no level"));
    }
    let mut levels = wanted.clone();
    if !wanted
        .iter()
        .any(|(target, _)| target == verdict_log::TARGET)
    {
        levels = levels.with_target(verdict_log::TARGET, LevelFilter::INFO);
    }
    Ok(levels.with_target(TRACE_TARGET, LevelFilter::OFF))
}

/// A panic becomes a log line in the configured form, so that it is found where everything else is.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let backtrace = std::backtrace::Backtrace::capture();
        let backtrace = (backtrace.status() == std::backtrace::BacktraceStatus::Captured)
            .then(|| backtrace.to_string());
        let reason = panic.payload_as_str().unwrap_or("(no message)");
        tracing::error!(target: "millrace::panic", place, backtrace, "panicked: {reason}");
    }));
}

fn reopen_on_hangup(reopener: sink::Reopener) {
    tokio::spawn(async move {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut hangups) = signal(SignalKind::hangup()) else {
            return;
        };
        while hangups.recv().await.is_some() {
            reopener.reopen();
        }
    });
}

/// The machine's name, for the trace's resource; empty where the system does not say.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}
