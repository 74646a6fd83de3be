//! What is refused, with a reason and a remedy, before anything is done.

use std::fs;
use std::os::unix::fs::{chown, symlink};

use crate::tree::{QMAIL, QMAILQ, Tree, conduit, mode, said};

#[test]
fn what_is_no_sound_qmail_is_refused_and_nothing_is_done() {
    type Spoil = fn(&Tree);
    let cases: [(Spoil, &str); 9] = [
        (
            |tree| mode(tree.path("bin/qmail-queue"), 0o711),
            "no setuid bit",
        ),
        (
            |tree| {
                chown(tree.path("bin/qmail-queue"), Some(0), None).unwrap();
                mode(tree.path("bin/qmail-queue"), 0o4711);
            },
            "belongs to user 0, and the queue to user 7794",
        ),
        (
            |tree| fs::remove_file(tree.path("bin/qmail-queue")).unwrap(),
            "is not there: --home",
        ),
        (
            |tree| {
                let live = tree.path("bin/qmail-queue");
                fs::rename(&live, tree.path("bin/other")).unwrap();
                symlink("other", live).unwrap();
            },
            "is no file but a link",
        ),
        (
            |tree| fs::remove_dir(tree.path("queue/pid")).unwrap(),
            "queue/pid is not there",
        ),
        (
            |tree| fs::remove_file(tree.path("control/millrace.toml")).unwrap(),
            "mail would be put off",
        ),
        (
            |tree| fs::write(tree.path("control/millrace.toml"), "gateways = 7").unwrap(),
            "control/millrace.toml: ",
        ),
        (
            |tree| {
                let text = "gateways = ['unix:///x']\nqueue = 'bin/other'";
                fs::write(tree.path("control/millrace.toml"), text).unwrap();
            },
            "take the key away",
        ),
        (
            |tree| {
                fs::copy(conduit(), tree.path("bin/qmail-queue")).unwrap();
                mode(tree.path("bin/qmail-queue"), 0o4711);
            },
            "qmail's own is nowhere to be found",
        ),
    ];
    for (spoil, expected) in cases {
        let tree = Tree::new();
        spoil(&tree);
        let before = tree.listing();
        let (code, text) = tree.tried(&["install"]);
        assert_eq!(code, 1, "{expected}: {text}");
        assert!(
            text.contains("nothing was done:") && text.contains(expected),
            "{expected}: {text}"
        );
        assert_eq!(tree.listing(), before, "{expected}");
    }
}

#[test]
fn fact_8_the_conduit_is_not_installed_over_itself() {
    let tree = Tree::new();
    tree.run(&["install"]);
    for part in ["bin/qmail-queue", "bin/qmail-queue.orig"] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_millrace-qmail-install"))
            .arg("install")
            .arg("--home")
            .arg(tree.home())
            .args(["--group", "7788", "--program"])
            .arg(tree.path(part))
            .output()
            .unwrap();
        let (code, text) = said(&output);
        assert_eq!(code, 1);
        assert!(text.contains("cannot be installed over itself"), "{text}");
    }
    assert_eq!(tree.tried(&["status"]).0, 0);
}

#[test]
fn only_the_conduit_is_installed_as_the_conduit() {
    let tree = Tree::new();
    for (program, expected) in [
        ("/bin/true", "is not millrace-qmail-queue"),
        (
            env!("CARGO_BIN_EXE_millrace-qmail-install"),
            "is not millrace-qmail-queue",
        ),
        (
            env!("CARGO_BIN_EXE_millrace-dot-qmail"),
            "is not millrace-qmail-queue",
        ),
        ("/nonexistent", "is not there: --program"),
    ] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_millrace-qmail-install"))
            .arg("install")
            .arg("--home")
            .arg(tree.home())
            .args(["--group", "7788", "--program", program])
            .output()
            .unwrap();
        let (code, text) = said(&output);
        assert_eq!(code, 1, "{program}");
        assert!(text.contains(expected), "{program}: {text}");
    }
}

#[test]
fn a_group_that_others_are_in_is_refused() {
    let tree = Tree::new();
    let original = QMAIL.to_string();
    for (group, expected) in [
        ("root", "choose another"),
        ("no-group-of-this-name", "groupadd --system"),
        (&original, "in use for other things"),
        ("nogroup", "choose another"),
    ] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_millrace-qmail-install"))
            .arg("install")
            .arg("--home")
            .arg(tree.home())
            .args(["--group", group, "--program"])
            .arg(conduit())
            .output()
            .unwrap();
        let (code, text) = said(&output);
        assert_eq!(code, 1, "{group}");
        assert!(text.contains(expected), "{group}: {text}");
    }
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let tree = Tree::new();
    let before = tree.listing();
    let text = tree.run(&["install", "--dry-run"]);
    assert!(text.contains("would copy "), "{text}");
    assert_eq!(tree.listing(), before);
    tree.run(&["install"]);
    let installed = tree.listing();
    let text = tree.run(&["uninstall", "--dry-run"]);
    assert!(text.contains("would link "), "{text}");
    assert_eq!(tree.listing(), installed);
}

#[test]
fn status_is_for_people_and_for_programs() {
    let tree = Tree::new();
    assert_eq!(tree.tried(&["status"]).0, 3);
    tree.run(&["install"]);
    let (code, text) = tree.tried(&["status", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &report["state"]), (0, &"installed".into()));
    assert_eq!(report["problems"], serde_json::json!([]));
    assert_eq!(report["files"][0]["is"], "millrace-qmail-queue");
    assert_eq!(report["files"][1]["mode"], "4710");
    assert_eq!(report["files"][1]["owner"], QMAILQ);
    let (_, text) = tree.tried(&["status"]);
    assert!(text.contains(": installed, netqmail"), "{text}");
    fs::write(tree.path("bin/qmail-smtpd"), "an old one").unwrap();
    fs::write(tree.path("control/millrace.toml"), "gateways = []").unwrap();
    let (code, text) = tree.tried(&["status"]);
    assert_eq!(code, 4);
    assert!(
        text.contains("incomplete, qmail-1.03") && text.contains("problem: "),
        "{text}"
    );
    fs::write(tree.path("bin/qmail-smtpd"), "..QMAILQUEUE..").unwrap();
    fs::write(tree.path("man/man8/qmail-queue.8"), "of notqmail").unwrap();
    assert!(tree.tried(&["status"]).1.contains("notqmail"));
}

#[test]
fn one_installer_at_a_time() {
    let tree = Tree::new();
    let bin = fs::File::open(tree.path("bin")).unwrap();
    bin.lock().unwrap();
    let (code, text) = tree.tried(&["install"]);
    assert_eq!(code, 1);
    assert!(text.contains("another installation is under way"), "{text}");
}

#[test]
fn it_goes_on_when_whoever_reads_what_it_says_is_gone() {
    let tree = Tree::new();
    for words in [&["install"][..], &["status", "--format", "json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = tree.installer(words).stdout(writer).output().unwrap();
        assert_eq!(said(&output), (0, String::new()), "{words:?}");
    }
    assert_eq!(tree.tried(&["status"]).0, 0);
}
