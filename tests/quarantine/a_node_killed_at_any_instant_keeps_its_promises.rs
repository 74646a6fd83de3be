use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use millrace_client::{CallOptions, Client, Content};
use millrace_proto::{Disposition, TransactionId};
use millrace_quarantine::{Filter, Quarantine};
use millrace_tests::admin;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::ports::Port;
use millrace_tests::process::Process;
use millrace_tests::servers::binary;
use millrace_tests::transaction;

const REFUSE_ALL: &str = "[[action]]\nname = \"all\"\ndo = \"reject\"\nkeep = true\n";
/// Times that the node is killed.
const ROUNDS: u64 = 12;
const MESSAGES: usize = 40;
const SENDERS: usize = 8;

struct Ports {
    listen: Port,
    admin: Port,
}

fn node(folder: &Path, ports: &Ports) -> Process {
    let mut process = Process::start_with("mpd-node", folder, &binary("mpd-node"), |node| {
        node.arg("--config").arg(folder.join("node.toml"));
        node.arg("--listen")
            .arg(format!("127.0.0.1:{}", ports.listen.number()));
        node.arg("--admin")
            .arg(format!("127.0.0.1:{}", ports.admin.number()));
    });
    let port = ports.admin.number();
    process.wait_for("readiness", |_| {
        matches!(admin::ask(port, "/readyz"), Some((200, _))).then_some(())
    });
    process
}

fn message(round: u64, number: usize) -> Bytes {
    let mut content = format!("Subject: {round} {number}\r\n\r\n").into_bytes();
    // Some above what is judged in place, and above one frame.
    content.resize(content.len() + number % 4 * 60_000, b'x');
    Bytes::from(content)
}

/// Sends one message as a mail server does that tries again until it has an answer.
async fn send(client: &Client, content: &Bytes, tries: usize) -> Option<TransactionId> {
    for _ in 0..tries {
        let transaction = transaction::from(b"a@x.example");
        let options = CallOptions::deadline(Duration::from_secs(30));
        let content = Content::Memory(content.clone());
        match client.process(&transaction, &content, options).await {
            Ok(verdict) => {
                assert_eq!(verdict.disposition, Disposition::Reject);
                assert!(verdict.keep, "it was promised");
                return Some(transaction.id);
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promised_copy_is_there_once() {
    let folder = tempfile::tempdir().expect("a temp folder can be made");
    let policy = PolicyFolder::of(REFUSE_ALL);
    let kept = folder.path().join("store");
    let text = format!(
        "policy = {:?}\n[quarantine]\nstore = {kept:?}\n",
        policy.path()
    );
    fs::write(folder.path().join("node.toml"), text).expect("the file can be written");
    let ports = Ports {
        listen: Port::reserve(),
        admin: Port::reserve(),
    };
    let url = format!("http://127.0.0.1:{}", ports.listen.number());
    // What was answered: subject, and the transaction that was promised a copy.
    let answered: Arc<Mutex<BTreeMap<String, TransactionId>>> = Arc::default();
    let mut before_the_kill = 0;
    for round in 0..ROUNDS {
        let mut first = node(folder.path(), &ports);
        let client = Client::connect_lazy(&url).expect("an address");
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (client, answered) = (client.clone(), answered.clone());
                tokio::spawn(async move {
                    for number in (sender..MESSAGES).step_by(SENDERS) {
                        let content = message(round, number);
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
        first.kill();
        for sender in senders {
            sender.await.expect("no sender panics");
        }
        drop(first);
        let store = Quarantine::open(kept.to_str().expect("UTF-8")).expect("a store");
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
    let _last = node(folder.path(), &ports);
    let client = Client::connect_lazy(&url).expect("an address");
    for round in 0..ROUNDS {
        for number in 0..MESSAGES {
            let sent = send(&client, &message(round, number), 100).await;
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
