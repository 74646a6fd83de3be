use std::time::Duration;

use millrace_tests::message;
use millrace_tests::mta::Kind;
use millrace_tests::patience::until;
use millrace_tests::route::Route;
use millrace_tests::scripted_node::{Script, ScriptedNode};
use millrace_tests::servers::{Gateway, Upstream};
use millrace_tests::with_both;

with_both!(
    a_node_lost_before_the_verdict_defers_the_message,
    mail_passes_by_another_node,
    a_failure_row_may_let_mail_pass_with_a_stamp,
);

fn a_node_lost_before_the_verdict_defers_the_message(kind: Kind) {
    let slow = Script::default().slowly(Duration::from_secs(600));
    let Route {
        mta,
        gateway: _gateway,
        node,
        sink,
    } = Route::scripted(kind, slow);
    let mut client = millrace_tests::smtp::Client::connect(mta.port());
    client.envelope("sender@origin.example", &["rcpt@dest.example"]);
    client.command("DATA").expect(354);
    client
        .send(&message::simple("x"))
        .expect("the connection holds");
    client.send(b".\r\n").expect("the connection holds");
    until("the node has the message", || !node.judged().is_empty());
    drop(node);
    client
        .read_reply()
        .expect("the mail server answers")
        .expect_temporary();
    assert_eq!((sink.count(), mta.queued()), (0, 0));
    assert!(mta.complaints().is_empty(), "{:?}", mta.complaints());
}

fn mail_passes_by_another_node(kind: Kind) {
    let (one, other) = (
        ScriptedNode::start(Script::default()),
        ScriptedNode::start(Script::default()),
    );
    let gateway = Gateway::start(&Upstream::Nodes(vec![one.port(), other.port()]));
    let route = Route::over(kind, gateway, other, |wanted| wanted);
    drop(one);
    for number in 0..4 {
        route
            .send(&message::simple(&format!("{number}")))
            .expect(250);
    }
    assert_eq!(route.sink.wait_for(4).len(), 4);
    route.assert_no_complaints();
}

/// Not the default: an administrator may prefer unjudged mail to late mail.
fn a_failure_row_may_let_mail_pass_with_a_stamp(kind: Kind) {
    let node = ScriptedNode::start(Script::default());
    let upstream = Upstream::Nodes(vec![node.port()]);
    let table = "[[failure]]\nkinds = [\"no-node\"]\naction = \"accept-and-stamp\"\n";
    let gateway = Gateway::start_with(&upstream, &[], table);
    let route = Route::over(kind, gateway, (), |wanted| wanted);
    drop(node);
    route.send(&message::simple("x")).expect(250);
    let arrived = route.sink.only();
    let stamps: Vec<_> = arrived
        .fields()
        .into_iter()
        .map(|field| field.text())
        .filter(|field| field.contains("no-node"))
        .collect();
    assert_eq!(stamps.len(), 1, "the stamp says why: {stamps:?}");
    route.assert_no_complaints();
}
