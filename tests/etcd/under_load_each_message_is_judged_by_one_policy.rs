use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use millrace_tests::etcd::Etcd;
use millrace_tests::load::Loading;
use millrace_tests::member::{Member, publish};
use millrace_tests::servers::{Gateway, Upstream};
use millrace_tests::verdicts;

use crate::{ran, refusing, text_refusing};

const POLICIES: usize = 8;

#[test]
fn by_one_that_was_published_whatever_is_published_meanwhile() {
    let etcd = Etcd::start();
    let folder = refusing("0@blocked.example");
    let mut published = BTreeSet::from([publish(folder.path(), &etcd)]);
    let nodes = ["one", "two"].map(|name| Member::start(name, &etcd));
    let ports = nodes.iter().map(Member::port).collect();
    let gateway = Gateway::start_with(&Upstream::Nodes(ports), &["--log-format", "json"], "");

    let load = Loading::begin(gateway.port());
    for n in 1..POLICIES {
        folder.replace(&text_refusing(&format!("{n}@blocked.example")));
        let dir = folder.path().to_str().expect("a path of ours");
        let told = ran(
            &["policy", "publish", dir, "--wait", "60", "--format", "json"],
            &etcd,
        )
        .expect(0)
        .json();
        println!(
            "in force on both nodes after {} s",
            told["nodes"]["seconds"]
        );
        let revision = told["publication"]["revision"]
            .as_str()
            .expect("a revision");
        published.insert(revision.to_owned());
        // Some mail for each; how much is no matter.
        #[allow(clippy::disallowed_methods, reason = "tests have threads of their own")]
        thread::sleep(Duration::from_millis(300));
    }
    load.end().assert_all_accepted();

    let mut judged: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for verdict in verdicts::logged(&gateway) {
        let text = |key: &str| verdict[key].as_str().unwrap_or_default().to_owned();
        assert_eq!(text("outcome"), "carried-out", "{verdict}");
        judged
            .entry(text("transaction_id"))
            .or_default()
            .insert(text("revision"));
    }
    let seen: BTreeSet<&String> = judged.values().flatten().collect();
    println!("{} messages under {} policies", judged.len(), seen.len());
    assert!(seen.len() > 2, "the policy changed under way: {seen:?}");
    for (transaction, revisions) in &judged {
        assert_eq!(revisions.len(), 1, "{transaction}: {revisions:?}");
        assert!(
            revisions
                .iter()
                .all(|revision| published.iter().any(|known| known.starts_with(revision))),
            "{transaction}: {revisions:?} was not published"
        );
    }
}
