//! `millrace load`, against our own gateway.

use std::fs;

use millrace_tests::ports::Port;
use millrace_tests::servers::{Gateway, Upstream};

use crate::ran::millrace;

const GOOD: &str = "From: a@example.org\nTo: b@example.net\nDate: Mon, 02 Nov 2026 10:00:00 +0000\n\
                    Message-ID: <1@example.org>\nSubject: hello\n\nhello\n";

#[test]
fn messages_are_sent_and_measured() {
    let gateway = Gateway::start(&Upstream::Embedded(None));
    let milter = format!("inet:{}@127.0.0.1", gateway.port());
    let pid = gateway.process.id().to_string();
    for extra in [
        &["--messages", "40"][..],
        &[
            "--messages",
            "40",
            "--flavour",
            "sendmail",
            "--messages-per-connection",
            "7",
        ],
        &[
            "--messages",
            "40",
            "--flavour",
            "minimal",
            "--concurrency",
            "3",
        ],
        &["--messages", "40", "--rate", "1000"],
        &["--messages", "40", "--idle", "20"],
        &["--messages", "4", "--size", "1MiB", "--attachment"],
        // More than the gateway may read without a pause.
        &[
            "--messages",
            "4",
            "--size",
            "8MiB",
            "--attachment",
            "--timeout",
            "30",
        ],
    ] {
        let words = [
            "load", "--milter", &milter, "--format", "json", "--pid", &pid,
        ];
        let report = millrace(words.iter().chain(extra)).expect(0).json();
        assert_eq!(
            report["messages"].to_string(),
            extra[1],
            "{extra:?}: {report}"
        );
        assert_eq!(
            report["dispositions"]["accept"].to_string(),
            extra[1],
            "{report}"
        );
        assert_eq!(report["errors"], serde_json::json!({}), "{report}");
        let latency = &report["latency_ms"];
        assert!(
            latency["p50"].as_f64() <= latency["p99"].as_f64(),
            "{latency}"
        );
        assert!(
            report["filter"]["rss_kib"]
                .as_u64()
                .is_some_and(|rss| rss > 0),
            "{report}"
        );
    }
}

#[test]
fn a_corpus_is_sent_once_and_its_outcomes_are_counted() {
    let folder = tempfile::tempdir().expect("a temp folder");
    for number in 0..5 {
        fs::write(folder.path().join(format!("{number}.eml")), GOOD).expect("written");
    }
    let gtube =
        format!("{GOOD}XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\n");
    fs::write(folder.path().join("gtube.eml"), gtube).expect("written");
    let gateway = Gateway::start(&Upstream::Embedded(None));
    let milter = format!("127.0.0.1:{}", gateway.port());
    let corpus = folder.path().to_str().expect("a path");
    let report = millrace([
        "load", "--milter", &milter, "--corpus", corpus, "--format", "json",
    ])
    .expect(0)
    .json();
    assert_eq!(
        report["dispositions"],
        serde_json::json!({ "accept": 5, "reject": 1 }),
        "{report}"
    );

    let people = millrace(["load", "--milter", &milter, "--corpus", corpus])
        .expect(0)
        .stdout;
    assert!(
        people.contains("outcomes    5 accept, 1 reject"),
        "{people}"
    );
}

#[test]
fn nobody_elses_filter_is_loaded_by_accident() {
    let ran = millrace(["load", "--milter", "192.0.2.1:8891"]).expect(2);
    assert!(ran.stderr.contains("--allow-remote"), "{}", ran.stderr);
}

#[test]
fn a_filter_that_is_not_there_is_told() {
    let port = Port::reserve();
    let ran = millrace(["load", "--milter", &format!("127.0.0.1:{}", port.number())]).expect(2);
    assert!(
        ran.stderr.contains("no milter at tcp://127.0.0.1:"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_filter_that_breaks_the_protocol_is_an_error_of_each_message() {
    // Greets as it should, and closes at the first message.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut offer = [0; 17];
            if stream.read_exact(&mut offer).is_ok() {
                // The offer is its own answer: version 6, all that was offered.
                let _ = stream.write_all(&offer);
                let _ = stream.read(&mut [0; 1]);
            }
        }
    });
    let ran = millrace([
        "load",
        "--milter",
        &address.to_string(),
        "--messages",
        "5",
        "--format",
        "json",
    ])
    .expect(1);
    let report = ran.json();
    assert_eq!(report["messages"], 0, "{report}");
    let errors: u64 = report["errors"]
        .as_object()
        .expect("errors")
        .values()
        .filter_map(serde_json::Value::as_u64)
        .sum();
    assert_eq!(errors, 5, "{report}");
}
