use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use millrace_tests::message;
use millrace_tests::mta::Kind;
use millrace_tests::patience::until;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::route::Route;
use millrace_tests::smtp::Client;
use millrace_tests::with_both;

with_both!(
    a_policy_changes_under_load_and_each_message_is_judged_by_one,
    a_policy_that_does_not_compile_leaves_the_last_one_in_force,
);

/// Two rules, two headers: a message judged by a mixture of two policies would show it.
fn policy(name: &str) -> String {
    format!(
        "[[action]]\nname = \"one\"\nwhen = \"1\"\nadd_header = [\"X-First: {name}\", \"X-Second: {name}\", \"X-Revision: {{revision}}\"]\n"
    )
}

fn a_policy_changes_under_load_and_each_message_is_judged_by_one(kind: Kind) {
    const SENDERS: usize = 3;
    let folder = PolicyFolder::of(&policy("old"));
    let route = Arc::new(Route::judged_by_policy(kind, folder.path(), |wanted| {
        wanted
    }));
    let stop = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicUsize::new(0));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (route, stop, sent) = (Arc::clone(&route), Arc::clone(&stop), Arc::clone(&sent));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut client = Client::connect(route.mta.port());
                    for _ in 0..3 {
                        let subject = format!("from {sender}");
                        client
                            .message(
                                "sender@origin.example",
                                &["rcpt@dest.example"],
                                &message::simple(&subject),
                            )
                            .expect(250);
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                    client.quit();
                }
            })
        })
        .collect();

    let seen = |name: &str| {
        let wanted = format!("X-First: {name}");
        route
            .sink
            .delivered()
            .iter()
            .any(|message| message.fields_named("X-First").contains(&wanted))
    };
    until("mail is judged by the first policy", || seen("old"));
    for name in ["new", "newer", "newest"] {
        folder.replace(&policy(name));
        until("mail is judged by the changed policy", || seen(name));
    }
    stop.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.join().expect("no message was refused");
    }

    let total = sent.load(Ordering::Relaxed);
    let delivered = route.sink.wait_for(total);
    assert_eq!(delivered.len(), total, "none is lost, none is doubled");
    let mut revisions = std::collections::BTreeMap::new();
    for message in &delivered {
        let (first, second) = (
            message.fields_named("X-First"),
            message.fields_named("X-Second"),
        );
        assert_eq!((first.len(), second.len()), (1, 1), "each is judged once");
        let name = first[0].trim_start_matches("X-First: ").to_owned();
        assert_eq!(second[0], format!("X-Second: {name}"), "and by one policy");
        let revision = message.fields_named("X-Revision").remove(0);
        assert_eq!(
            revisions.entry(name).or_insert_with(|| revision.clone()),
            &revision
        );
    }
    assert_eq!(revisions.len(), 4);
}

fn a_policy_that_does_not_compile_leaves_the_last_one_in_force(kind: Kind) {
    let folder = PolicyFolder::of(&policy("good"));
    let route = Route::judged_by_policy(kind, folder.path(), |wanted| wanted);
    route.send(&message::simple("before")).expect(250);
    folder.replace("[[action]]\nname = \"broken\"\ndo = \"explode\"\n");
    until("the mistake is told with its place", || {
        let log = route.node.process.output();
        log.contains("policy.toml:3") && log.contains("explode")
    });
    route.send(&message::simple("after")).expect(250);
    for message in route.sink.wait_for(2) {
        assert_eq!(message.fields_named("X-First"), ["X-First: good"]);
    }
}
