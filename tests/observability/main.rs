//! What an administrator and his tools see of a gateway and its node: traces in a real OTLP
//! receiver, metrics that Prometheus' own checker reads, one log line per verdict, `millrace
//! explain`, health, and what the service manager is told.

mod a_transaction_is_one_trace;
mod a_verdict_is_one_log_line;
mod logs_can_be_rotated;
mod metrics_are_complete_and_bounded;
mod prometheus_scrapes_every_server;
mod receiver;
mod scrape;
mod servers;
mod the_service_manager_is_told;
