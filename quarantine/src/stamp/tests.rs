//! What a stamp says, and for what it says nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::*;

const MESSAGE: &str = "Received: from a by b\r\nFrom: Alice <alice@sender.example>\r\nSubject: a\r\n folded subject\r\n\
    X-Other: x\r\n\r\nHow are you?\r\n\r\nBye\r\n";
const NOW: u64 = 1_800_000_000;

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    (folder, path)
}

fn new_keys() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    StampKeys::add(&path).unwrap();
    (folder, path)
}

fn load(path: &Path) -> StampKeys {
    StampKeys::load(path).unwrap()
}

fn stamped(keys: &StampKeys, message: &str, recipients: &[&str]) -> String {
    let recipients: Vec<&[u8]> = recipients.iter().map(|one| one.as_bytes()).collect();
    let value = keys
        .stamp(message.as_bytes(), &recipients, NOW + 10)
        .unwrap();
    format!("{HEADER}: {}\r\n{message}", value.replace('\n', "\r\n"))
}

fn look(keys: &StampKeys, message: &str, recipients: &[&str], now: u64) -> Stamped {
    let recipients: Vec<&[u8]> = recipients.iter().map(|one| one.as_bytes()).collect();
    keys.look(message.as_bytes(), &recipients, now)
}

#[test]
fn a_stamp_holds_through_what_mail_servers_do() {
    let (_folder, path) = new_keys();
    let keys = load(&path);
    let whole = stamped(&keys, MESSAGE, &["bob@here.example", "eve@here.example"]);
    let added = format!(
        "Received: from c by d\r\n\tfor bob; x\r\nDate: now\r\nMessage-ID: <1@c>\r\n{whole}"
    );
    let unfolded = whole.replace("a\r\n folded", "a folded");
    let folded = whole.replace("From: Alice <", "FROM:  Alice\r\n\t<");
    let (lf, longer, shorter) = (
        whole.replace("\r\n", "\n"),
        format!("{whole}\r\n\r\n"),
        whole.trim_end().to_owned(),
    );
    for message in [&whole, &added, &unfolded, &folded, &lf, &longer, &shorter] {
        for recipients in [
            &["bob@here.example"][..],
            &["EVE@here.example", "bob@here.example"],
        ] {
            assert!(
                matches!(
                    look(&keys, message, recipients, NOW),
                    Stamped::Released { .. }
                ),
                "{message}"
            );
        }
    }
}

#[test]
fn a_stamp_says_nothing_for_another_message_other_people_or_later() {
    let (_folder, path) = new_keys();
    let keys = load(&path);
    let whole = stamped(&keys, MESSAGE, &["bob@here.example"]);
    let bob = &["bob@here.example"][..];
    let moved = StampProblem::OtherMessage;
    let rows = [
        (whole.replace("How are", "Who are"), bob, NOW, moved.clone()),
        (
            whole.replace("\r\n\r\nBye", "\r\nBye"),
            bob,
            NOW,
            moved.clone(),
        ),
        (
            whole.replace("folded subject", "other subject"),
            bob,
            NOW,
            moved.clone(),
        ),
        (whole.replace("Alice", "Mallory"), bob, NOW, moved.clone()),
        (format!("From: Mallory\r\n{whole}"), bob, NOW, moved.clone()),
        (
            format!("Reply-To: mallory@x.example\r\n{whole}"),
            bob,
            NOW,
            moved.clone(),
        ),
        (
            format!("Content-Type: text/html\r\n{whole}"),
            bob,
            NOW,
            moved.clone(),
        ),
        (format!("{whole}And this\r\n"), bob, NOW, moved.clone()),
        (whole.replace("X-Other: x", "not a field"), bob, NOW, moved),
        (
            whole.clone(),
            &["eve@here.example"],
            NOW,
            StampProblem::OtherRecipients,
        ),
        (
            whole.clone(),
            &["bob@here.example", "eve@here.example"],
            NOW,
            StampProblem::OtherRecipients,
        ),
        (whole.clone(), bob, NOW + 10, StampProblem::Expired),
        (
            whole.replace("x=1800000010", "x=1900000010"),
            bob,
            NOW,
            StampProblem::Forged,
        ),
        (
            whole.replace("p=released", "p=scanned"),
            bob,
            NOW,
            StampProblem::Malformed,
        ),
        (
            whole.replace("v=1;", "v=2;"),
            bob,
            NOW,
            StampProblem::Malformed,
        ),
        (
            format!("{HEADER}: v=1\r\n{MESSAGE}"),
            bob,
            NOW,
            StampProblem::Malformed,
        ),
        (
            format!("{HEADER}: {}\r\n{MESSAGE}", "x".repeat(10_000)),
            bob,
            NOW,
            StampProblem::Malformed,
        ),
    ];
    for (message, recipients, now, problem) in rows {
        assert_eq!(
            look(&keys, &message, recipients, now),
            Stamped::Refused(problem),
            "{message}"
        );
    }
    assert_eq!(look(&keys, MESSAGE, bob, NOW), Stamped::No);
}

#[test]
fn a_forged_stamp_beside_a_good_one_does_no_harm() {
    let (_folder, path) = new_keys();
    let keys = load(&path);
    let whole = stamped(&keys, MESSAGE, &["bob@here.example"]);
    let both = format!("{HEADER}: v=1; k=x\r\n{whole}");
    assert!(matches!(
        look(&keys, &both, &["bob@here.example"], NOW),
        Stamped::Released { .. }
    ));
}

#[test]
fn keys_are_rotated() {
    let (_folder, path) = new_keys();
    let old = load(&path);
    let with_old = stamped(&old, MESSAGE, &["bob@here.example"]);
    let id = StampKeys::add(&path).unwrap();
    let both = load(&path);
    let with_new = stamped(&both, MESSAGE, &["bob@here.example"]);
    assert!(
        with_new.contains(&format!("k={id};")),
        "the first key makes stamps"
    );
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.lines().next().unwrap()).unwrap();
    let new = load(&path);
    for (keys, message, good) in [
        (&both, &with_old, true),
        (&both, &with_new, true),
        (&new, &with_new, true),
        (&new, &with_old, false),
        (&old, &with_new, false),
    ] {
        let found = look(keys, message, &["bob@here.example"], NOW);
        if good {
            assert!(matches!(found, Stamped::Released { .. }), "{found:?}");
        } else {
            assert_eq!(found, Stamped::Refused(StampProblem::UnknownKey));
        }
    }
}

#[test]
fn key_files_are_checked() {
    let good = "A".repeat(43) + "=";
    let rows = [
        (String::new(), "has no key"),
        ("only-an-id\n".to_owned(), ":1: a key is an identifier"),
        (
            format!("# one\n\na {good}\na {good}\n"),
            ":4: there is a key a already",
        ),
        (
            "a AAAA\n".to_owned(),
            ":1: the key has 3 octets; 32 is the least",
        ),
        ("a !!!!\n".to_owned(), ":1: the key is no base64"),
        (format!("ä {good}\n"), ":1: the identifier has"),
    ];
    for (text, told) in rows {
        let (_folder, path) = file(&text);
        let error = StampKeys::load(&path).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    let (_folder, path) = file(&format!("a {good} # a comment\n"));
    assert_eq!(load(&path).first().id(), "a");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = StampKeys::load(&path).unwrap_err().to_string();
    assert!(error.contains("chmod o-rwx"), "{error}");
}
