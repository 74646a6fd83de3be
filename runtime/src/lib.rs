//! What every long-lived Millrace process needs: configuration files with errors that can be acted on, logs
//! and traces, metrics, the admin port, TLS, gRPC connections, and an orderly end.
//!
//! Nothing here knows what a message is; the one exception is [`verdict_log`], which gives the one line per
//! verdict its stable form, because the processes that write it and the command that reads it back must agree.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod admin;
pub mod config;
mod escape;
pub mod grpc;
pub mod lifecycle;
pub mod metrics;
pub mod telemetry;
pub mod tls;
mod told;
pub mod trace_context;
pub mod verdict_log;

pub use escape::{is_hazardous, printable};
pub use told::told;

/// Re-exported for [`trace_span!`].
#[doc(hidden)]
pub use tracing;

/// The version of this build, as in the manifest.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
