use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use millrace_tests::servers::binary;

fn certs(folder: &Path, words: &[&str]) -> Output {
    Command::new(binary("millrace"))
        .args(["certs", "--out"])
        .arg(folder)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .expect("millrace starts")
}

#[test]
fn keys_are_for_their_owner_and_nothing_is_replaced_unasked() {
    let folder = tempfile::tempdir().expect("a temp folder can be made");
    let at = |name: &str| folder.path().join(name);
    let made = certs(folder.path(), &["node-1.example,127.0.0.1", "mx1.example"]);
    assert!(made.status.success(), "{made:?}");
    for name in [
        "ca-key.pem",
        "node-1.example-key.pem",
        "mx1.example-key.pem",
    ] {
        let mode = fs::metadata(at(name)).expect(name).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let told = String::from_utf8_lossy(&made.stdout).into_owned();
    for words in ["[tls]", "node-1.example.pem", "# [[peer]]", "https://"] {
        assert!(told.contains(words), "{words}: {told}");
    }

    let before = ["ca.pem", "node-1.example.pem"].map(|name| fs::read(at(name)).expect(name));
    let again = certs(folder.path(), &["node-1.example", "node-2.example"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(
        at("node-2.example.pem").exists(),
        "what was not there is made"
    );
    let after = ["ca.pem", "node-1.example.pem"].map(|name| fs::read(at(name)).expect(name));
    assert_eq!(before, after);

    let forced = certs(
        folder.path(),
        &["--force", "--format", "json", "node-1.example"],
    );
    assert!(forced.status.success(), "{forced:?}");
    assert_eq!(fs::read(at("ca.pem")).expect("ca.pem"), before[0]);
    assert_ne!(fs::read(at("node-1.example.pem")).expect("node"), before[1]);
    let told: serde_json::Value = serde_json::from_slice(&forced.stdout).expect("JSON");
    assert_eq!(told[0]["made"], true);
}

#[test]
fn what_cannot_be_made_is_told() {
    let folder = tempfile::tempdir().expect("a temp folder can be made");
    for (words, told) in [
        (&["192.0.2.1"][..], "is no name"),
        (
            &["--ca-days", "10", "--days", "20", "a.example"],
            "before the certificates would",
        ),
        (&["--days", "0", "a.example"], "--days"),
        (&[], "required"),
    ] {
        let ran = certs(folder.path(), words);
        let text = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{words:?}: {text}");
        assert!(text.contains(told), "{words:?}: {text}");
    }
}

#[test]
fn an_authority_is_known_to_other_tools() {
    let folder = tempfile::tempdir().expect("a temp folder can be made");
    let made = certs(
        folder.path(),
        &["node-1.example,127.0.0.1,spiffe://example/node-1"],
    );
    assert!(made.status.success(), "{made:?}");
    let verified = Command::new(millrace_tests::packages::program("openssl"))
        .current_dir(folder.path())
        .args([
            "verify",
            "-x509_strict",
            "-verify_ip",
            "127.0.0.1",
            "-purpose",
            "sslclient",
        ])
        .args(["-CAfile", "ca.pem", "node-1.example.pem"])
        .output()
        .expect("openssl starts");
    assert!(verified.status.success(), "{verified:?}");
}
