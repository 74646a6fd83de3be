use millrace_proto::{ConduitKind, Direction, Disposition, Verdict};
use millrace_tests::qmail::QmailHome;
use millrace_tests::scripted_node::{Script, ScriptedNode, accept, edit, refuse};
use millrace_tests::smtp;

use super::Conduits;

const MAIL: &[u8] = b"Subject: x\r\n\r\nbody\r\n";

#[test]
fn smtpfront_qmail_hands_in_what_the_policy_accepts() {
    let node = ScriptedNode::start(Script::editing(vec![edit::insert("X-Added", "1")]));
    let conduits = Conduits::before(&node);
    let home = QmailHome::before(&[conduits.endpoint()]);
    let front = home.serve("smtpfront-qmail");
    let mut client = smtp::Client::connect(front.port());
    client
        .message("a@example.org", &["b@example.net", "c@example.net"], MAIL)
        .expect(250);
    client.quit();
    let queued = home.queued();
    let [(message, envelope)] = &queued[..] else {
        panic!("{} messages; log: {}", queued.len(), home.log())
    };
    assert!(
        message.starts_with(b"X-Added: 1\nReceived: "),
        "{}",
        message.escape_ascii()
    );
    assert!(message.ends_with(b"Subject: x\n\nbody\n"));
    let ends = b"Fa@example.org\0Tb@example.net\0Tc@example.net\0";
    assert!(envelope.ends_with(ends), "{}", envelope.escape_ascii());
    let judged = node.judged();
    let seen = &judged[0].transaction;
    assert_eq!(seen.conduit, ConduitKind::QmailQueue);
    assert_eq!(seen.direction, Direction::Outbound, "RELAYCLIENT is set");
    assert_eq!(seen.connection.peer.to_string(), "127.0.0.1");
}

#[test]
fn its_clients_see_each_verdict() {
    for (verdict, code) in [
        (refuse(550, "5.7.1", "no"), 554),
        (refuse(451, "4.7.1", "later"), 451),
        (
            Verdict {
                disposition: Disposition::Discard,
                ..accept()
            },
            250,
        ),
    ] {
        let node = ScriptedNode::start(Script::giving(verdict));
        let conduits = Conduits::before(&node);
        let home = QmailHome::before(&[conduits.endpoint()]);
        let front = home.serve("smtpfront-qmail");
        let mut client = smtp::Client::connect(front.port());
        let reply = client.message("a@example.org", &["b@example.net"], MAIL);
        assert_eq!(reply.code, code, "{reply}");
        assert_eq!(home.count(), 0);
    }
}

#[test]
fn a_client_that_hangs_up_in_data_queues_nothing() {
    let node = ScriptedNode::start(Script::default());
    let conduits = Conduits::before(&node);
    let home = QmailHome::before(&[conduits.endpoint()]);
    let front = home.serve("smtpfront-qmail");
    let mut client = smtp::Client::connect(front.port());
    client.envelope("a@example.org", &["b@example.net"]);
    client.command("DATA").expect(354);
    client
        .send(b"Subject: x\r\n\r\nhalf of it\r\n")
        .expect("it is sent");
    drop(client);
    // The next message is through, so the one before it is over.
    smtp::Client::connect(front.port())
        .message("a@example.org", &["b@example.net"], MAIL)
        .expect(250);
    millrace_tests::patience::until("it is noticed", || home.log().contains("gave up"));
    assert_eq!((home.count(), node.judged().len()), (1, 1));
}

#[test]
fn a_message_above_databytes_queues_nothing_and_asks_nobody() {
    let node = ScriptedNode::start(Script::default());
    let conduits = Conduits::before(&node);
    let home = QmailHome::before(&[conduits.endpoint()]);
    let front = home.serve_with("smtpfront-qmail", &[("DATABYTES", "10000")]);
    let mut client = smtp::Client::connect(front.port());
    let large = [MAIL, &b"a line of a large message\r\n".repeat(8000)].concat();
    let reply = client.message("a@example.org", &["b@example.net"], &large);
    assert_eq!(reply.code, 552, "{reply}");
    client
        .message("a@example.org", &["b@example.net"], MAIL)
        .expect(250);
    assert_eq!(
        (home.count(), node.judged().len()),
        (1, 1),
        "{}",
        home.log()
    );
}
