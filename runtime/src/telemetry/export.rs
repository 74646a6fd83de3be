//! An exporter that tells the log when its receiver goes away and when it is back: once each, not once a batch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// `E`, with its failures logged.
#[derive(Debug)]
pub(super) struct Reported<E> {
    exporter: E,
    /// Spans lost since the receiver went away.
    lost: AtomicU64,
}

impl<E> Reported<E> {
    pub(super) fn new(exporter: E) -> Self {
        Self {
            exporter,
            lost: AtomicU64::new(0),
        }
    }

    fn report(&self, spans: u64, result: &OTelSdkResult) {
        match result {
            Ok(()) => {
                let lost = self.lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    tracing::info!(lost, "spans are exported again");
                }
            }
            Err(error) => {
                if self.lost.fetch_add(spans, Ordering::Relaxed) == 0 {
                    tracing::warn!(%error, "spans cannot be exported and are lost until the receiver is back");
                }
            }
        }
    }
}

impl<E: SpanExporter> SpanExporter for Reported<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        self.report(spans, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::error::OTelSdkError;

    use super::super::tests::logged;
    use super::*;
    use crate::telemetry::LogFormat;

    #[test]
    fn a_receiver_that_goes_and_comes_back_is_told_once_each() {
        let reported = Reported::new(());
        let away = Err(OTelSdkError::InternalFailure("refused".into()));
        let log = logged(LogFormat::Human, "info", || {
            for (spans, result) in [
                (2, &Ok(())),
                (3, &away),
                (4, &away),
                (1, &Ok(())),
                (1, &Ok(())),
            ] {
                reported.report(spans, result);
            }
        });
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(lines.len(), 2, "{log}");
        assert!(lines[0].contains("refused"), "{log}");
        assert!(
            lines[1].ends_with("spans are exported again lost=7"),
            "{log}"
        );
    }
}
