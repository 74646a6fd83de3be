//! `millrace record`, and `millrace load --replay` of what it wrote.

use std::fs;
use std::path::{Path, PathBuf};

use millrace_tests::ports::Port;
use millrace_tests::process::Process;
use millrace_tests::servers::{Gateway, Upstream, binary};

use crate::ran::millrace;

const MESSAGE: &str = "From: Margaret <margaret@corporation.test>\nTo: b@example.net\n\
                       Date: Mon, 02 Nov 2026 10:00:00 +0000\nMessage-ID: <1@corporation.test>\n\
                       Subject: confidential acquisition\n\nThe takeover is on Thursday.\n";
const MESSAGES: usize = 3;

/// Records `load` of some messages, and gives the transcripts.
fn recorded(gateway: &Gateway, folder: &Path, extra: &[&str]) -> Vec<PathBuf> {
    let corpus = folder.join("corpus");
    fs::create_dir(&corpus).expect("made");
    for number in 0..MESSAGES {
        fs::write(corpus.join(format!("{number}.eml")), MESSAGE).expect("written");
    }
    let out = folder.join("sessions");
    let port = Port::reserve();
    let listen = format!("127.0.0.1:{}", port.number());
    let mut proxy = Process::start_with("record", folder, &binary("millrace"), |command| {
        command
            .args(["record", "--listen", &listen])
            .args(["--to", &format!("127.0.0.1:{}", gateway.port())])
            // One connection of `load` only greets.
            .args(["--sessions", "2", "--out"])
            .arg(&out)
            .args(extra);
    });
    proxy.wait_for_line("recording ");
    let corpus = corpus.to_str().expect("a path");
    let words = ["load", "--milter", &listen, "--corpus", corpus];
    let single = ["--concurrency", "1", "--messages-per-connection", "3"];
    let report = millrace(words.iter().chain(&single).chain(&["--format", "json"]))
        .expect(0)
        .json();
    assert_eq!(report["dispositions"]["accept"], MESSAGES, "{report}");
    proxy.wait_for_line("2 connections recorded");
    let mut files: Vec<_> = fs::read_dir(&out)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 2, "{files:?}");
    files
}

fn replayed(gateway: &Gateway, path: &Path) -> serde_json::Value {
    let milter = format!("127.0.0.1:{}", gateway.port());
    let path = path.to_str().expect("a path");
    let words = ["load", "--milter", &milter, "--replay", path];
    millrace(words.iter().chain(&["--format", "json"]))
        .expect(0)
        .json()
}

#[test]
fn a_recorded_connection_is_scrubbed_and_can_be_played_again() {
    let gateway = Gateway::start(&Upstream::Embedded(None));
    let folder = tempfile::tempdir().expect("a temp folder");
    let files = recorded(&gateway, folder.path(), &[]);
    let mut text = String::new();
    for file in &files {
        text.push_str(&fs::read_to_string(file).expect("text"));
    }
    assert!(text.contains(" -> L Subject\\x00"), "{text}");
    let lower = text.to_lowercase();
    for secret in [
        "margaret",
        "corporation",
        "confidential",
        "acquisition",
        "takeover",
        "thursday",
        "client.example",
    ] {
        assert!(!lower.contains(secret), "{secret}:\n{text}");
    }
    let connect: Vec<_> = text
        .lines()
        .filter(|line| line.contains(" -> C "))
        .collect();
    assert_eq!(connect.len(), 1, "{text}");
    assert!(!connect[0].contains("192.0.2.1\\x00"), "{connect:?}");
    let report = replayed(&gateway, &folder.path().join("sessions"));
    assert_eq!(report["messages"], MESSAGES, "{report}");
    assert_eq!(report["errors"], serde_json::json!({}), "{report}");
}

#[test]
fn a_raw_recording_has_everything() {
    let gateway = Gateway::start(&Upstream::Embedded(None));
    let folder = tempfile::tempdir().expect("a temp folder");
    let files = recorded(&gateway, folder.path(), &["--raw"]);
    let texts: Vec<_> = files
        .iter()
        .map(|file| fs::read_to_string(file).expect("text"))
        .collect();
    let told = |word: &str| texts.iter().filter(|text| text.contains(word)).count();
    assert_eq!(told("confidential acquisition"), 1);
    assert_eq!(told("The takeover is on Thursday."), 1);
    let report = replayed(&gateway, &folder.path().join("sessions"));
    assert_eq!(report["dispositions"]["accept"], MESSAGES, "{report}");
}

#[test]
fn a_broken_transcript_is_refused_with_file_and_line() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let first = "# millrace transcript 1\n";
    for (text, place) in [
        ("hello\n".to_owned(), "1: not a transcript"),
        (format!("{first}\n0.000001 => H\n"), "3: the direction"),
        (
            format!("{first}0.000001 -> H a\\x00\n"),
            "2: the connection does not begin",
        ),
        (
            format!("{first}0.000001 -> O \\x00\n"),
            "2: command 'O' is cut short",
        ),
    ] {
        let file = folder.path().join("broken.transcript");
        fs::write(&file, text).expect("written");
        let file = file.to_str().expect("a path");
        let ran = millrace(["load", "--milter", "127.0.0.1:1", "--replay", file]).expect(2);
        assert!(
            ran.stderr.contains(&format!("{file}:{place}")),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn mail_does_not_pass_through_other_machines_by_accident() {
    let ran = millrace([
        "record",
        "--listen",
        "192.0.2.1:1",
        "--to",
        "127.0.0.1:1",
        "--out",
        "/nonexistent",
    ])
    .expect(2);
    assert!(ran.stderr.contains("--allow-remote"), "{}", ran.stderr);
}
