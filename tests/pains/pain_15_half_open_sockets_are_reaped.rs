//! The complaint: connections whose mail server is long gone pile up in the filter until it has no
//! descriptors left.
//!
//! Here: a connection on which nothing comes is given up after a time that is configured, and
//! keepalive probes find out those whose host is gone.

use std::fs;

use millrace_milter::{Actions, Command, RawPath, Steps};
use millrace_tests::milter::{Sender, Wire};
use millrace_tests::patience::until;
use millrace_tests::scripted_node::{Script, ScriptedNode};
use millrace_tests::servers::{Gateway, Upstream};

use crate::support::{counted, ordinary};

const OPEN: &str = "millrace_gateway_connections{client=\"default\"}";

#[test]
fn those_that_say_nothing() {
    let idle = "[time]\nidle_seconds = 1\n";
    let gateway = Gateway::start_with(&Upstream::Embedded(None), &[], idle);
    let before_a_word = Wire::connect(gateway.port());
    let (between_messages, _) = Wire::negotiated(gateway.port(), 6, Actions::ALL, Steps::ALL);
    let (mut in_a_message, _) = Wire::negotiated(gateway.port(), 6, Actions::ALL, Steps::NONE);
    in_a_message.ask(Command::Mail(RawPath::new(&b"<a@b.example>"[..])));
    let mut in_a_frame = Wire::connect(gateway.port());
    in_a_frame.write(b"\0\0\0\x0dO\0\0");
    for mut wire in [before_a_word, between_messages, in_a_message, in_a_frame] {
        wire.rest();
    }
    let metric = "millrace_gateway_connections_broken_total{client=\"default\",reason=\"idle\"}";
    counted(&gateway, metric, 4.0);
    counted(&gateway, OPEN, 0.0);
    until("each is logged", || {
        gateway.log().matches("nothing came for 1 seconds").count() == 4
    });
    assert_eq!(
        Sender::connect(gateway.port()).send(ordinary()).answer(),
        "accept"
    );
}

#[test]
fn but_not_one_whose_verdict_takes_longer() {
    let node = ScriptedNode::start(Script::default().slowly(std::time::Duration::from_secs(3)));
    let idle = "[time]\nidle_seconds = 1\n";
    let gateway = Gateway::start_with(&Upstream::Nodes(vec![node.port()]), &[], idle);
    assert_eq!(
        Sender::connect(gateway.port()).send(ordinary()).answer(),
        "accept"
    );
}

#[test]
fn those_whose_host_is_gone_are_probed() {
    let gateway = Gateway::start(&Upstream::Embedded(None));
    let (_wire, _) = Wire::negotiated(gateway.port(), 6, Actions::ALL, Steps::ALL);
    // Columns: number, local, remote, state (01 is ESTABLISHED), queues, timer (02 is keepalive).
    let local = format!(":{:04X}", gateway.port());
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux tells its sockets");
    let timers: Vec<&str> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|row| row.len() > 5 && row[1].ends_with(&local) && row[3] == "01")
        .map(|row| {
            if row[5].starts_with("02:") {
                "keepalive"
            } else {
                "none"
            }
        })
        .collect();
    assert_eq!(timers, ["keepalive"], "{table}");
}
