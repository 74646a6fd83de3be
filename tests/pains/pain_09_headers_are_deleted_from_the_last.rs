//! The complaint: a filter that deletes several headers of one name from the first to the last
//! removes the wrong ones, because each deletion moves those behind it.
//!
//! Here: verdicts count headers as they were, and the gateway writes deletions in the order in
//! which the mail server cannot miscount.

use millrace_milter::Response;
use millrace_milter::mta::{Client, Flavour, Message, apply_to_headers};
use millrace_tests::milter::Sender;
use millrace_tests::scripted_node::{Script, ScriptedNode, edit};
use millrace_tests::servers::{Gateway, Upstream};

const FIVE: &[u8] = b"X-Mark: 1\r\nSubject: a\r\nx-mark: 2\r\nX-Mark: 3\r\nX-MARK: 4\r\nTo: b\r\nX-Mark: 5\r\n\r\nbody\r\n";

#[test]
fn those_that_were_meant_are_gone_and_no_other() {
    let script = Script::editing(vec![
        edit::delete("X-Mark", 1),
        edit::delete("X-Mark", 2),
        edit::change("X-Mark", 3, "changed"),
        edit::delete("X-Mark", 5),
    ]);
    let node = ScriptedNode::start(script);
    let gateway = Gateway::start(&Upstream::Nodes(vec![node.port()]));
    for flavour in [Flavour::Postfix, Flavour::Sendmail, Flavour::Minimal] {
        let message = Message::parse(FIVE);
        let headers = message.headers.clone();
        let mail = Sender::connect_as(gateway.port(), flavour, Client::default()).send(message);
        let deleted: Vec<u32> = mail
            .outcome
            .edits
            .iter()
            .filter_map(|edit| match edit {
                Response::ChangeHeader { index, value, .. } if value.is_empty() => Some(*index),
                _ => None,
            })
            .collect();
        assert_eq!(deleted, [5, 2, 1], "{flavour:?}: {mail:?}");
        let spaced = flavour != Flavour::Minimal;
        let left: Vec<String> = apply_to_headers(flavour, spaced, &headers, &mail.outcome.edits)
            .iter()
            .map(|(name, value)| format!("{}:{}", name.escape_ascii(), value.escape_ascii()))
            .collect();
        assert_eq!(
            left,
            ["Subject: a", "X-Mark: changed", "X-MARK: 4", "To: b"],
            "{flavour:?}"
        );
    }
}
