//! The complaint: one header, address or HELO with bytes that are no UTF-8 throws an exception in
//! the filter, and the message is put off for ever.
//!
//! Here: they are bytes, all the way to the node; and the log stays text.

use bytes::Bytes;
use millrace_milter::RawPath;
use millrace_milter::mta::{Client, Flavour, Message};
use millrace_tests::milter::Sender;
use millrace_tests::scripted_node::{Script, ScriptedNode};
use millrace_tests::servers::{Gateway, Upstream};
use millrace_tests::verdicts;

use crate::support::JSON;

#[test]
fn from_the_mail_server_to_the_node_and_in_the_log() {
    let all: Vec<u8> = (1..=255).filter(|byte| !b"\r\n".contains(byte)).collect();
    let mut value = b" ".to_vec();
    value.extend_from_slice(&all);
    let message = Message {
        sender: RawPath::new(&b"<j\xf6rg@\xe4.example>"[..]),
        recipients: vec![RawPath::new(&b"<\xff\xfe@dest.example>"[..])],
        headers: vec![
            (Bytes::from("Subject"), Bytes::from(value.clone())),
            (
                Bytes::from_static(b"X-\xc4"),
                Bytes::from_static(b" \xc3\x28"),
            ),
        ],
        body: Bytes::from_static(b"\xe9\r\n"),
    };
    let client = Client {
        host: Bytes::from_static(b"h\xf6st.example"),
        helo: Bytes::from_static(b"\xc3\x28"),
        macros: vec![("{auth_authen}".to_owned(), Bytes::from_static(b"us\xe9r"))],
        ..Client::default()
    };
    let node = ScriptedNode::start(Script::default());
    let gateway = Gateway::start_with(&Upstream::Nodes(vec![node.port()]), JSON, "");
    let mail = Sender::connect_as(gateway.port(), Flavour::Postfix, client).send(message);
    assert_eq!(mail.answer(), "accept");

    let judged = node.judged().remove(0);
    let transaction = &judged.transaction;
    assert_eq!(
        transaction.connection.helo.as_deref(),
        Some(&b"\xc3\x28"[..])
    );
    let sender = transaction.envelope.sender.as_ref().expect("a sender");
    let told = sender.address.windows(4).any(|part| part == b"j\xf6rg");
    assert!(told, "{sender:?}");
    let expected = [
        b"Subject:",
        &value[..],
        b"\r\nX-\xc4: \xc3\x28\r\n\r\n\xe9\r\n",
    ]
    .concat();
    assert_eq!(
        judged.content.escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
    let line = verdicts::nth(&gateway, 0);
    assert!(
        line["sender"]
            .as_str()
            .is_some_and(|sender| sender.contains(".example")),
        "{line}"
    );
}

#[test]
fn the_built_in_policy_judges_them() {
    let gateway = Gateway::start_with(&Upstream::Embedded(None), JSON, "");
    let mail = Sender::connect(gateway.port()).send(Message::parse(
        b"From: \xe4\xf6\xfc <a@b.example>\r\nSubject: =?utf-8?B?//79?= \xff\r\nTo: \xc3\r\n\r\n\xff\xfe\r\n",
    ));
    assert_eq!(mail.answer(), "accept");
    assert!(
        verdicts::symbols(&verdicts::nth(&gateway, 0)).contains(&"HEADER_8BIT"),
        "{}",
        gateway.log()
    );
}
