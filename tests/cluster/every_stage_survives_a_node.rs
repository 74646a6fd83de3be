//! A node is killed or stopped between any two steps of a mail server's conversation: with one that is well, the
//! mail server sees nothing of it.

use millrace_milter::{Actions, Command, RawPath, Response, Steps};
use millrace_tests::milter::Wire;

use millrace_tests::servers::Node;

use crate::Cluster;

/// Every stage has something to decide.
const ALL_STAGES: &str = r#"
[[list]]
symbol = "PEER"
match = "peer"
entries = ["203.0.113.99"]
action = "reject"
reply = "550 5.7.1 no"

[[list]]
symbol = "HELO"
match = "helo"
entries = ["bad.example"]
action = "reject"
reply = "550 5.7.1 no"

[[list]]
symbol = "SENDER"
match = "envelope_sender"
entries = ["bad.example"]
action = "reject"
reply = "550 5.7.1 no"

[[list]]
symbol = "RECIPIENT"
match = "recipient"
entries = ["bad.example"]
action = "reject"
reply = "550 5.7.1 no"

[[action]]
name = "mark"
when = "1"
add_header = "X-Judged: yes"
"#;

/// What is done to the node.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Kill,
    Stop,
}

#[test]
fn a_node_killed_at_any_stage_is_not_missed() {
    survives(Blow::Kill);
}

#[test]
fn a_node_stopped_at_any_stage_is_not_missed() {
    survives(Blow::Stop);
}

fn survives(blow: Blow) {
    let mut cluster = Cluster::of(2, ALL_STAGES, "");
    let steps = conversation();
    for step in 0..=steps.len() {
        for node in 0..2 {
            let at = format!("{blow:?} of node {node} before step {step}");
            let port = cluster.gateway.port();
            let (mut wire, _) = Wire::negotiated(port, 6, Actions::ALL, Steps::NONE);
            for (n, command) in steps.iter().enumerate() {
                if n == step {
                    blow.deal(&mut cluster.nodes[node]);
                }
                let answer = wire.ask(command.clone());
                assert!(matches!(answer, Response::Continue), "{at}: {answer:?}");
            }
            if step == steps.len() {
                blow.deal(&mut cluster.nodes[node]);
            }
            wire.send(&[Command::EndOfBody("hello\r\n".into())]);
            let mut marked = false;
            let answer = loop {
                match wire.response() {
                    Response::InsertHeader { name, .. } => marked |= name == "X-Judged",
                    Response::Progress => {}
                    answer => break answer,
                }
            };
            let accepted = matches!(answer, Response::Accept | Response::Continue);
            assert!(accepted && marked, "{at}: {answer:?}");
            match blow {
                Blow::Kill => cluster.nodes[node].start_again(),
                Blow::Stop => cluster.nodes[node].process.resume(),
            }
            cluster.serving(2);
        }
    }
    assert_eq!(cluster.metric("millrace_gateway_failures_total"), 0.0);
}

impl Blow {
    fn deal(self, node: &mut Node) {
        match self {
            Self::Kill => node.process.kill(),
            Self::Stop => node.process.freeze(),
        }
    }
}

/// All up to the end of the message; the plan wants to be asked at connect, HELO, MAIL and RCPT.
fn conversation() -> Vec<Command> {
    vec![
        Command::Connect {
            host: "client.example".into(),
            peer: millrace_proto::Peer::Unknown,
        },
        Command::Helo("client.example".into()),
        Command::Mail(RawPath::new("<a@example.org>")),
        Command::Rcpt(RawPath::new("<b@example.net>")),
        Command::Data,
        Command::Header {
            name: "Subject".into(),
            value: "x".into(),
        },
        Command::EndOfHeaders,
    ]
}
