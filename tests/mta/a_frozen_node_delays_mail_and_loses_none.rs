use std::time::Duration;

use millrace_tests::message;
use millrace_tests::mta::Kind;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::route::Route;
use millrace_tests::with_both;

with_both!(mail_waits_for_a_node_that_is_frozen_for_a_while);

const POLICY: &str = r#"
[[action]]
name = "mark"
when = "1"
add_header = "X-Judged: yes"
"#;

/// The node is stopped for 11 seconds with a message in hand; the mail server waits 7 for each
/// answer, and the gateway keeps it waiting.
fn mail_waits_for_a_node_that_is_frozen_for_a_while(kind: Kind) {
    let policy = PolicyFolder::of(POLICY);
    let route = Route::judged_by_policy(kind, policy.path(), |wanted| {
        wanted.reply_timeout(Duration::from_secs(7))
    });
    let mut client = route.client();
    client.envelope("sender@origin.example", &["rcpt@dest.example"]);
    client.command("DATA").expect(354);
    route.node.process.freeze();
    client
        .send(&message::simple("x"))
        .expect("the connection holds");
    client.send(b".\r\n").expect("the connection holds");
    // The freeze is what is tested: there is nothing to wait for but time.
    thread_sleep(Duration::from_secs(11));
    route.node.process.resume();
    client
        .read_reply()
        .expect("the mail server answers")
        .expect(250);
    assert_eq!(
        route.sink.only().fields_named("X-Judged"),
        ["X-Judged: yes"]
    );
    route.assert_no_complaints();
}

#[allow(clippy::disallowed_methods, reason = "tests have threads of their own")]
fn thread_sleep(time: Duration) {
    std::thread::sleep(time);
}
