use std::path::Path;
use std::process::Command;

use millrace_tests::message;
use millrace_tests::mta::Kind;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::route::Route;
use millrace_tests::servers::{Gateway, Upstream, binary};
use millrace_tests::with_both;

use crate::same::assert_same;

with_both!(
    refused_mail_is_released_through_the_filter_that_refused_it,
    a_stamp_does_not_help_another_message_or_other_people,
);

const REFUSE_ALL: &str = "[[action]]\nname = \"all\"\ndo = \"reject\"\nkeep = true\n";

/// A mail server whose filter refuses everything, and keeps it.
struct Kept {
    route: Route<()>,
    _policy: PolicyFolder,
    folder: tempfile::TempDir,
}

impl Kept {
    fn start(kind: Kind) -> Self {
        let folder = tempfile::tempdir().expect("a temp folder can be made");
        let policy = PolicyFolder::of(REFUSE_ALL);
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

    /// The copies' identifiers, the newest first.
    fn copies(&self) -> Vec<serde_json::Value> {
        let listed = quarantine(self.folder.path(), &["list", "--format", "json"]);
        let lines = listed.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().expect("JSON")
    }

    fn release(&self, id: &str) -> String {
        let via = format!("127.0.0.1:{}", self.route.mta.port());
        let keys = self.folder.path().join("keys");
        let keys = keys.to_str().expect("UTF-8");
        quarantine(
            self.folder.path(),
            &["release", id, "--via", &via, "--keys", keys],
        )
    }
}

fn quarantine(folder: &Path, words: &[&str]) -> String {
    let output = Command::new(binary("millrace"))
        .arg("quarantine")
        .args(words)
        .arg("--store")
        .arg(folder.join("store"))
        .output()
        .expect("millrace starts");
    assert!(
        output.status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("the output is UTF-8")
}

fn id(record: &serde_json::Value) -> &str {
    record["id"].as_str().expect("a record has an identifier")
}

fn refused_mail_is_released_through_the_filter_that_refused_it(kind: Kind) {
    let kept = Kept::start(kind);
    let content = message::with_attachment("a.txt", "text/plain", b"attached");
    let reply = kept.route.send(&content);
    assert!(reply.code >= 500, "{reply:?}");
    let copies = kept.copies();
    assert_eq!(copies.len(), 1);
    let told = kept.release(id(&copies[0]));
    assert!(told.contains("<rcpt@dest.example>  sent"), "{told}");

    let arrived = kept.route.sink.only();
    assert_eq!(arrived.sender(), "sender@origin.example");
    assert_eq!(arrived.recipients(), ["rcpt@dest.example"]);
    assert_same(
        &arrived.without(&["Received", "X-Millrace-Stamp"]),
        &content,
    );
    // The next filter on the way finds it too.
    assert_eq!(arrived.fields_named("X-Millrace-Stamp").len(), 1);
    let copies = kept.copies();
    assert_eq!(copies.len(), 1, "it was not kept again");
    assert!(copies[0]["released"].is_u64(), "{}", copies[0]);
    kept.route.assert_no_complaints();
}

fn a_stamp_does_not_help_another_message_or_other_people(kind: Kind) {
    let kept = Kept::start(kind);
    let content = message::simple("once");
    kept.route.send(&content);
    kept.release(id(&kept.copies()[0]));
    let stamped = kept.route.sink.only().without(&["Received"]);
    let text = String::from_utf8(stamped.clone()).expect("the test's message is ASCII");
    let changed = text.replace("this is a test", "buy my goods").into_bytes();
    assert_ne!(changed, stamped);
    for (recipient, content) in [
        ("other@dest.example", &stamped),
        ("rcpt@dest.example", &changed),
    ] {
        let mut client = kept.route.client();
        let reply = client.message("sender@origin.example", &[recipient], content);
        assert!(reply.code >= 500, "{reply:?}");
        client.quit();
        let newest = &kept.copies()[0];
        let symbols = newest["symbols"].as_array().expect("symbols");
        assert!(symbols.iter().any(|one| one == "STAMP_REFUSED"), "{newest}");
    }
    assert_eq!(kept.route.sink.count(), 1);
}
