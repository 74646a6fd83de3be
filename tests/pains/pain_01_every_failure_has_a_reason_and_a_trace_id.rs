//! The complaint: when a filter crashes or times out, all that the mail server logs is that it
//! could not read a reply to the end of the body. Nobody learns why, or for which message.
//!
//! Here: whatever fails, the mail server gets an SMTP reply that names the reason and the
//! transaction, and one line of the log has both.

use std::thread;
use std::time::Duration;

use millrace_tests::milter::Sender;
use millrace_tests::patience::until;
use millrace_tests::ports::Port;
use millrace_tests::scripted_node::{Script, ScriptedNode};
use millrace_tests::servers::{Gateway, Upstream};
use millrace_tests::verdicts;

use crate::support::{JSON, client, counted, gateway_without_a_node, ordinary, transaction_in};

fn slow() -> Script {
    Script::default().slowly(Duration::from_secs(600))
}

#[track_caller]
fn is_told(gateway: &Gateway, answer: &str, kind: &str, client: &str) {
    assert!(
        answer.starts_with("451 4.") || answer.starts_with("552 5."),
        "{answer}"
    );
    assert!(
        answer.contains(&format!("({kind}; transaction ")),
        "{answer}"
    );
    let line = verdicts::nth(gateway, 0);
    assert_eq!(line["transaction_id"], transaction_in(answer), "{line}");
    let outcome = line["outcome"].as_str().expect("an outcome");
    assert!(outcome.starts_with(&format!("failed: {kind}: ")), "{line}");
    let counter = format!("millrace_gateway_failures_total{{client=\"{client}\",kind=\"{kind}\"");
    counted(gateway, &counter, 1.0);
}

#[test]
fn no_node_is_there() {
    let gateway = gateway_without_a_node("");
    let answer = Sender::connect(gateway.port()).send(ordinary()).answer();
    is_told(&gateway, &answer, "no-node", "default");
}

#[test]
fn the_node_is_lost_in_the_middle_of_a_message() {
    let node = ScriptedNode::start(slow());
    let gateway = Gateway::start_with(&Upstream::Nodes(vec![node.port()]), JSON, "");
    let port = gateway.port();
    let waiting = thread::spawn(move || Sender::connect(port).send(ordinary()).answer());
    until("the node is at work", || !node.judged().is_empty());
    drop(node);
    let answer = waiting.join().expect("an answer comes");
    is_told(&gateway, &answer, "no-node", "default");
}

#[test]
fn the_verdict_does_not_come_in_time() {
    let (node, port) = (ScriptedNode::start(slow()), Port::reserve());
    let hasty = client("hasty", port.number(), "deadline_seconds = 1");
    let gateway = Gateway::start_with(&Upstream::Nodes(vec![node.port()]), JSON, &hasty);
    let answer = Sender::connect(port.number()).send(ordinary()).answer();
    is_told(&gateway, &answer, "deadline", "hasty");
}

#[test]
fn the_message_is_too_large() {
    let (node, port) = (ScriptedNode::start(Script::default()), Port::reserve());
    let narrow = client("narrow", port.number(), "message_size_kib = 1");
    let gateway = Gateway::start_with(&Upstream::Nodes(vec![node.port()]), JSON, &narrow);
    let mut message = ordinary();
    message.body = vec![b'x'; 4096].into();
    let answer = Sender::connect(port.number()).send(message).answer();
    is_told(&gateway, &answer, "oversize", "narrow");
    assert!(node.judged().is_empty());
}
