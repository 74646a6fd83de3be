//! A node that keeps what it refuses, and messages for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use millrace_client::{CallOptions, Client, Content};
use millrace_proto::{Disposition, Outcome, OutcomeKind, Settlement, Transaction, TransactionId};
use millrace_tests::admin;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::ports::Port;
use millrace_tests::process::Process;
use millrace_tests::servers::binary;

pub(crate) const REFUSE_ALL: &str = "[[action]]\nname = \"all\"\ndo = \"reject\"\nkeep = true\n";

/// Where a node is, and what it is told.
pub(crate) struct Node {
    folder: tempfile::TempDir,
    _policy: PolicyFolder,
    listen: Port,
    admin: Port,
}

impl Node {
    /// A node that keeps copies in this folder.
    pub(crate) fn keeping_in(store: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temp folder can be made");
        let policy = PolicyFolder::of(REFUSE_ALL);
        let text = format!(
            "policy = {:?}\n[quarantine]\nstore = {store:?}\n",
            policy.path()
        );
        fs::write(folder.path().join("node.toml"), text).expect("the file can be written");
        Self {
            folder,
            _policy: policy,
            listen: Port::reserve(),
            admin: Port::reserve(),
        }
    }

    pub(crate) fn start(&self) -> Process {
        self.start_with(|_| {})
    }

    pub(crate) fn start_with(&self, prepare: impl FnOnce(&mut Command)) -> Process {
        let folder: PathBuf = self.folder.path().to_owned();
        let program = binary("mpd-node");
        let mut process = Process::start_with("mpd-node", &folder, &program, |node| {
            node.arg("--config").arg(folder.join("node.toml"));
            node.arg("--listen")
                .arg(format!("127.0.0.1:{}", self.listen.number()));
            node.arg("--admin")
                .arg(format!("127.0.0.1:{}", self.admin.number()));
            prepare(node);
        });
        let port = self.admin.number();
        process.wait_for("readiness", |_| {
            matches!(admin::ask(port, "/readyz"), Some((200, _))).then_some(())
        });
        process
    }

    pub(crate) fn client(&self) -> Client {
        let url = format!("http://127.0.0.1:{}", self.listen.number());
        Client::connect_lazy(&url).expect("an address")
    }
}

pub(crate) fn message(subject: &str, size: usize) -> Bytes {
    let mut content = format!("Subject: {subject}\r\n\r\n").into_bytes();
    content.resize(content.len() + size, b'x');
    Bytes::from(content)
}

/// Whether the message was refused with the promise of a copy; else there was no verdict.
pub(crate) async fn is_promised(
    client: &Client,
    transaction: &Transaction,
    content: &Bytes,
) -> bool {
    let options = CallOptions::deadline(Duration::from_secs(30));
    let content = Content::Memory(content.clone());
    match client.process(transaction, &content, options).await {
        Ok(verdict) => {
            assert_eq!(verdict.disposition, Disposition::Reject);
            assert!(verdict.keep, "it was promised");
            true
        }
        Err(_) => false,
    }
}

/// Tells what was done, as whoever carried the verdict out does; it may get lost.
pub(crate) async fn settle(client: &Client, transaction: TransactionId) {
    let settlement = Settlement {
        transaction,
        client: "mx".parse().expect("a name"),
        queue_id: None,
        revision: None,
        outcome: Outcome {
            kind: OutcomeKind::Done,
            disposition: Disposition::Reject,
        },
        kept: true,
    };
    let options = CallOptions::deadline(Duration::from_secs(30));
    let _ = client.settle(settlement, options).await;
}
