use millrace_tests::message;
use millrace_tests::mta::Kind;
use millrace_tests::route::Route;
use millrace_tests::scripted_node::{Script, edit};
use millrace_tests::with_both;

use crate::same::assert_same;

with_both!(
    a_message_of_1_kib_passes,
    a_message_of_1_mib_passes,
    a_message_of_30_mib_passes,
    a_message_over_the_limit_is_refused,
    a_declared_size_over_the_limit_is_refused_at_mail,
);

fn passes(kind: Kind, size: usize) {
    let route = Route::scripted(kind, Script::editing(vec![edit::add("X-Seen", "yes")]));
    let sent = message::of_size(size);
    route.send(&sent).expect(250);
    assert_same(&route.node.judged().remove(0).content, &sent);
    let arrived = route.sink.only();
    assert_eq!(arrived.fields_named("X-Seen"), ["X-Seen: yes"]);
    assert_same(&arrived.without(&["Received", "X-Seen"]), &sent);
    route.assert_no_complaints();
}

fn a_message_of_1_kib_passes(kind: Kind) {
    passes(kind, 1 << 10);
}

fn a_message_of_1_mib_passes(kind: Kind) {
    passes(kind, 1 << 20);
}

fn a_message_of_30_mib_passes(kind: Kind) {
    passes(kind, 30 << 20);
}

fn a_message_over_the_limit_is_refused(kind: Kind) {
    let route = Route::scripted(kind, Script::default().up_to(100_000));
    let reply = route.send(&message::of_size(200_000));
    assert_eq!(reply.code, 552, "{reply}");
    assert_eq!(route.sink.count(), 0);
    route.send(&message::of_size(50_000)).expect(250);
    assert_eq!(route.sink.wait_for(1).len(), 1);
    route.assert_no_complaints();
}

fn a_declared_size_over_the_limit_is_refused_at_mail(kind: Kind) {
    let route = Route::scripted(kind, Script::default().up_to(100_000));
    let mut client = route.client();
    let reply = client.command("MAIL FROM:<sender@origin.example> SIZE=200000");
    assert_eq!(reply.code, 552, "{reply}");
    client
        .command("MAIL FROM:<sender@origin.example> SIZE=90000")
        .expect(250);
    route.assert_no_complaints();
}
