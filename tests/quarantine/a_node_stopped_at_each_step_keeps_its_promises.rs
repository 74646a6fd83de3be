use std::collections::BTreeMap;
use std::time::Duration;

use millrace_proto::TransactionId;
use millrace_quarantine::{Filter, Quarantine, State};
use millrace_tests::patience::poll;
use millrace_tests::transaction;

use crate::support::{Node, is_promised, message, settle};

/// From the first byte of a copy to its settlement; the node ends itself there, as `kill -9` would.
const STEPS: &[&str] = &[
    "begun", "written", "synced", "named", "durable", "settling", "indexed",
];
const MESSAGES: usize = 5;
/// Which of the messages it is that the node does not survive.
const LAST: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promised_copy_is_there_once_wherever_the_node_was_stopped() {
    for step in STEPS {
        let folder = tempfile::tempdir().expect("a temp folder can be made");
        let kept = folder.path().join("store");
        let node = Node::keeping_in(&kept);
        let mut first = node.start_with(|command| {
            command.env("MILLRACE_STOP_AT", format!("{step}:{LAST}"));
        });
        let client = node.client();
        let mut promised: BTreeMap<usize, TransactionId> = BTreeMap::new();
        for number in 0..MESSAGES {
            let transaction = transaction::from(b"a@x.example");
            let content = message(&number.to_string(), number * 40_000);
            if is_promised(&client, &transaction, &content).await {
                promised.insert(number, transaction.id);
                settle(&client, transaction.id).await;
            }
        }
        let ended = poll(|| first.ended());
        let ended = ended.unwrap_or_else(|| panic!("{step}: the node came nowhere near it"));
        assert!(!ended.success(), "{step}: {ended}");
        assert!(promised.len() >= LAST - 1, "{step}: {promised:?}");

        // Whoever looks next finds all of it, also what was not listed.
        let store = Quarantine::open(kept.to_str().expect("UTF-8")).expect("a store");
        store.sweep().await.expect("what it left is found");
        for (number, id) in &promised {
            let copy = store.copy(&id.to_string()).await;
            let copy = copy.unwrap_or_else(|error| panic!("{step}: {number}: {error}"));
            assert_eq!(copy.content, message(&number.to_string(), number * 40_000));
        }

        // The senders come again, and every message ends in one copy; its settlement is noted.
        let _second = node.start();
        let client = node.client();
        for number in 0..MESSAGES {
            let content = message(&number.to_string(), number * 40_000);
            let transaction = transaction::from(b"a@x.example");
            let mut tries = 0;
            while !is_promised(&client, &transaction, &content).await {
                tries += 1;
                assert!(tries < 100, "{step}: {number} is refused for ever");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            settle(&client, transaction.id).await;
        }
        let settled = async {
            loop {
                let page = store.list(&Filter::default(), None, 100).await;
                let records = page.expect("a page").records;
                let unconfirmed = records.iter().filter(|one| one.state == State::Unconfirmed);
                if records.len() >= MESSAGES && unconfirmed.count() == 0 {
                    return records;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let records = tokio::time::timeout(Duration::from_secs(60), settled);
        let records = records.await.expect("everything is settled in the end");
        let mut subjects: Vec<_> = records.iter().map(|one| one.subject.clone()).collect();
        subjects.sort_unstable();
        assert_eq!(subjects, ["0", "1", "2", "3", "4"], "{step}");
        assert_eq!(store.mend().await.expect("the index is whole"), 0, "{step}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_two_nodes_get_at_once_ends_in_one_copy() {
    let folder = tempfile::tempdir().expect("a temp folder can be made");
    let kept = folder.path().join("store");
    let nodes = [Node::keeping_in(&kept), Node::keeping_in(&kept)];
    let _processes = nodes.each_ref().map(Node::start);
    let clients = nodes.each_ref().map(Node::client);
    for number in 0..20 {
        let transaction = transaction::from(b"a@x.example");
        let content = message(&number.to_string(), number % 2 * 100_000);
        let (one, other) = tokio::join!(
            is_promised(&clients[0], &transaction, &content),
            is_promised(&clients[1], &transaction, &content),
        );
        assert!(one && other, "{number}");
        // Told to one of them, whichever it was that wrote the copy.
        settle(&clients[number % 2], transaction.id).await;
    }
    let store = Quarantine::open(kept.to_str().expect("UTF-8")).expect("a store");
    let settled = async {
        loop {
            let page = store.list(&Filter::default(), None, 100).await;
            let records = page.expect("a page").records;
            let unconfirmed = records.iter().filter(|one| one.state == State::Unconfirmed);
            if records.len() >= 20 && unconfirmed.count() == 0 {
                return records.len();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let copies = tokio::time::timeout(Duration::from_secs(60), settled).await;
    assert_eq!(copies.expect("everything is settled in the end"), 20);
}
