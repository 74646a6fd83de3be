//! The complaint: a scan whose caller has given up runs on; each retry of the same message adds
//! one, until nothing else runs.
//!
//! Here: when the mail server withdraws a message, or is gone, or the deadline is over, the node's
//! work ends with the call, and the node is told what became of the message.

use std::time::Duration;

use millrace_tests::milter::Sender;
use millrace_tests::patience::until;
use millrace_tests::ports::Port;
use millrace_tests::scripted_node::{Script, ScriptedNode};
use millrace_tests::servers::{Gateway, Upstream};

use crate::support::{client, ordinary};

fn slow_node() -> ScriptedNode {
    ScriptedNode::start(Script::default().slowly(Duration::from_secs(600)))
}

fn gives_up(how: impl FnOnce(Sender)) {
    let node = slow_node();
    let gateway = Gateway::start(&Upstream::Nodes(vec![node.port()]));
    let mut server = Sender::connect(gateway.port());
    server.leave_waiting(ordinary());
    until("the node is at work", || node.judged().len() == 1);
    assert_eq!(node.abandoned(), 0);
    how(server);
    until("the work is given up", || node.abandoned() == 1);
    until("the node is told", || node.settled().len() == 1);
}

#[test]
fn when_the_message_is_withdrawn() {
    let mut kept = None;
    gives_up(|mut server| {
        server.abort();
        kept = Some(server);
    });
}

#[test]
fn when_the_mail_server_is_gone() {
    gives_up(drop);
}

#[test]
fn when_the_deadline_is_over_and_however_often_it_is_tried_again() {
    let (node, port) = (slow_node(), Port::reserve());
    let hasty = client("hasty", port.number(), "deadline_seconds = 1");
    let _gateway = Gateway::start_with(&Upstream::Nodes(vec![node.port()]), &[], &hasty);
    for tries in 1..=2 {
        let answer = Sender::connect(port.number()).send(ordinary()).answer();
        assert!(answer.contains("(deadline; "), "{answer}");
        until("the work is given up", || node.abandoned() == tries);
    }
}
