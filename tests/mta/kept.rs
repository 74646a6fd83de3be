//! A mail server whose filter keeps copies, and the command that looks at them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use millrace_tests::mta::Kind;
use millrace_tests::patience::until;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::route::Route;
use millrace_tests::servers::{Gateway, Upstream, binary};
use millrace_tests::smtp::Reply;
use serde_json::Value;

/// A mail server, a gateway with a node in it, a store, and keys for stamps.
pub(crate) struct Kept {
    pub(crate) route: Route<()>,
    _policy: PolicyFolder,
    folder: tempfile::TempDir,
}

impl Kept {
    pub(crate) fn start(kind: Kind, policy: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temp folder can be made");
        let policy = PolicyFolder::of(policy);
        let keys = folder.path().join("keys");
        quarantine(folder.path(), &["key", keys.to_str().expect("UTF-8")]);
        let configuration = format!(
            "[quarantine]\nstore = {:?}\n[stamp]\nkeys = {keys:?}\n",
            folder.path().join("store")
        );
        let upstream = Upstream::Embedded(Some(policy.path().to_owned()));
        let gateway = Gateway::start_with(&upstream, &[], &configuration);
        Self {
            route: Route::over(kind, gateway, (), |wanted| wanted),
            _policy: policy,
            folder,
        }
    }

    /// Sends one message to these recipients.
    pub(crate) fn send_to(&self, recipients: &[&str], content: &[u8]) -> Reply {
        let mut client = self.route.client();
        let reply = client.message("sender@origin.example", recipients, content);
        client.quit();
        reply
    }

    /// What is kept, the newest first; also what the node lists in a moment only.
    pub(crate) fn copies(&self) -> Vec<Value> {
        self.run(&["mend"]);
        let listed = self.run(&["list", "--format", "json"]);
        let lines = listed.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().expect("JSON")
    }

    /// The only copy, once it is known what was done with the message.
    pub(crate) fn settled(&self) -> Value {
        until("the copy is settled", || {
            self.copies()
                .first()
                .is_some_and(|copy| copy["state"]["state"] == "settled")
        });
        let mut copies = self.copies();
        assert_eq!(copies.len(), 1, "{copies:?}");
        copies.remove(0)
    }

    /// The copy's bytes.
    pub(crate) fn raw(&self, copy: &Value) -> Vec<u8> {
        let output = self.output(&["show", "--raw", id(copy)]);
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    /// Sends a copy on through the mail server.
    pub(crate) fn release(&self, copy: &Value, further: &[&str]) -> String {
        let via = format!("127.0.0.1:{}", self.route.mta.port());
        let keys = self.keys();
        let keys = keys.to_str().expect("UTF-8");
        let own = ["release", id(copy), "--via", &via, "--keys", keys];
        self.run(&[&own, further].concat())
    }

    /// The store's folder.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    /// What the command prints.
    pub(crate) fn run(&self, words: &[&str]) -> String {
        quarantine(self.folder.path(), words)
    }

    pub(crate) fn output(&self, words: &[&str]) -> Output {
        output(self.folder.path(), words)
    }
}

pub(crate) fn id(copy: &Value) -> &str {
    copy["id"].as_str().expect("a copy has an identifier")
}

fn quarantine(folder: &Path, words: &[&str]) -> String {
    let output = output(folder, words);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {complaint}");
    String::from_utf8(output.stdout).expect("the output is UTF-8")
}

fn output(folder: &Path, words: &[&str]) -> Output {
    Command::new(binary("millrace"))
        .arg("quarantine")
        .args(words)
        .arg("--store")
        .arg(folder.join("store"))
        .output()
        .expect("millrace starts")
}
