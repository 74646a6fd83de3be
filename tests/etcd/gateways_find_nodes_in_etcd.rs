use millrace_tests::admin;
use millrace_tests::etcd::Etcd;
use millrace_tests::load::{Loading, load};
use millrace_tests::member::{Member, publish};
use millrace_tests::patience::until;
use millrace_tests::servers::{Gateway, Upstream};

use crate::refusing;

fn gateway(etcd: &str) -> Gateway {
    Gateway::start_with(&Upstream::Configured, &[], etcd)
}

/// Waits until the gateway knows these nodes, and all of them serve.
#[track_caller]
fn knows(gateway: &Gateway, nodes: &[&Member]) {
    let what = format!("{} nodes are known and serve", nodes.len());
    until(&what, || {
        let (_, metrics) = admin::ask(gateway.admin_port(), "/metrics").expect("it answers");
        let rows: Vec<_> = metrics
            .lines()
            .filter(|line| line.starts_with("millrace_gateway_node_serving{"))
            .collect();
        let serves = |node: &&&Member| {
            let address = node.address();
            let row = format!("millrace_gateway_node_serving{{node=\"{address}\"}} 1");
            rows.contains(&row.as_str())
        };
        rows.len() == nodes.len() && nodes.iter().filter(serves).count() == nodes.len()
    });
}

/// Messages that the gateway has had judged there.
fn judged(gateway: &Gateway, node: &Member) -> f64 {
    let address = node.address();
    let row = format!("millrace_gateway_node_calls_total{{node=\"{address}\",result=\"ok\"}}");
    admin::metric(gateway.admin_port(), &row)
}

#[test]
fn that_register_leave_and_come_while_mail_flows_and_etcd_goes_and_comes_back() {
    let mut etcd = Etcd::start();
    publish(refusing("a@blocked.example").path(), &etcd);
    let one = Member::start("one", &etcd);
    let mut two = Member::start("two", &etcd);
    let mut gateway = gateway(&etcd.section(""));
    knows(&gateway, &[&one, &two]);
    let mail = Loading::begin(gateway.port());
    for node in [&one, &two] {
        until("both judge", || judged(&gateway, node) > 50.0);
    }

    let three = Member::start("three", &etcd);
    knows(&gateway, &[&one, &two, &three]);
    until("the third judges", || judged(&gateway, &three) > 50.0);

    assert!(two.process.terminate().success());
    knows(&gateway, &[&one, &three]);

    etcd.kill_all();
    gateway
        .process
        .wait_for_line("a source of nodes has a problem: the last known nodes stay");
    let before = judged(&gateway, &one);
    until("mail goes on without etcd", || {
        judged(&gateway, &one) > before + 50.0
    });
    knows(&gateway, &[&one, &three]);

    etcd.start_again();
    two.launch_again();
    two.wait_until_ready();
    knows(&gateway, &[&one, &two, &three]);
    until("the node that came back judges", || {
        judged(&gateway, &two) > 50.0
    });

    mail.end().assert_all_accepted();
    let failures = admin::metric(gateway.admin_port(), "millrace_gateway_failures_total");
    assert_eq!(failures, 0.0, "{}", gateway.log());
}

#[test]
fn a_gateway_that_starts_while_etcd_is_down_asks_those_that_it_knew_last() {
    let mut etcd = Etcd::start();
    publish(refusing("a@blocked.example").path(), &etcd);
    let one = Member::start("one", &etcd);
    let folder = tempfile::tempdir().expect("a temp folder");
    let section = etcd.section(&format!("cache = {:?}\n", folder.path()));
    let known = gateway(&section);
    knows(&known, &[&one]);
    drop(known);

    etcd.kill_all();
    let started = gateway(&section);
    knows(&started, &[&one]);
    let report = load(started.port(), &["--messages", "10"]);
    assert_eq!(report["dispositions"]["accept"], 10, "{report}");

    etcd.start_again();
    let two = Member::start("two", &etcd);
    knows(&started, &[&one, &two]);
}

#[test]
fn beside_those_that_are_listed_and_over_tls_with_a_prefix_of_their_own() {
    let etcd = Etcd::start_with_tls();
    let section = etcd.section("prefix = \"/mail/\"\n");
    let folder = refusing("a@blocked.example");
    let more = format!("policy = {:?}", folder.path());
    let mut registered = Member::launch("registered", &section, &more);
    registered.wait_until_ready();
    let listed = millrace_tests::servers::Node::start(folder.path());
    let configuration = format!(
        "nodes = [\"http://127.0.0.1:{}\"]\n{section}",
        listed.port()
    );
    let gateway = gateway(&configuration);
    let serving = || admin::metric(gateway.admin_port(), "millrace_gateway_node_serving");
    until("both are known and serve", || serving() == 2.0);
    let report = load(gateway.port(), &["--messages", "200"]);
    assert_eq!(report["dispositions"]["accept"], 200, "{report}");
    assert!(judged(&gateway, &registered) > 0.0);
}
