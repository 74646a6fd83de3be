use millrace_tests::message;
use millrace_tests::mta::{Kind, Mta};
use millrace_tests::patience::until;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::route::Route;
use millrace_tests::servers::Node;
use millrace_tests::with_both;

use crate::same::assert_same;

with_both!(
    every_action_of_a_policy_is_carried_out,
    mail_is_redirected_and_copied,
    lists_refuse_at_the_stage_where_they_know,
    attachments_are_refused,
    a_verdict_is_found_by_the_mail_servers_queue_id,
);

/// The subject says what is to be done.
const BY_SUBJECT: &str = include_str!("by_subject.toml");

fn by_subject(kind: Kind) -> (PolicyFolder, Route<Node>) {
    let policy = PolicyFolder::of(BY_SUBJECT);
    let route = Route::judged_by_policy(kind, policy.path(), |wanted| wanted);
    (policy, route)
}

fn every_action_of_a_policy_is_carried_out(kind: Kind) {
    let (_policy, route) = by_subject(kind);

    let reply = route.send(&message::simple("do reject")).expect(554);
    assert_eq!(reply.text(), "5.7.9 We do not take REJECT_ME");
    let reply = route.send(&message::simple("do tempfail")).expect(451);
    assert_eq!(reply.text(), "4.7.5 Come again");
    route.send(&message::simple("do discard")).expect(250);
    route.send(&message::simple("do hold")).expect(250);
    assert_eq!(route.mta.held().len(), 1);
    if let Mta::Sendmail(sendmail) = &route.mta {
        assert_eq!(
            sendmail.held_because(&route.mta.held()[0]),
            "held by the test"
        );
    }
    assert_eq!(route.sink.count(), 0);

    route.send(&message::simple("do nothing")).expect(250);
    let arrived = route.sink.wait_for(1).remove(0);
    assert_same(&arrived.without_trace(), &message::simple("do nothing"));

    // Marked: on top, at the bottom, in place of another, one gone, and the subject tagged.
    route
        .send(&message::with_fields(
            "X-Replaced: old\r\nX-Gone: 1\r\nSubject: do mark\r\nX-Gone: 2\r\n",
        ))
        .expect(250);
    let arrived = route.sink.wait_for(2).remove(1);
    let wanted = format!(
        "X-Top: yes\r\n{}X-Replaced: new\r\nSubject: [MARKED] do mark\r\nX-Bottom: MARK_ME\r\n\r\n\
         Hello,\r\nthis is a test.\r\n",
        message::HEADER
    );
    assert_same(&arrived.without_trace(), wanted.as_bytes());
    assert_eq!(arrived.sender(), "marked@origin.example");
    route.assert_no_complaints();
}

fn mail_is_redirected_and_copied(kind: Kind) {
    let (_policy, route) = by_subject(kind);
    let recipients = ["a@dest.example", "B.Upper@Dest.Example"];
    let mut client = route.client();
    client
        .message(
            "sender@origin.example",
            &recipients,
            &message::simple("do redirect"),
        )
        .expect(250);
    assert_eq!(
        route.sink.wait_for(1)[0].recipients(),
        ["quarantine@dest.example"]
    );
    client
        .message(
            "sender@origin.example",
            &recipients,
            &message::simple("do copy"),
        )
        .expect(250);
    assert_eq!(
        route.sink.wait_for(2)[1].recipients(),
        [
            "B.Upper@Dest.Example",
            "a@dest.example",
            "archive@dest.example"
        ]
    );
    route.assert_no_complaints();
}

fn lists_refuse_at_the_stage_where_they_know(kind: Kind) {
    let policy = PolicyFolder::of(
        r#"
        [[list]]
        symbol = "BAD_HELO"
        match = "helo"
        entries = ["spammer.example"]
        action = "reject"
        reply = "550 5.7.1 HELO refused"

        [[list]]
        symbol = "BAD_SENDER"
        match = "envelope_sender"
        entries = ["*@spam.example"]
        action = "reject"
        reply = "550 5.7.1 sender refused"

        [[list]]
        symbol = "NO_SUCH_RECIPIENT"
        match = "recipient"
        entries = ["left@dest.example"]
        action = "reject"
        reply = "550 5.1.1 no longer here"
        "#,
    );
    let route = Route::judged_by_policy(kind, policy.path(), |wanted| wanted);

    let (mut client, greeting) = millrace_tests::smtp::Client::connect_raw(route.mta.port());
    greeting.expect(220);
    let mut refusal = client.command("EHLO spammer.example");
    if refusal.code == 250 {
        // Sendmail keeps its answer to HELO for MAIL.
        refusal = client.command("MAIL FROM:<sender@origin.example>");
    }
    assert!(
        refusal.clone().expect(550).text().contains("HELO refused"),
        "{refusal}"
    );

    let mut client = route.client();
    let reply = client
        .command("MAIL FROM:<anyone@spam.example>")
        .expect(550);
    assert!(reply.text().contains("sender refused"), "{reply}");
    client.envelope("sender@origin.example", &["a@dest.example"]);
    let reply = client.command("RCPT TO:<left@dest.example>").expect(550);
    assert!(reply.text().contains("no longer here"), "{reply}");
    client.data(&message::simple("x")).expect(250);
    assert_eq!(route.sink.only().recipients(), ["a@dest.example"]);
    route.assert_no_complaints();
}

fn attachments_are_refused(kind: Kind) {
    let policy = PolicyFolder::of(
        r#"
        [[attachment]]
        symbol = "PROGRAM"
        extensions = ["exe", "scr"]
        score = 1

        [[action]]
        name = "no-programs"
        when = "PROGRAM"
        do = "reject"
        reply = "554 5.7.1 no programs, please"
        "#,
    );
    let route = Route::judged_by_policy(kind, policy.path(), |wanted| wanted);
    let program =
        message::with_attachment("game.exe", "application/octet-stream", b"MZ not really");
    let reply = route.send(&program).expect(554);
    assert_eq!(reply.text(), "5.7.1 no programs, please");
    let text = message::with_attachment("notes.txt", "text/plain", b"nothing here");
    route.send(&text).expect(250);
    assert_same(&route.sink.only().without_trace(), &text);
}

/// An administrator comes with a line of the mail server's log.
fn a_verdict_is_found_by_the_mail_servers_queue_id(kind: Kind) {
    let (_policy, route) = by_subject(kind);
    let reply = route
        .send(&message::simple("do nothing"))
        .expect(250)
        .text();
    let queue_id = match kind {
        // "2.0.0 Ok: queued as 4ABC", "2.0.0 3AMAbc Message accepted for delivery"
        Kind::Postfix => reply.rsplit(' ').next(),
        Kind::Sendmail => reply.split(' ').nth(1),
    };
    let queue_id = queue_id.expect("the mail server names it").to_owned();
    until("the verdict is logged", || {
        route
            .gateway
            .log()
            .lines()
            .any(|line| line.contains(&queue_id) && line.contains("accept"))
    });
}
