use millrace_tests::message;
use millrace_tests::mta::Kind;
use millrace_tests::with_both;
use serde_json::json;

use crate::kept::Kept;
use crate::same::assert_same;

with_both!(
    who_refuses_is_taken_off_and_the_copy_is_released_to_them_alone,
    who_holds_is_taken_off_and_the_copy_is_released_to_them_alone,
    who_keeps_nothing_is_refused_aloud,
);

/// Recipients in `strict.example` are dealt with in this way, others get their mail.
fn policy(done: &str) -> String {
    format!(
        "[[action]]\nname = \"strict\"\nrecipient_domain = \"strict.example\"\ndo = \"{done}\"\n"
    )
}

const RECIPIENTS: [&str; 3] = ["a@dest.example", "b@strict.example", "c@strict.example"];

fn taken_off(kind: Kind, done: &str) {
    let kept = Kept::start(kind, &policy(done));
    let content = message::simple("for some");
    kept.send_to(&RECIPIENTS, &content).expect(250);
    let arrived = kept.route.sink.only();
    assert_eq!(arrived.recipients(), ["a@dest.example"]);
    assert_same(&arrived.without_trace(), &content);

    let copy = kept.settled();
    assert_eq!(copy["kept_for"], json!(&RECIPIENTS[1..]), "{copy}");
    assert_eq!(copy["recipients"], json!(RECIPIENTS), "{copy}");
    assert_eq!(copy["disposition"], done, "{copy}");
    assert_eq!(copy["state"]["disposition"], "accept", "{copy}");
    let line = kept.run(&["list"]);
    assert!(
        line.contains("-> b@strict.example c@strict.example  "),
        "{line}"
    );

    kept.release(&copy, &[]);
    let released = kept.route.sink.wait_for(2).remove(1);
    assert_eq!(released.recipients(), RECIPIENTS[1..]);
    assert_same(
        &released.without(&["Received", "X-Millrace-Stamp"]),
        &content,
    );
    kept.route.assert_no_complaints();
}

fn who_refuses_is_taken_off_and_the_copy_is_released_to_them_alone(kind: Kind) {
    taken_off(kind, "reject");
}

fn who_holds_is_taken_off_and_the_copy_is_released_to_them_alone(kind: Kind) {
    taken_off(kind, "hold");
}

fn who_keeps_nothing_is_refused_aloud(kind: Kind) {
    let kept = Kept::start(kind, &format!("keep = \"nothing\"\n{}", policy("reject")));
    kept.send_to(&RECIPIENTS, &message::simple("for some"))
        .expect(550);
    assert_eq!(kept.route.sink.count(), 0);
    assert_eq!(kept.copies(), Vec::<serde_json::Value>::new());
}
