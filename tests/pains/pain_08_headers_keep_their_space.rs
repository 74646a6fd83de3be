//! The complaint: a filter eats the blanks after a header's colon, or drops a header that is
//! empty, and the signature over the message no longer holds.
//!
//! Here: where the mail server can tell the leading blanks, the node sees each header to the byte;
//! where it cannot, nothing but the one blank that the protocol takes away is put back. Headers
//! that are written have exactly one blank either way.

use millrace_milter::mta::{Client, Flavour, Message, apply_to_headers};
use millrace_tests::message::awkward;
use millrace_tests::milter::Sender;
use millrace_tests::scripted_node::{Script, ScriptedNode, edit};
use millrace_tests::servers::{Gateway, Upstream};

fn seen_by_the_node(flavour: Flavour, content: &[u8]) -> Vec<u8> {
    let node = ScriptedNode::start(Script::default());
    let gateway = Gateway::start(&Upstream::Nodes(vec![node.port()]));
    let mail = Sender::connect_as(gateway.port(), flavour, Client::default())
        .send(Message::parse(content));
    assert_eq!(mail.answer(), "accept");
    node.judged().remove(0).content
}

fn shown(content: &[u8]) -> String {
    content.escape_ascii().to_string().replace("\\r\\n", "\n")
}

#[test]
fn to_the_byte_where_the_mail_server_tells_them() {
    for flavour in [Flavour::Postfix, Flavour::Sendmail] {
        let content = awkward();
        assert_eq!(
            shown(&seen_by_the_node(flavour, &content)),
            shown(&content),
            "{flavour:?}"
        );
    }
}

#[test]
fn with_one_blank_where_it_does_not() {
    let content =
        b"Subject: one\r\nX-Two:  two\r\nX-Tail: end  \r\nX-Fold: a\r\n\tb\r\n\r\nbody\r\n";
    assert_eq!(
        shown(&seen_by_the_node(Flavour::Minimal, content)),
        shown(content)
    );
}

#[test]
fn empty_headers_are_headers() {
    let content = b"X-Empty:\r\nSubject: a\r\nX-Also-Empty:\r\n\r\nbody\r\n";
    assert_eq!(
        shown(&seen_by_the_node(Flavour::Postfix, content)),
        shown(content)
    );
}

#[test]
fn what_is_written_has_one_blank_with_and_without_the_agreement() {
    let script = Script::editing(vec![
        edit::add("X-Added", "value"),
        edit::change("Subject", 1, "new"),
    ]);
    let node = ScriptedNode::start(script);
    let gateway = Gateway::start(&Upstream::Nodes(vec![node.port()]));
    for flavour in [Flavour::Postfix, Flavour::Sendmail, Flavour::Minimal] {
        let message = Message::parse(b"From:x\r\nSubject:  old\r\n\r\nbody\r\n");
        let headers = message.headers.clone();
        let mail = Sender::connect_as(gateway.port(), flavour, Client::default()).send(message);
        let spaced = flavour != Flavour::Minimal;
        let written: Vec<String> = apply_to_headers(flavour, spaced, &headers, &mail.outcome.edits)
            .iter()
            .map(|(name, value)| format!("{}:{}", name.escape_ascii(), value.escape_ascii()))
            .collect();
        assert_eq!(
            written,
            ["From:x", "Subject: new", "X-Added: value"],
            "{flavour:?}"
        );
    }
}
