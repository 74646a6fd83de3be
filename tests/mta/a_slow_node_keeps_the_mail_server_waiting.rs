use std::time::Duration;

use millrace_tests::message;
use millrace_tests::mta::Kind;
use millrace_tests::route::Route;
use millrace_tests::scripted_node::{Script, edit};
use millrace_tests::with_both;

with_both!(a_verdict_that_takes_longer_than_the_mail_servers_patience_still_counts);

/// The mail server waits 7 seconds for each answer; the verdict takes 15. The gateway's word that
/// it is still at work (SMFIR_PROGRESS) keeps the server waiting.
fn a_verdict_that_takes_longer_than_the_mail_servers_patience_still_counts(kind: Kind) {
    let script =
        Script::editing(vec![edit::add("X-Seen", "at last")]).slowly(Duration::from_secs(15));
    let route = Route::scripted_for(kind, script, |wanted| {
        wanted.reply_timeout(Duration::from_secs(7))
    });
    route.send(&message::simple("x")).expect(250);
    assert_eq!(
        route.sink.only().fields_named("X-Seen"),
        ["X-Seen: at last"]
    );
    route.assert_no_complaints();
}
