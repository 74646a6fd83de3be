use std::time::Duration;

use millrace_tests::message;
use millrace_tests::mta::Kind;
use millrace_tests::patience::until;
use millrace_tests::route::Route;
use millrace_tests::scripted_node::Script;
use millrace_tests::servers::Upstream;
use millrace_tests::with_both;

with_both!(
    a_gateway_killed_before_the_verdict_defers_the_message,
    a_gateway_killed_within_the_content_defers_the_message,
    a_gateway_that_is_down_defers_mail_and_mail_passes_when_it_is_back,
    a_gateway_told_to_end_gives_the_verdict_that_is_under_way,
);

/// Longer than the test lasts: the verdict is not to come.
const NEVER: Duration = Duration::from_secs(600);

fn a_gateway_killed_before_the_verdict_defers_the_message(kind: Kind) {
    let mut route = Route::scripted(kind, Script::default().slowly(NEVER));
    let mut client = route.client();
    client.envelope("sender@origin.example", &["rcpt@dest.example"]);
    client.command("DATA").expect(354);
    client
        .send(&message::simple("x"))
        .expect("the connection holds");
    client.send(b".\r\n").expect("the connection holds");
    until("the node has the message", || {
        !route.node.judged().is_empty()
    });
    route.gateway.process.kill();
    client
        .read_reply()
        .expect("the mail server answers")
        .expect_temporary();
    assert_eq!((route.sink.count(), route.mta.queued()), (0, 0));
}

fn a_gateway_killed_within_the_content_defers_the_message(kind: Kind) {
    let mut route = Route::scripted(kind, Script::default());
    let mut client = route.client();
    client.envelope("sender@origin.example", &["rcpt@dest.example"]);
    client.command("DATA").expect(354);
    let content = message::of_size(3 << 20);
    let (first, rest) = content.split_at(1 << 20);
    client.send(first).expect("the connection holds");
    route.gateway.process.kill();
    client.send(rest).expect("the connection holds");
    client.send(b".\r\n").expect("the connection holds");
    client
        .read_reply()
        .expect("the mail server answers")
        .expect_temporary();
    assert_eq!((route.sink.count(), route.mta.queued()), (0, 0));
}

fn a_gateway_that_is_down_defers_mail_and_mail_passes_when_it_is_back(kind: Kind) {
    let mut route = Route::scripted(kind, Script::default());
    route.send(&message::simple("before")).expect(250);
    route.gateway.process.kill();
    let reply = route.client().attempt(
        "sender@origin.example",
        &["rcpt@dest.example"],
        &message::simple("while"),
    );
    reply.expect("the connection holds").expect_temporary();
    let upstream = Upstream::Nodes(vec![route.node.port()]);
    route.gateway.start_again(&upstream);
    route.send(&message::simple("after")).expect(250);
    let subjects: Vec<_> = route
        .sink
        .wait_for(2)
        .iter()
        .flat_map(|message| message.fields_named("Subject"))
        .collect();
    assert_eq!(subjects, ["Subject: before", "Subject: after"]);
}

/// SIGTERM: no new mail, but what is in hand is finished.
fn a_gateway_told_to_end_gives_the_verdict_that_is_under_way(kind: Kind) {
    let mut route = Route::scripted(kind, Script::default().slowly(Duration::from_secs(3)));
    let mut client = route.client();
    client.envelope("sender@origin.example", &["rcpt@dest.example"]);
    client.command("DATA").expect(354);
    client
        .send(&message::simple("x"))
        .expect("the connection holds");
    client.send(b".\r\n").expect("the connection holds");
    until("the node has the message", || {
        !route.node.judged().is_empty()
    });
    route
        .gateway
        .process
        .signal(nix::sys::signal::Signal::SIGTERM);
    client
        .read_reply()
        .expect("the mail server answers")
        .expect(250);
    client.quit();
    assert_eq!(route.sink.only().sender(), "sender@origin.example");
    let status = route.gateway.process.wait();
    assert!(status.success(), "an orderly end: {status}");
}
