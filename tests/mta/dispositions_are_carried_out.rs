use millrace_proto::{Disposition, Verdict};
use millrace_tests::message;
use millrace_tests::mta::{Kind, Mta};
use millrace_tests::patience::until;
use millrace_tests::route::Route;
use millrace_tests::scripted_node::{Script, accept, refuse};
use millrace_tests::with_both;

with_both!(
    a_refusal_has_the_policys_own_text,
    a_refusal_may_have_several_lines_and_percent_signs,
    a_temporary_refusal_has_the_policys_own_text,
    discarded_mail_is_taken_and_goes_nowhere,
    held_mail_waits_in_the_mail_servers_own_hold,
    a_refused_message_does_not_stand_in_the_way_of_the_next,
);

fn a_refusal_has_the_policys_own_text(kind: Kind) {
    let route = Route::scripted(
        kind,
        Script::giving(refuse(554, "5.7.9", "We do not take this")),
    );
    let reply = route.send(&message::simple("x")).expect(554);
    assert_eq!(reply.text(), "5.7.9 We do not take this");
    assert_eq!((route.sink.count(), route.mta.queued()), (0, 0));
    route.assert_no_complaints();
}

fn a_refusal_may_have_several_lines_and_percent_signs(kind: Kind) {
    let mut verdict = refuse(550, "5.7.1", "x");
    let lines = vec![
        "100% spam".to_owned(),
        "See https://dest.example/why%20not".to_owned(),
    ];
    verdict.reply = millrace_proto::Reply::from_lines(550, Some("5.7.1"), lines).ok();
    let route = Route::scripted(kind, Script::giving(verdict));
    let reply = route.send(&message::simple("x")).expect(550);
    assert_eq!(
        reply.lines,
        [
            "5.7.1 100% spam",
            "5.7.1 See https://dest.example/why%20not"
        ]
    );
    route.assert_no_complaints();
}

fn a_temporary_refusal_has_the_policys_own_text(kind: Kind) {
    let route = Route::scripted(kind, Script::giving(refuse(451, "4.7.5", "Come again")));
    let reply = route.send(&message::simple("x")).expect(451);
    assert_eq!(reply.text(), "4.7.5 Come again");
    assert_eq!((route.sink.count(), route.mta.queued()), (0, 0));
    route.assert_no_complaints();
}

fn discarded_mail_is_taken_and_goes_nowhere(kind: Kind) {
    let verdict = Verdict {
        disposition: Disposition::Discard,
        ..accept()
    };
    let route = Route::scripted(
        kind,
        Script::judging(move |transaction, _| {
            if sender(transaction) == b"drop@origin.example" {
                verdict.clone()
            } else {
                accept()
            }
        }),
    );
    let mut client = route.client();
    client
        .message(
            "drop@origin.example",
            &["rcpt@dest.example"],
            &message::simple("dropped"),
        )
        .expect(250);
    // Whatever would come of the first one has come when the second one has arrived.
    client
        .message(
            "pass@origin.example",
            &["rcpt@dest.example"],
            &message::simple("passed"),
        )
        .expect(250);
    assert_eq!(route.sink.only().sender(), "pass@origin.example");
    until("the queue is empty", || route.mta.queued() == 0);
    assert_eq!(route.sink.count(), 1);
    route.assert_no_complaints();
}

fn held_mail_waits_in_the_mail_servers_own_hold(kind: Kind) {
    let verdict = Verdict {
        disposition: Disposition::Hold,
        hold_reason: "looks odd, ask the postmaster".to_owned(),
        ..accept()
    };
    let route = Route::scripted(kind, Script::giving(verdict));
    route.send(&message::simple("x")).expect(250);
    let held = route.mta.held();
    assert_eq!(held.len(), 1, "one message is held: {held:?}");
    assert_eq!(route.sink.count(), 0);
    match &route.mta {
        Mta::Postfix(postfix) => {
            postfix.release();
            assert_eq!(route.sink.only().sender(), "sender@origin.example");
        }
        Mta::Sendmail(sendmail) => {
            assert_eq!(
                sendmail.held_because(&held[0]),
                "looks odd, ask the postmaster"
            );
        }
    }
    route.assert_no_complaints();
}

fn a_refused_message_does_not_stand_in_the_way_of_the_next(kind: Kind) {
    let route = Route::scripted(
        kind,
        Script::judging(|transaction, _| {
            if sender(transaction) == b"bad@origin.example" {
                refuse(550, "5.7.1", "not you")
            } else {
                accept()
            }
        }),
    );
    let mut client = route.client();
    for _ in 0..2 {
        client
            .message(
                "bad@origin.example",
                &["rcpt@dest.example"],
                &message::simple("x"),
            )
            .expect(550);
        client
            .message(
                "good@origin.example",
                &["rcpt@dest.example"],
                &message::simple("y"),
            )
            .expect(250);
    }
    for message in route.sink.wait_for(2) {
        assert_eq!(message.sender(), "good@origin.example");
    }
    route.assert_no_complaints();
}

fn sender(transaction: &millrace_proto::Transaction) -> &[u8] {
    transaction
        .envelope
        .sender
        .as_ref()
        .map(|path| &path.address[..])
        .unwrap_or_default()
}
