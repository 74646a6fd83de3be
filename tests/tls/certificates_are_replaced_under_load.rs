use millrace_tests::admin;
use millrace_tests::certs::Certs;
use millrace_tests::load::Loading;
use millrace_tests::patience::until;

use crate::tier::{GATEWAY, gateway, node};

const NODE_HERE: &str = "node-1.example,127.0.0.1";
const TIMES: usize = 3;

/// The node lets each connection go after a second, so that every pair is used.
#[test]
fn not_one_message_fails_when_all_certificates_are_replaced() {
    let certs = Certs::of(&[NODE_HERE, GATEWAY]);
    let node = node(&certs, "max_connection_age_seconds = 1");
    let mut gateway = gateway(&certs, &node);
    gateway.wait_until_ready();
    let loading = Loading::begin(gateway.port());
    for time in 1..=TIMES {
        certs.make(&[NODE_HERE, GATEWAY]);
        for (name, port) in [
            ("node", node.admin_port()),
            ("gateway", gateway.admin_port()),
        ] {
            until(&format!("the {name} has taken the new pair up"), || {
                taken(port) >= time
            });
        }
    }
    loading.end().assert_all_accepted();
}

fn taken(admin: u16) -> usize {
    let (_, metrics) = admin::ask(admin, "/metrics").expect("it answers");
    metrics
        .lines()
        .find_map(|line| line.strip_prefix("millrace_tls_reloads_total{result=\"taken\"} "))
        .map_or(0, |count| count.parse().expect("a count"))
}
