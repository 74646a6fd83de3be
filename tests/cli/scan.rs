//! `millrace scan`.

use std::fs;
use std::path::Path;

use millrace_tests::policy::PolicyFolder;
use millrace_tests::servers::Node;

use crate::ran::{millrace, millrace_reading};

const GOOD: &str = "From: a@example.org\nTo: b@example.net\nDate: Mon, 02 Nov 2026 10:00:00 +0000\n\
                    Message-ID: <1@example.org>\nSubject: hello\n\nhello\n";

fn gtube() -> String {
    format!("{GOOD}XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\n")
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, content).expect("written");
}

#[test]
fn the_exit_status_says_what_was_found() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let at = |name: &str| {
        folder
            .path()
            .join(name)
            .to_str()
            .expect("a path of ours")
            .to_owned()
    };
    write(Path::new(&at("good")), GOOD);
    write(Path::new(&at("bad")), &gtube());
    std::os::unix::fs::symlink("/does/not/exist", at("folder/broken").as_str()).unwrap_err();
    write(Path::new(&at("folder/bad")), &gtube());
    std::os::unix::fs::symlink("/does/not/exist", at("folder/broken")).expect("a link");
    for (paths, code) in [
        (vec![at("good")], 0),
        (vec![at("good"), at("bad")], 1),
        (vec![at("good"), at("missing")], 2),
        (vec![at("folder")], 3),
    ] {
        let ran = millrace(["scan".to_owned()].into_iter().chain(paths.clone()));
        assert_eq!(ran.code, code, "{paths:?}: {}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn a_refusal_is_explained_to_people_and_to_programs() {
    let ran = millrace_reading(gtube().as_bytes(), ["scan", "-"]).expect(1);
    let first = ran.stdout.lines().next().expect("a line");
    assert!(first.starts_with("-  REJECT  score "), "{first}");
    assert!(ran.stdout.contains("  GTUBE"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains(".toml:"),
        "the policy's line: {}",
        ran.stdout
    );

    let lines = millrace_reading(gtube().as_bytes(), ["scan", "-", "--format", "json"])
        .expect(1)
        .json_lines();
    assert_eq!(lines.len(), 2);
    let message = &lines[0];
    assert_eq!(
        (&message["file"], &message["disposition"]),
        (&"-".into(), &"reject".into())
    );
    let finding = message["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .find(|finding| finding["symbol"] == "GTUBE")
        .expect("GTUBE was found");
    assert!(
        finding["policy_line"]
            .as_str()
            .is_some_and(|line| line.contains(".toml:")),
        "{finding}"
    );
    assert!(
        message["reply"]
            .as_str()
            .is_some_and(|reply| reply.starts_with("5")),
        "{message}"
    );
    assert_eq!(lines[1]["summary"]["dispositions"]["reject"], 1);
}

#[test]
fn mboxes_maildirs_and_folders_are_taken_apart() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let root = folder.path();
    let separator = "From a@example.org Mon Nov  2 10:00:00 2026\n";
    write(
        &root.join("a.mbox"),
        &format!(
            "{separator}{GOOD}\n{separator}{}\n{separator}{GOOD}\n",
            gtube()
        ),
    );
    for place in ["b.maildir/cur/1", "b.maildir/new/2", "b.maildir/tmp/3"] {
        write(&root.join(place), GOOD);
    }
    write(&root.join("c/d/e.eml"), GOOD);
    let lines = millrace(["scan", root.to_str().expect("a path"), "--format", "json"])
        .expect(1)
        .json_lines();
    let seen: Vec<String> = lines[..lines.len() - 1]
        .iter()
        .map(|line| {
            let file = line["file"]
                .as_str()
                .expect("a file")
                .rsplit('/')
                .next()
                .expect("a name");
            let number = line["message"]
                .as_u64()
                .map(|number| format!("#{number}"))
                .unwrap_or_default();
            format!(
                "{file}{number} {}",
                line["disposition"].as_str().expect("judged")
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            "a.mbox#1 accept",
            "a.mbox#2 reject",
            "a.mbox#3 accept",
            "1 accept",
            "2 accept",
            "e.eml accept"
        ]
    );
    let summary = &lines[lines.len() - 1]["summary"];
    assert_eq!(
        (&summary["messages"], &summary["errors"]),
        (&6.into(), &0.into())
    );
    assert!(
        summary["messages_per_second"]
            .as_f64()
            .is_some_and(|rate| rate > 0.0),
        "{summary}"
    );
}

#[test]
fn a_mail_cannot_reach_the_terminal() {
    let mail = "From: \x1b[2J\u{202e}evil@example.org\nSubject: \x1b]0;owned\x07\n\n\x1b[31m http://\u{202e}x/\n";
    for format in ["human", "json"] {
        let ran = millrace_reading(mail.as_bytes(), ["scan", "-", "--format", format]);
        assert!(ran.code < 2, "{}", ran.stderr);
        let hazard = ran
            .stdout
            .chars()
            .find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(hazard, None, "{}", ran.stdout);
    }
}

#[test]
fn a_policy_of_ones_own_can_be_tried_on_an_envelope_of_ones_own() {
    let policy = PolicyFolder::of(
        "[[list]]\nsymbol = \"BAD_PEER\"\nmatch = \"peer\"\naction = \"reject\"\nentries = [\"192.0.2.0/24\"]\n",
    );
    let dir = policy.path().to_str().expect("a path");
    for (ip, code) in [("192.0.2.7", 1), ("198.51.100.7", 0)] {
        let ran = millrace_reading(GOOD.as_bytes(), ["scan", "-", "--policy", dir, "--ip", ip]);
        assert_eq!(ran.code, code, "{ip}: {}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn a_server_judges_as_this_process_does() {
    let folder = tempfile::tempdir().expect("a temp folder");
    millrace(["policy", "default", folder.path().to_str().expect("a path")]).expect(0);
    let node = Node::start(folder.path());
    let url = format!("http://127.0.0.1:{}", node.port());
    for mail in [GOOD.to_owned(), gtube(), GOOD.repeat(5000)] {
        let verdict = |words: &[&str]| {
            let mut line = millrace_reading(mail.as_bytes(), words)
                .json_lines()
                .swap_remove(0);
            // Headers and replies have the transaction's ID in them.
            for changing in ["duration_us", "node", "edits", "reply"] {
                line.as_object_mut().expect("an object").remove(changing);
            }
            line
        };
        let here = verdict(&["scan", "-", "--format", "json"]);
        let there = verdict(&["scan", "-", "--format", "json", "--server", &url]);
        assert_eq!(here, there);
    }
}

#[test]
fn a_server_that_is_not_there_is_told_at_once() {
    let port = millrace_tests::ports::Port::reserve();
    let url = format!("http://127.0.0.1:{}", port.number());
    let ran = millrace_reading(GOOD.as_bytes(), ["scan", "-", "--server", &url]).expect(2);
    assert!(ran.stderr.contains(&url), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
    millrace_reading(GOOD.as_bytes(), ["scan", "-", "--server", "nowhere"]).expect(2);
}
