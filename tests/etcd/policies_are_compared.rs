use std::fs;

use millrace_tests::etcd::Etcd;
use millrace_tests::member::publish;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::ran::millrace;

use crate::{ran, refusing, text_refusing};

/// Refuses what has this word in its subject.
fn by_subject(word: &str, score: f64) -> PolicyFolder {
    PolicyFolder::of(&format!(
        "[thresholds]\nreject = 5.0\n[[rule]]\nsymbol = \"WORD\"\nheader = \"Subject\"\npattern = {word:?}\n\
         score = {score}\n[[action]]\nname = \"refuse\"\nscore_at_least = \"reject\"\ndo = \"reject\"\n"
    ))
}

#[test]
fn on_stored_mail_by_what_becomes_of_each_message_and_why() {
    let mail = tempfile::tempdir().expect("a temp folder");
    for (name, subject) in [
        ("1.eml", "cheap pills"),
        ("2.eml", "hello"),
        ("3.eml", "pills again"),
    ] {
        let text = format!("From: a@example.org\r\nSubject: {subject}\r\n\r\nbody\r\n");
        fs::write(mail.path().join(name), text).expect("ours");
    }
    let corpus = mail.path().to_str().expect("a path of ours");
    let (mild, harsh) = (by_subject("pills", 1.0), by_subject("pills", 6.0));
    let [mild, harsh] =
        [&mild, &harsh].map(|folder| folder.path().to_str().expect("a path").to_owned());

    let told = millrace(["policy", "diff", &mild, &harsh, "--corpus", corpus]).expect(1);
    assert!(
        told.stdout
            .contains("1.eml: accept > reject, score 1 of 5 > 6 of 5"),
        "{}",
        told.stdout
    );
    assert!(
        told.stdout.contains("WORD 1>6 (policy.toml:4)"),
        "{}",
        told.stdout
    );
    assert!(!told.stdout.contains("2.eml"), "{}", told.stdout);
    assert!(
        told.stdout
            .contains("3 messages: 2 change their disposition"),
        "{}",
        told.stdout
    );

    let lines = millrace([
        "policy", "diff", &mild, &harsh, "--corpus", corpus, "--format", "json",
    ])
    .expect(1)
    .json_lines();
    assert_eq!(lines.len(), 3, "two messages and the summary");
    assert_eq!(lines[0]["before"]["disposition"], "accept");
    assert_eq!(lines[0]["after"]["disposition"], "reject");
    assert_eq!(lines[2]["summary"]["changed"], 2);
    assert_eq!(lines[2]["summary"]["symbols"]["WORD"], 2);

    millrace(["policy", "diff", &mild, &mild, "--corpus", corpus]).expect(0);
    // A little more is no other end.
    let more = by_subject("pills", 2.0);
    let more = more.path().to_str().expect("a path of ours");
    let told = millrace(["policy", "diff", &mild, more, "--corpus", corpus, "--all"]).expect(0);
    assert!(
        told.stdout.contains("2 come to the same by another way"),
        "{}",
        told.stdout
    );
    assert!(told.stdout.contains("WORD 1>2"), "{}", told.stdout);
}

#[test]
fn by_their_files_published_or_in_folders() {
    let etcd = Etcd::start();
    let folder = refusing("a@blocked.example");
    publish(folder.path(), &etcd);
    let dir = folder.path().to_str().expect("a path of ours");
    ran(&["policy", "diff", "current", dir], &etcd).expect(0);

    folder.replace(&text_refusing("b@blocked.example"));
    let told = ran(&["policy", "diff", "current", dir], &etcd).expect(1);
    for line in [
        "-entries = [\"a@blocked.example\"]",
        "+entries = [\"b@blocked.example\"]",
    ] {
        assert!(told.stdout.contains(line), "{}", told.stdout);
    }
    publish(folder.path(), &etcd);
    let told = ran(
        &["policy", "diff", "previous", "current", "--format", "json"],
        &etcd,
    )
    .expect(1)
    .json();
    assert_eq!(told["files"][0]["file"], "policy.toml");
    assert_eq!(told["files"][0]["lines_added"], 1);
    let told = millrace(["policy", "diff", "current", dir]).expect(2);
    assert!(told.stderr.contains("no folder"), "{}", told.stderr);
}
