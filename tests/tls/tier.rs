//! A node and a gateway that speak TLS with each other.

use std::fmt::Write as _;

use millrace_tests::certs::Certs;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::servers::{Gateway, Node, Upstream};
use serde_json::Value;

pub(crate) const NODE: &str = "node-1.example";
pub(crate) const GATEWAY: &str = "gateway-1.example";

/// A node at 127.0.0.1, which has `NODE`'s certificate, and then what is given.
pub(crate) fn node(certs: &Certs, rest: &str) -> Node {
    Node::start_with(policy().path(), &format!("{rest}\n{}", certs.table(NODE)))
}

/// A gateway of that node, which has `GATEWAY`'s certificate; not waited for.
pub(crate) fn gateway(certs: &Certs, node: &Node) -> Gateway {
    gateway_with(&certs.table(GATEWAY), node)
}

/// A gateway of that node with this `[tls]`; not waited for.
pub(crate) fn gateway_with(tls: &str, node: &Node) -> Gateway {
    let mut text = format!("nodes = ['https://127.0.0.1:{}']\n", node.port());
    let _ = write!(text, "[drain]\ngrace_seconds = 0\n{tls}");
    launched(&Upstream::Configured, &text)
}

/// A gateway whose milter port is open; ready it may never be.
pub(crate) fn launched(upstream: &Upstream, text: &str) -> Gateway {
    let mut gateway = Gateway::launch(upstream, &["--log-format", "json"], text);
    let port = gateway.port();
    gateway.process.wait_for_port(port);
    gateway
}

/// A row of the node's file.
pub(crate) fn peer(name: &str, clients: &[&str], may: &[&str]) -> String {
    format!("[[peer]]\nname = '{name}'\nclients = {clients:?}\nmay = {may:?}\n")
}

/// What `millrace load` reports.
pub(crate) fn load(gateway: &Gateway, words: &[&str]) -> Value {
    millrace_tests::load::load(gateway.port(), words)
}

fn policy() -> &'static PolicyFolder {
    static POLICY: std::sync::OnceLock<PolicyFolder> = std::sync::OnceLock::new();
    POLICY.get_or_init(|| {
        PolicyFolder::of(
            "[[action]]\nname = \"all\"\nwhen = \"1\"\nadd_header = \"X-Judged: yes\"\n",
        )
    })
}
