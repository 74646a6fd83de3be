//! W3C trace context in gRPC metadata, so that a call from one process to the next is one trace.
//!
//! Source: W3C Trace Context, `traceparent` and `tracestate`. A header that does not parse is as good as none.

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tonic::metadata::{KeyRef, MetadataKey, MetadataMap, MetadataValue};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Writes the current span's context into the metadata of a call that is about to be made.
///
/// Does nothing, at the cost of one look, where nothing is traced.
pub fn inject(metadata: &mut MetadataMap) {
    inject_span(&Span::current(), metadata);
}

/// Writes `span`'s context into the metadata of a call.
pub fn inject_span(span: &Span, metadata: &mut MetadataMap) {
    if span.is_disabled() {
        return;
    }
    TraceContextPropagator::new().inject_context(&span.context(), &mut Metadata(metadata));
}

/// The caller's context; an empty one when there is none, or none that parses.
#[must_use]
pub fn extract(metadata: &MetadataMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &View(metadata))
}

/// Makes the caller's span, if the metadata name one, the parent of `span`, which must not have been entered.
pub fn adopt(span: &Span, metadata: &MetadataMap) {
    if span.is_disabled() {
        return;
    }
    // A span that has no layer to export it has no use for a parent either.
    let _ = span.set_parent(extract(metadata));
}

struct Metadata<'a>(&'a mut MetadataMap);

impl Injector for Metadata<'_> {
    fn set(&mut self, key: &str, value: String) {
        // An empty `tracestate` says nothing; the propagator writes one all the same.
        if value.is_empty() {
            return;
        }
        if let (Ok(key), Ok(value)) = (
            MetadataKey::from_bytes(key.as_bytes()),
            MetadataValue::try_from(value),
        ) {
            self.0.insert(key, value);
        }
    }
}

struct View<'a>(&'a MetadataMap);

impl Extractor for View<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0
            .keys()
            .filter_map(|key| match key {
                KeyRef::Ascii(key) => Some(key.as_str()),
                KeyRef::Binary(_) => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::trace_span;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn traced(test: impl FnOnce()) {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), test);
    }

    fn metadata(traceparent: &str) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        metadata.insert("traceparent", traceparent.parse().unwrap());
        metadata
    }

    #[test]
    fn a_call_carries_the_callers_trace_to_the_callee() {
        traced(|| {
            let caller = trace_span!("caller");
            let mut metadata = MetadataMap::new();
            caller.in_scope(|| inject(&mut metadata));
            assert_eq!(metadata.len(), 1, "traceparent alone: {metadata:?}");

            let callee = trace_span!("callee");
            adopt(&callee, &metadata);
            let (caller, callee) = (caller.context(), callee.context());
            assert!(caller.span().span_context().is_valid());
            assert_eq!(
                caller.span().span_context().trace_id(),
                callee.span().span_context().trace_id()
            );
            assert_ne!(
                caller.span().span_context().span_id(),
                callee.span().span_context().span_id()
            );
        });
    }

    #[test]
    fn a_header_of_the_standard_is_read() {
        let context = extract(&metadata(PARENT));
        let parent = context.span().span_context().clone();
        assert_eq!(
            parent.trace_id().to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        assert_eq!(parent.span_id().to_string(), "b7ad6b7169203331");
        assert!(parent.is_sampled() && parent.is_remote());
    }

    #[test]
    fn a_header_that_does_not_parse_is_as_good_as_none() {
        let zero = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        for header in [
            "",
            "00",
            "hello",
            zero,
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        ] {
            assert!(
                !extract(&metadata(header)).span().span_context().is_valid(),
                "{header}"
            );
        }
    }

    #[test]
    fn nothing_is_written_where_nothing_is_traced() {
        let mut metadata = MetadataMap::new();
        inject_span(&trace_span!("untraced"), &mut metadata);
        assert!(metadata.is_empty());
    }
}
