use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use millrace_client::Client;
use millrace_proto::TransactionId;
use millrace_quarantine::{Filter, Quarantine};
use millrace_tests::transaction;

use crate::support::{Node, is_promised, message};

/// Times that the node is killed.
const ROUNDS: u64 = 12;
const MESSAGES: usize = 40;
const SENDERS: usize = 8;

/// Some above what is judged in place, and above one frame.
fn message_of(round: u64, number: usize) -> Bytes {
    message(&format!("{round} {number}"), number % 4 * 60_000)
}

/// Sends one message as a mail server does that tries again until it has an answer.
async fn send(client: &Client, content: &Bytes, tries: usize) -> Option<TransactionId> {
    for _ in 0..tries {
        let transaction = transaction::from(b"a@x.example");
        if is_promised(client, &transaction, content).await {
            return Some(transaction.id);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promised_copy_is_there_once() {
    let folder = tempfile::tempdir().expect("a temp folder can be made");
    let kept = folder.path().join("store");
    let node = Node::keeping_in(&kept);
    // What was answered: subject, and the transaction that was promised a copy.
    let answered: Arc<Mutex<BTreeMap<String, TransactionId>>> = Arc::default();
    let mut before_the_kill = 0;
    for round in 0..ROUNDS {
        let mut first = node.start();
        let client = node.client();
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (client, answered) = (client.clone(), answered.clone());
                tokio::spawn(async move {
                    for number in (sender..MESSAGES).step_by(SENDERS) {
                        let content = message_of(round, number);
                        if let Some(id) = send(&client, &content, 1).await {
                            let mut answered = answered.lock().expect("no sender panics");
                            answered.insert(format!("{round} {number}"), id);
                        }
                    }
                })
            })
            .collect();
        // At other instants each time; the whole takes some tens of milliseconds.
        tokio::time::sleep(Duration::from_millis(2 + 7 * round)).await;
        // On a machine that is busy with something else, none of these may have been late enough.
        let late = || round + 1 < ROUNDS || !answered.lock().expect("no sender panics").is_empty();
        for _ in 0..3000 {
            if late() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        first.kill();
        for sender in senders {
            sender.await.expect("no sender panics");
        }
        drop(first);
        let store = Quarantine::open(kept.to_str().expect("UTF-8")).expect("a store");
        store.sweep().await.expect("what it left is found");
        let promised = answered.lock().expect("no sender panics").clone();
        before_the_kill = promised.len();
        for (subject, id) in &promised {
            let copy = store.copy(&id.to_string()).await;
            let copy = copy.unwrap_or_else(|error| panic!("{subject} was promised: {error}"));
            let start = format!("Subject: {subject}\r\n\r\n");
            assert!(copy.content.starts_with(start.as_bytes()));
        }
    }
    assert!(
        before_the_kill > 0,
        "no kill came late enough to test anything"
    );

    // The senders try again, and every message ends in one copy, whether or not it was kept before the kill.
    let _last = node.start();
    let client = node.client();
    for round in 0..ROUNDS {
        for number in 0..MESSAGES {
            let sent = send(&client, &message_of(round, number), 100).await;
            assert!(sent.is_some(), "the node is there again");
        }
    }
    let store = Quarantine::open(kept.to_str().expect("UTF-8")).expect("a store");
    store.mend().await.expect("the index is whole");
    let all = store
        .list(&Filter::default(), None, usize::MAX)
        .await
        .expect("a page");
    let mut subjects: Vec<_> = all.records.iter().map(|one| one.subject.clone()).collect();
    subjects.sort_unstable();
    let copies = subjects.len();
    subjects.dedup();
    assert_eq!(subjects.len(), copies, "one copy each");
    assert_eq!(copies, ROUNDS as usize * MESSAGES);
}
