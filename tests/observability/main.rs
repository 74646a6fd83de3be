//! What an administrator sees of a gateway and its node: traces in a real OTLP receiver, metrics
//! that Prometheus' own checker reads, one log line per verdict, and `millrace explain`.

mod a_transaction_is_one_trace;
mod a_verdict_is_one_log_line;
mod metrics_are_complete_and_bounded;
mod receiver;
mod scrape;
mod servers;
