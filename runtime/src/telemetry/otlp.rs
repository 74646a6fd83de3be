//! Export of spans over OTLP/gRPC: a bounded queue, sent in batches by a thread of its own.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};

use super::export::Reported;
use super::{TelemetryError, host_name};

/// Spans that may wait; a receiver that is away costs spans, not memory.
const QUEUE: usize = 8192;
/// Spans sent at once.
const BATCH: usize = 512;
/// How long a finished span may wait for company.
const DELAY: Duration = Duration::from_secs(1);
/// How long the end of the process waits for a receiver that does not answer.
const LAST_EXPORT: Duration = Duration::from_secs(5);

/// The process's exporter.
#[derive(Debug)]
pub(super) struct Exporter {
    provider: SdkTracerProvider,
}

impl Exporter {
    /// Must be called inside a tokio runtime; the connection is made when the first batch is sent.
    pub(super) fn new(endpoint: &str, sample: f64, service: &str) -> Result<Self, TelemetryError> {
        let refused = |key, value: String, problem: &str| TelemetryError::Otlp {
            key,
            value,
            problem: problem.into(),
        };
        if !(0.0..=1.0).contains(&sample) {
            return Err(refused(
                "sample",
                sample.to_string(),
                "is no share; write a number from 0 to 1",
            ));
        }
        if !endpoint.starts_with("http://") {
            let problem = "is no http:// URL; name the gRPC port of a receiver, such as http://127.0.0.1:4317";
            return Err(refused("endpoint", format!("{endpoint:?}"), problem));
        }
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(LAST_EXPORT)
            .build()
            .map_err(|error| refused("endpoint", format!("{endpoint:?}"), &error.to_string()))?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(
                BatchSpanProcessor::builder(Reported::new(exporter))
                    .with_batch_config(batches)
                    .build(),
            )
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                sample,
            ))))
            .with_resource(resource(service))
            .build();
        Ok(Self { provider })
    }

    pub(super) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("millrace")
    }

    /// Sends what is queued.
    pub(super) fn shutdown(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST_EXPORT) {
            tracing::warn!(%error, "the last spans could not be exported");
        }
    }
}

/// Who sends the spans, in the names of OpenTelemetry's semantic conventions.
fn resource(service: &str) -> Resource {
    Resource::builder()
        .with_service_name(service.to_owned())
        .with_attributes([
            KeyValue::new("service.namespace", "millrace"),
            KeyValue::new("service.version", crate::VERSION),
            KeyValue::new("service.instance.id", uuid::Uuid::now_v7().to_string()),
            KeyValue::new("host.name", host_name()),
            KeyValue::new("process.pid", i64::from(std::process::id())),
        ])
        .build()
}
