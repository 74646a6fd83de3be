use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use millrace_tests::admin;
use millrace_tests::mta::{Kind, Mta, Wanted};
use millrace_tests::policy::PolicyFolder;
use millrace_tests::servers::{Gateway, Node, Upstream};
use millrace_tests::sink::Sink;
use millrace_tests::slow_link::SlowLink;
use millrace_tests::traffic::{self, Count, Traffic};

const MESSAGES: usize = 60;

/// A port that takes connections and says nothing, ever.
#[test]
fn a_node_that_takes_connections_and_never_answers_costs_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = silent.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        // Held, so that they stay open.
        let _held: Vec<_> = silent.incoming().flatten().collect();
    });
    let policy = PolicyFolder::of(traffic::POLICY);
    let nodes = [Node::start(policy.path()), Node::start(policy.path())];
    let ports = vec![port, nodes[0].port(), nodes[1].port()];
    let (_, count) = mail_over(&Gateway::start(&Upstream::Nodes(ports)));
    count.nobody_notices();
}

/// Behind a link that makes each of its answers take some ten times as long, a node gets less.
#[test]
fn a_node_ten_times_slower_than_others_gets_less() {
    let policy = PolicyFolder::of(traffic::POLICY);
    let nodes = [(); 3].map(|()| Node::start(policy.path()));
    let slow = SlowLink::start(
        SocketAddr::from(([127, 0, 0, 1], nodes[0].port())),
        Duration::from_millis(15),
    );
    let ports = vec![slow.port(), nodes[1].port(), nodes[2].port()];
    let (_, count) = mail_over(&Gateway::start(&Upstream::Nodes(ports)));
    count.nobody_notices();
    let judged = nodes
        .each_ref()
        .map(|node| admin::metric(node.admin_port(), "millrace_node_verdicts_total"));
    println!("judged by the slow node and the others: {judged:?}");
    assert!(
        judged[0] < judged[1].min(judged[2]) / 2.0,
        "the slow node got too much: {judged:?}"
    );
}

fn mail_over(gateway: &Gateway) -> (Sink, Count) {
    let sink = Sink::start();
    let mta = Mta::start(Kind::Postfix, &sink, &Wanted::filtered_by(gateway.port()));
    let traffic = Traffic::start(&[mta.port()], 4);
    traffic.flows(MESSAGES);
    let count = traffic.end(&sink);
    println!("{count}");
    (sink, count)
}
