//! `[log]` and `[otlp]`: what a process tells, and whom.

use std::path::PathBuf;

use serde::Deserialize;

/// `[log]` and `[otlp]` of a program's configuration file.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// What is logged, and where to.
    pub log: LogConfig,
    /// Where traces go.
    pub otlp: OtlpConfig,
}

/// What is logged, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// One line of text or one JSON object an event.
    pub format: LogFormat,
    /// A level (`error`, `warn`, `info`, `debug`, `trace`, `off`), or levels by module: `info,mpd_node=debug`.
    ///
    /// The line per verdict is written at every level; `millrace::verdict=off` silences it.
    pub level: String,
    /// A file to append to instead of standard error; SIGHUP opens it anew, after a rotation.
    pub file: Option<PathBuf>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Human,
            level: "info".into(),
            file: None,
        }
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `TIME LEVEL target: message key=value …`
    #[default]
    Human,
    /// A flat JSON object: `timestamp`, `level`, `target`, `message`, and the event's own fields.
    Json,
}

/// Where traces go.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpConfig {
    /// An OTLP receiver that speaks gRPC, such as `http://127.0.0.1:4317`; nothing is traced without one.
    pub endpoint: Option<String>,
    /// The share of transactions that begin a trace here, 0 to 1; a caller's decision is kept.
    pub sample: f64,
}

impl Default for OtlpConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            sample: 1.0,
        }
    }
}
