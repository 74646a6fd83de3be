//! The complaint: a filter says early that it has seen enough of the body, and another consumer
//! behind the same connection never sees the rest.
//!
//! Here: the mail server is told to skip the rest only once nobody will look at it.

use bytes::Bytes;
use millrace_milter::{Actions, Command, RawPath, Response, Steps};
use millrace_tests::milter::Wire;
use millrace_tests::scripted_node::{Script, ScriptedNode};
use millrace_tests::servers::{Gateway, Upstream};

const CHUNK: usize = 60_000;

/// Answers to ten chunks of a body, of a mail server that knows SKIP and answers to each chunk.
fn answers_to_chunks(gateway: &Gateway) -> (Wire, Vec<Response>) {
    let (mut wire, _) = Wire::negotiated(gateway.port(), 6, Actions::ALL, Steps::SKIP);
    let path = RawPath::new(&b"<a@origin.example>"[..]);
    let header = Command::Header {
        name: Bytes::from("Subject"),
        value: Bytes::from("large"),
    };
    for command in [
        Command::Mail(path.clone()),
        Command::Rcpt(path),
        header,
        Command::EndOfHeaders,
    ] {
        assert_eq!(wire.ask(command), Response::Continue);
    }
    let mut answers = Vec::new();
    for _ in 0..10 {
        let answer = wire.ask(Command::Body(Bytes::from(vec![b'x'; CHUNK])));
        let skipped = answer == Response::Skip;
        answers.push(answer);
        if skipped {
            break;
        }
    }
    (wire, answers)
}

#[test]
fn never_while_the_message_is_to_be_judged() {
    let node = ScriptedNode::start(Script::default());
    let gateway = Gateway::start(&Upstream::Nodes(vec![node.port()]));
    let (mut wire, answers) = answers_to_chunks(&gateway);
    assert_eq!(answers, vec![Response::Continue; 10]);
    let end = wire.ask(Command::EndOfBody(Bytes::new()));
    assert!(
        matches!(end, Response::Accept | Response::Continue),
        "{end:?}"
    );
    assert!(
        node.judged()[0].content.len() > 10 * CHUNK,
        "all of it is judged"
    );
}

#[test]
fn once_it_is_known_that_it_will_not_be() {
    let node = ScriptedNode::start(Script::default().up_to(100_000));
    let gateway = Gateway::start(&Upstream::Nodes(vec![node.port()]));
    let (mut wire, answers) = answers_to_chunks(&gateway);
    assert_eq!(answers.last(), Some(&Response::Skip), "{answers:?}");
    let end = wire.ask(Command::EndOfBody(Bytes::new()));
    assert!(
        matches!(&end, Response::ReplyCode(text) if text.starts_with(b"552 ")),
        "{end:?}"
    );
    assert!(node.judged().is_empty());
}
