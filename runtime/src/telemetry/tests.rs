use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use super::*;

/// A writer that keeps what is written, for reading back.
#[derive(Clone, Default)]
pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What `log` writes in a format and at a level.
pub(crate) fn logged(format: LogFormat, level: &str, log: impl FnOnce()) -> String {
    let captured = Captured::default();
    let layer = log_layer(captured.clone(), format, parse_levels(level).unwrap());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
    captured.text()
}

#[test]
fn a_human_line_has_time_level_target_message_and_fields() {
    let line = logged(LogFormat::Human, "info", || {
        tracing::warn!(target: "gateway", peer = "192.0.2.1", count = 3, why = "two words", "spoke\nHTTP");
    });
    let (time, rest) = line.split_once(' ').unwrap();
    assert!(time.ends_with('Z') && time.contains('T'), "{time}");
    assert_eq!(
        rest,
        "WARN gateway: spoke\\nHTTP peer=192.0.2.1 count=3 why=\"two words\"\n"
    );
}

#[test]
fn a_json_line_is_one_flat_object() {
    let line = logged(LogFormat::Json, "info", || {
        let error = io::Error::other("no \"route\"\u{1b}");
        tracing::error!(target: "gateway", ok = false, n = -3, ratio = 0.5, nan = f64::NAN,
            error = &error as &(dyn std::error::Error + 'static), "a {}", "message");
    });
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(json["level"], "ERROR");
    assert_eq!(json["target"], "gateway");
    assert_eq!(json["message"], "a message");
    assert_eq!(
        (json["ok"].clone(), json["n"].clone(), json["ratio"].clone()),
        (false.into(), (-3).into(), 0.5.into())
    );
    assert_eq!(json["nan"], "NaN");
    assert_eq!(json["error"], "no \"route\"\\x1B");
}

#[test]
fn a_stranger_to_the_log_cannot_forge_a_line() {
    for format in [LogFormat::Human, LogFormat::Json] {
        let log = logged(format, "info", || {
            tracing::info!(helo = "x\r\n2026-01-01 INFO forged: \"}", "\u{2028}y");
        });
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(!log.trim_end().chars().any(char::is_control), "{log:?}");
    }
}

#[test]
fn levels_are_a_level_or_levels_by_module() {
    let events = || {
        tracing::debug!(target: "a", "debug-a");
        tracing::debug!(target: "b", "debug-b");
        tracing::warn!(target: "b", "warn-b");
        tracing::info!(target: verdict_log::TARGET, "verdict");
    };
    for (level, seen) in [
        ("info", &["warn-b", "verdict"][..]),
        ("error", &["verdict"]),
        ("off", &["verdict"]),
        ("warn,a=debug", &["debug-a", "warn-b", "verdict"]),
        ("debug", &["debug-a", "debug-b", "warn-b", "verdict"]),
        ("info,millrace::verdict=off", &["warn-b"]),
    ] {
        let log = logged(LogFormat::Human, level, events);
        let messages: Vec<&str> = log
            .lines()
            .filter_map(|line| line.rsplit(' ').next())
            .collect();
        assert_eq!(messages, seen, "{level}");
    }
}

#[test]
fn a_misspelt_level_is_refused() {
    for level in ["inof", "info,wran", "a=loud"] {
        assert!(parse_levels(level).is_err(), "{level}");
    }
}

#[test]
fn spans_of_the_trace_are_never_made_for_the_log() {
    logged(LogFormat::Human, "trace,millrace::trace=trace", || {
        assert!(crate::trace_span!("process", client = "x").is_disabled());
    });
}

#[test]
fn unknown_keys_are_refused() {
    let file = std::path::Path::new("f.toml");
    for document in ["[log]\nformt='json'", "[otlp]\nendpiont='x'", "[trace]\n"] {
        assert!(
            crate::config::parse::<TelemetryConfig>(file, document).is_err(),
            "{document}"
        );
    }
    let config: TelemetryConfig = crate::config::parse(
        file,
        "[log]\nformat='json'\nlevel='debug'\nfile='/x'\n[otlp]\nendpoint='http://127.0.0.1:1'\nsample=0.1",
    )
    .unwrap();
    assert_eq!(
        (config.log.format, config.otlp.sample),
        (LogFormat::Json, 0.1)
    );
}

#[tokio::test]
async fn an_endpoint_or_share_that_cannot_be_used_is_refused() {
    for (endpoint, sample, key) in [
        ("ftp://x", 1.0, "endpoint"),
        ("127.0.0.1:4317", 1.0, "endpoint"),
        ("http://127.0.0.1:1", 1.5, "sample"),
    ] {
        match otlp::Exporter::new(endpoint, sample, "test") {
            Err(TelemetryError::Otlp { key: refused, .. }) => assert_eq!(refused, key),
            other => panic!("{endpoint} {sample}: {other:?}"),
        }
    }
}

#[test]
fn a_rotated_log_file_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rotated) = (folder.path().join("log"), folder.path().join("log.1"));
    let sink = sink::Sink::file(&path).unwrap();
    let mut writer = sink.writer();
    writer.write_all(b"before\n").unwrap();
    sink.shutdown();
    std::fs::rename(&path, &rotated).unwrap();
    sink.reopener().reopen();
    writer.write_all(b"after\n").unwrap();
    sink.shutdown();
    assert_eq!(std::fs::read_to_string(&rotated).unwrap(), "before\n");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "after\n");
}
