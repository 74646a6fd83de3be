use millrace_tests::message;
use millrace_tests::mta::Kind;
use millrace_tests::route::Route;
use millrace_tests::scripted_node::Script;
use millrace_tests::with_both;

use crate::same::assert_same;

with_both!(
    accepted_mail_is_delivered_as_it_was_sent,
    the_node_sees_what_the_client_sent,
    many_messages_on_one_connection_keep_apart,
    an_outcome_is_settled_for_each_message,
    a_message_without_a_body_passes,
);

fn accepted_mail_is_delivered_as_it_was_sent(kind: Kind) {
    let route = Route::scripted(kind, Script::default());
    let sent = message::awkward();
    route.send(&sent).expect(250);
    assert_same(&route.sink.only().without_trace(), &sent);
    route.assert_no_complaints();
}

/// Headers byte for byte, blanks and folds included: signatures of the simple kind depend on it.
fn the_node_sees_what_the_client_sent(kind: Kind) {
    let route = Route::scripted(kind, Script::default());
    let sent = message::awkward();
    route.send(&sent).expect(250);

    let judged = route.node.judged().remove(0);
    assert_same(&judged.content, &sent);
    let transaction = judged.transaction;
    let connection = &transaction.connection;
    assert_eq!(connection.helo.as_deref(), Some(&b"client.example"[..]));
    let millrace_proto::Peer::Ip(peer) = &connection.peer else {
        panic!("the peer is known: {connection:?}");
    };
    assert_eq!(peer.ip().to_string(), "127.0.0.1");
    assert!(connection.tls.is_none() && connection.authentication.is_none());
    let sender = transaction.envelope.sender.expect("there was a MAIL");
    assert_eq!(sender.address, "sender@origin.example");
    let recipients: Vec<_> = transaction
        .envelope
        .recipients
        .iter()
        .map(|path| path.address.clone())
        .collect();
    assert_eq!(recipients, ["rcpt@dest.example"]);
    assert!(!transaction.queue_id.unwrap_or_default().is_empty());
}

fn many_messages_on_one_connection_keep_apart(kind: Kind) {
    let route = Route::scripted(kind, Script::default());
    let mut client = route.client();
    for number in 0..5 {
        let recipient = format!("rcpt{number}@dest.example");
        let sent = message::simple(&format!("number {number}"));
        client
            .message("sender@origin.example", &[&recipient], &sent)
            .expect(250);
        // A message that is begun and given up leaves nothing behind.
        client.envelope("other@origin.example", &["lost@dest.example"]);
        client.command("RSET").expect(250);
    }
    client.quit();

    let mut delivered = route.sink.wait_for(5);
    delivered.sort_by(|one, other| one.rcpts.cmp(&other.rcpts));
    for (number, message) in delivered.iter().enumerate() {
        assert_eq!(message.recipients(), [format!("rcpt{number}@dest.example")]);
        assert_eq!(
            message.fields_named("Subject"),
            [format!("Subject: number {number}")]
        );
    }
    let judged = route.node.judged();
    assert_eq!(judged.len(), 5);
    for message in &judged {
        assert_eq!(message.transaction.envelope.recipients.len(), 1);
    }
    let mut ids: Vec<_> = judged
        .iter()
        .map(|message| message.transaction.id)
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 5, "each message is a transaction of its own");
    route.assert_no_complaints();
}

fn an_outcome_is_settled_for_each_message(kind: Kind) {
    let route = Route::scripted(kind, Script::default());
    route.send(&message::simple("x")).expect(250);
    millrace_tests::patience::until("the outcome is settled", || {
        !route.node.settled().is_empty()
    });
    let settled = route.node.settled();
    assert_eq!(settled.len(), 1);
    let judged = route.node.judged().remove(0).transaction;
    assert_eq!(settled[0].transaction_id, judged.id.as_bytes()[..]);
    let outcome = settled[0].outcome.as_ref().expect("there is an outcome");
    assert_eq!(outcome.kind(), millrace_proto::pb::OutcomeKind::Done);
    assert_eq!(
        outcome.disposition(),
        millrace_proto::pb::Disposition::Accept
    );
}

fn a_message_without_a_body_passes(kind: Kind) {
    let route = Route::scripted(kind, Script::default());
    let sent = format!("{}Subject: nothing below\r\n\r\n", message::HEADER);
    route.send(sent.as_bytes()).expect(250);
    assert_same(&route.sink.only().without_trace(), sent.as_bytes());
    route.assert_no_complaints();
}
