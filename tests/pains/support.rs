//! What several of the tests need.

use std::net::TcpListener;

use millrace_milter::mta::Message;
use millrace_tests::patience::until;
use millrace_tests::servers::{Gateway, Upstream};

/// Logs that a test can read.
pub(crate) const JSON: &[&str] = &["--log-format", "json"];

/// A policy that marks what it has judged.
pub(crate) const STAMP: &str =
    "[[action]]\nname = \"stamp\"\nwhen = \"1\"\nadd_header = \"X-Judged: yes\"\n";

/// A message that nothing is wrong with.
pub(crate) fn ordinary() -> Message {
    Message::parse(&millrace_tests::message::simple("ordinary"))
}

/// A gateway with one node at a port where nobody listens. It never is ready, and answers.
pub(crate) fn gateway_without_a_node(configuration: &str) -> Gateway {
    let free = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = free.local_addr().expect("it is bound").port();
    drop(free);
    let mut gateway = Gateway::launch(&Upstream::Nodes(vec![port]), JSON, configuration);
    gateway.process.wait_for_port(gateway.port());
    gateway
}

/// A client of its own in the configuration, listening on `port`, with these settings.
pub(crate) fn client(name: &str, port: u16, settings: &str) -> String {
    format!("[[client]]\nname = \"{name}\"\nlisten = [\"tcp://127.0.0.1:{port}\"]\n{settings}\n")
}

/// The transaction that a reply names.
#[track_caller]
pub(crate) fn transaction_in(reply: &str) -> &str {
    let (_, id) = reply
        .split_once("transaction ")
        .unwrap_or_else(|| panic!("no transaction in {reply:?}"));
    id.trim_end_matches(')')
}

/// Waits until a metric of the gateway has this value.
pub(crate) fn counted(gateway: &Gateway, metric: &str, value: f64) {
    until(&format!("{metric} is {value}"), || {
        (millrace_tests::admin::metric(gateway.admin_port(), metric) - value).abs() < 0.5
    });
}
