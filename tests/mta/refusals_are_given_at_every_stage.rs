use millrace_proto::{Stage, Transaction, Verdict};
use millrace_tests::message;
use millrace_tests::mta::Kind;
use millrace_tests::route::Route;
use millrace_tests::scripted_node::{Script, accept, refuse};
use millrace_tests::smtp::{Client, Reply};
use millrace_tests::with_both;

with_both!(
    a_refused_connection_gets_no_mail_through,
    a_connection_is_put_off,
    a_refused_helo_gets_no_mail_through,
    a_sender_is_refused_with_the_policys_text,
    a_recipient_is_refused_with_the_policys_text_and_the_others_get_the_mail,
    a_recipient_is_put_off_and_the_others_get_the_mail,
    data_is_refused_with_the_policys_text,
    a_discard_at_mail_takes_the_message_and_drops_it,
    stages_that_the_plan_does_not_name_are_not_asked,
    the_null_sender_is_screened,
    mail_with_parameters_shows_them,
);

fn at(stage: Stage, verdict: Verdict) -> Script {
    Script::screening(&[stage], move |asked, _| {
        assert_eq!(asked, stage, "only that stage was wanted");
        verdict.clone()
    })
}

/// The first refusal that a client meets, from the greeting on; it must meet one.
#[track_caller]
fn first_refusal(route: &Route<millrace_tests::scripted_node::ScriptedNode>) -> Reply {
    let (mut client, greeting) = Client::connect_raw(route.mta.port());
    if greeting.code != 220 {
        return greeting;
    }
    let helo = client.command("EHLO client.example");
    if helo.code != 250 {
        return helo;
    }
    let reply = client
        .attempt(
            "sender@origin.example",
            &["rcpt@dest.example"],
            &message::simple("x"),
        )
        .expect("the connection holds");
    assert_ne!(reply.code, 250, "the message must not pass");
    assert_eq!(route.sink.count(), 0);
    assert!(
        route.node.judged().is_empty(),
        "nothing came to the end of the message"
    );
    reply
}

fn a_refused_connection_gets_no_mail_through(kind: Kind) {
    let route = Route::scripted(
        kind,
        at(Stage::Connect, refuse(554, "5.7.1", "not from there")),
    );
    let reply = first_refusal(&route);
    assert_eq!(reply.code / 100, 5, "{reply}");
    route.assert_no_complaints();
}

fn a_connection_is_put_off(kind: Kind) {
    let route = Route::scripted(kind, at(Stage::Connect, refuse(451, "4.7.1", "not now")));
    first_refusal(&route).expect_temporary();
    route.assert_no_complaints();
}

fn a_refused_helo_gets_no_mail_through(kind: Kind) {
    let route = Route::scripted(
        kind,
        at(Stage::Helo, refuse(550, "5.7.1", "a name of ours")),
    );
    let reply = first_refusal(&route).expect(550);
    assert!(reply.text().contains("a name of ours"), "{reply}");
    route.assert_no_complaints();
}

fn a_sender_is_refused_with_the_policys_text(kind: Kind) {
    let route = Route::scripted(
        kind,
        at(Stage::Mail, refuse(550, "5.7.1", "unwelcome sender")),
    );
    let mut client = route.client();
    let reply = client
        .command("MAIL FROM:<sender@origin.example>")
        .expect(550);
    assert!(reply.text().contains("unwelcome sender"), "{reply}");
    route.assert_no_complaints();
}

fn one_refused(verdict: Verdict) -> Script {
    Script::screening(&[Stage::Rcpt], move |_, transaction| {
        if last_recipient(transaction) == b"b@dest.example" {
            verdict.clone()
        } else {
            accept()
        }
    })
}

fn a_recipient_is_refused_with_the_policys_text_and_the_others_get_the_mail(kind: Kind) {
    let route = Route::scripted(kind, one_refused(refuse(550, "5.1.1", "no longer here")));
    let mut client = route.client();
    client.envelope("sender@origin.example", &["a@dest.example"]);
    let reply = client.command("RCPT TO:<b@dest.example>").expect(550);
    assert!(reply.text().contains("no longer here"), "{reply}");
    client.command("RCPT TO:<c@dest.example>").expect(250);
    client.data(&message::simple("x")).expect(250);
    assert_eq!(
        route.sink.only().recipients(),
        ["a@dest.example", "c@dest.example"]
    );
    let judged = route.node.judged().remove(0).transaction;
    assert_eq!(
        judged.envelope.recipients.len(),
        2,
        "a refused one is no recipient"
    );
    route.assert_no_complaints();
}

fn a_recipient_is_put_off_and_the_others_get_the_mail(kind: Kind) {
    let route = Route::scripted(kind, one_refused(refuse(450, "4.7.1", "greylisted")));
    let mut client = route.client();
    client.envelope("sender@origin.example", &["a@dest.example"]);
    let reply = client.command("RCPT TO:<b@dest.example>").expect(450);
    assert!(reply.text().contains("greylisted"), "{reply}");
    client.data(&message::simple("x")).expect(250);
    assert_eq!(route.sink.only().recipients(), ["a@dest.example"]);
    route.assert_no_complaints();
}

fn data_is_refused_with_the_policys_text(kind: Kind) {
    let route = Route::scripted(
        kind,
        at(Stage::Data, refuse(554, "5.7.1", "too many recipients")),
    );
    let mut client = route.client();
    client.envelope(
        "sender@origin.example",
        &["a@dest.example", "b@dest.example"],
    );
    let reply = client.command("DATA").expect(554);
    assert!(reply.text().contains("too many recipients"), "{reply}");
    assert_eq!(route.node.screened()[0].1.envelope.recipients.len(), 2);
    route.assert_no_complaints();
}

fn a_discard_at_mail_takes_the_message_and_drops_it(kind: Kind) {
    let dropped = Verdict {
        disposition: millrace_proto::Disposition::Discard,
        ..accept()
    };
    let route = Route::scripted(
        kind,
        Script::screening(&[Stage::Mail], move |_, transaction| {
            let sender = transaction
                .envelope
                .sender
                .as_ref()
                .expect("there was a MAIL");
            if &sender.address[..] == b"drop@origin.example" {
                dropped.clone()
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
    client
        .message(
            "pass@origin.example",
            &["rcpt@dest.example"],
            &message::simple("passed"),
        )
        .expect(250);
    assert_eq!(route.sink.only().sender(), "pass@origin.example");
    route.assert_no_complaints();
}

fn stages_that_the_plan_does_not_name_are_not_asked(kind: Kind) {
    let route = Route::scripted(
        kind,
        Script::screening(&[Stage::Helo, Stage::Rcpt], |_, _| accept()),
    );
    route.send(&message::simple("x")).expect(250);
    let stages: Vec<_> = route
        .node
        .screened()
        .iter()
        .map(|(stage, _)| *stage)
        .collect();
    assert_eq!(stages, [Stage::Helo, Stage::Rcpt]);
    route.assert_no_complaints();
}

fn the_null_sender_is_screened(kind: Kind) {
    let route = Route::scripted(kind, Script::screening(&[Stage::Mail], |_, _| accept()));
    let mut client = route.client();
    client
        .message("", &["rcpt@dest.example"], &message::simple("bounce"))
        .expect(250);
    let (_, transaction) = route.node.screened().remove(0);
    let sender = transaction
        .envelope
        .sender
        .expect("the null sender is a sender");
    assert!(sender.is_null());
    assert_eq!(route.sink.only().sender(), "");
}

fn mail_with_parameters_shows_them(kind: Kind) {
    let route = Route::scripted(
        kind,
        Script::screening(&[Stage::Mail, Stage::Rcpt], |_, _| accept()),
    );
    let mut client = route.client();
    client
        .command("MAIL FROM:<sender@origin.example> SIZE=1234 BODY=8BITMIME")
        .expect(250);
    client
        .command("RCPT TO:<rcpt@dest.example> NOTIFY=FAILURE")
        .expect(250);
    client.command("RSET").expect(250);
    let screened = route.node.screened();
    let sender = screened[0]
        .1
        .envelope
        .sender
        .as_ref()
        .expect("there was a MAIL");
    assert_eq!(sender.declared_size(), Some(1234));
    let recipient = &screened[1].1.envelope.recipients[0];
    assert_eq!(recipient.parameter("NOTIFY"), Some(&b"FAILURE"[..]));
}

fn last_recipient(transaction: &Transaction) -> &[u8] {
    transaction
        .envelope
        .recipients
        .last()
        .map(|path| &path.address[..])
        .unwrap_or_default()
}
