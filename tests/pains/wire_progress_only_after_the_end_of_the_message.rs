//! Seen elsewhere: a filter that never says that it is still at work loses Sendmail after ten
//! seconds; and a mail server that is told so after a piece of the body takes it for the answer.
//!
//! Here: PROGRESS comes every few seconds until the verdict, after the end of the message and
//! nowhere else, and only to those who wait.

use std::time::Duration;

use bytes::Bytes;
use millrace_milter::{Actions, Command, RawPath, Response, Steps};
use millrace_proto::Stage;
use millrace_tests::milter::{Sender, Wire};
use millrace_tests::scripted_node::{Script, ScriptedNode, accept};
use millrace_tests::servers::{Gateway, Upstream};

use crate::support::ordinary;

const OFTEN: &str = "[time]\nprogress_seconds = 1\n";

#[test]
fn while_the_node_works() {
    let node = ScriptedNode::start(Script::default().slowly(Duration::from_millis(3500)));
    let gateway = Gateway::start_with(&Upstream::Nodes(vec![node.port()]), &[], OFTEN);
    let mail = Sender::connect(gateway.port()).send(ordinary());
    assert_eq!(mail.answer(), "accept");
    assert!(mail.progress >= 1, "{mail:?}");
}

#[test]
fn not_at_any_step_before() {
    let stages = [
        Stage::Connect,
        Stage::Helo,
        Stage::Mail,
        Stage::Rcpt,
        Stage::Data,
    ];
    let script = Script::screening(&stages, |_, _| {
        // Longer than the pause between two signs of life.
        #[allow(clippy::disallowed_methods, reason = "the node's threads are its own")]
        std::thread::sleep(Duration::from_millis(1200));
        accept()
    });
    let node = ScriptedNode::start(script);
    let gateway = Gateway::start_with(&Upstream::Nodes(vec![node.port()]), &[], OFTEN);
    let (mut wire, _) = Wire::negotiated(gateway.port(), 6, Actions::ALL, Steps::NONE);
    let path = || RawPath::new(&b"<a@b.example>"[..]);
    let connect = Command::Connect {
        host: Bytes::from("client.example"),
        peer: millrace_proto::Peer::Unknown,
    };
    for command in [
        connect,
        Command::Helo(Bytes::from("client.example")),
        Command::Mail(path()),
        Command::Rcpt(path()),
        Command::Data,
        Command::EndOfHeaders,
        Command::Body(Bytes::from("body\r\n")),
    ] {
        let shown = format!("{command:?}");
        assert_eq!(wire.ask(command), Response::Continue, "{shown}");
    }
    assert_eq!(node.screened().len(), 5);
}
