//! `millrace up`: the whole system in one process.

use std::path::Path;

use millrace_tests::admin;
use millrace_tests::ports::Port;
use millrace_tests::process::Process;
use millrace_tests::servers::binary;

use crate::ran::{millrace, millrace_reading};

struct Up {
    process: Process,
    milter: Port,
    grpc: Port,
    admin: Port,
    _folder: tempfile::TempDir,
}

impl Up {
    fn start(more: &[&str], configuration: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temp folder");
        let (milter, grpc, admin) = (Port::reserve(), Port::reserve(), Port::reserve());
        let mut words = vec![
            "up".to_owned(),
            "--milter".to_owned(),
            format!("tcp://127.0.0.1:{}", milter.number()),
            "--listen".to_owned(),
            format!("127.0.0.1:{}", grpc.number()),
            "--admin".to_owned(),
            format!("127.0.0.1:{}", admin.number()),
        ];
        words.extend(more.iter().map(|&word| word.to_owned()));
        if !configuration.is_empty() {
            std::fs::write(folder.path().join("up.toml"), configuration).expect("written");
            words.extend(["--config".to_owned(), "up.toml".to_owned()]);
        }
        let mut process = Process::start("millrace-up", folder.path(), &binary("millrace"), words);
        let port = admin.number();
        process.wait_for("readiness", |_| {
            matches!(admin::ask(port, "/readyz"), Some((200, _))).then_some(())
        });
        Self {
            process,
            milter,
            grpc,
            admin,
            _folder: folder,
        }
    }
}

#[test]
fn it_serves_milter_grpc_and_admin_and_says_how_to_connect() {
    // A short drain, so that the end is seen without waiting for others' patience.
    let mut up = Up::start(&[], "[drain]\ngrace_seconds = 0\n");
    up.process.wait_for_line("Without F= Sendmail");
    let said = up.process.output();
    for part in [
        format!("smtpd_milters = inet:127.0.0.1:{}", up.milter.number()),
        format!("S=inet:{}@127.0.0.1, F=T,", up.milter.number()),
        "milter_default_action = tempfail".to_owned(),
        "Without F= Sendmail passes mail UNFILTERED".to_owned(),
        format!("http://127.0.0.1:{}", up.grpc.number()),
    ] {
        assert!(said.contains(&part), "{part}:\n{said}");
    }
    let milter = format!("127.0.0.1:{}", up.milter.number());
    millrace(["load", "--milter", &milter, "--messages", "20"]).expect(0);
    let server = format!("http://127.0.0.1:{}", up.grpc.number());
    millrace_reading(b"Subject: x\n\nhello\n", ["scan", "-", "--server", &server]).expect(0);
    let (_, metrics) = admin::ask(up.admin.number(), "/metrics").expect("metrics");
    assert!(metrics.contains("millrace_gateway_"), "{metrics}");

    assert!(up.process.terminate().success());
    assert_eq!(
        up.process.output().matches("millrace::verdict").count(),
        20,
        "a line for each verdict"
    );
}

#[test]
fn a_verdict_in_its_log_is_explained() {
    let mut up = Up::start(&["--log-format", "json"], "[drain]\ngrace_seconds = 0\n");
    let milter = format!("127.0.0.1:{}", up.milter.number());
    millrace([
        "load",
        "--milter",
        &milter,
        "--messages",
        "1",
        "--flavour",
        "sendmail",
    ])
    .expect(0);
    let line = up.process.wait_for_line("millrace::verdict");
    let record: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let id = record["queue_id"].as_str().expect("a queue ID");
    let ran = millrace_reading(up.process.output().as_bytes(), ["explain", id]).expect(0);
    assert!(ran.stdout.contains("ACCEPT"), "{}", ran.stdout);
    assert!(
        ran.stdout
            .contains("from <sender@example.org> to <recipient@example.net>"),
        "{}",
        ran.stdout
    );
}

#[test]
fn what_keeps_it_from_starting_is_told() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let file = folder.path().join("up.toml");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("bound").to_string();
    for (configuration, words, part) in [
        ("polizy = 1\n", vec![], "up.toml:1:1"),
        ("", vec!["--policy", "/does/not/exist"], "/does/not/exist"),
        ("", vec!["--listen", &taken], taken.as_str()),
        (
            "",
            vec!["--milter", "inet:8891"],
            "can be reached from other machines",
        ),
    ] {
        std::fs::write(&file, configuration).expect("written");
        let config = ["up", "--config", path(&file), "--admin", "127.0.0.1:0"];
        let milter = ["--milter", "tcp://127.0.0.1:0"];
        let flags: &[&str] = if words.contains(&"--milter") {
            &[]
        } else {
            &milter
        };
        let ran = millrace(config.iter().chain(flags).chain(&words)).expect(2);
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path of ours")
}
