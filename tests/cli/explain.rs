//! `millrace explain`, on logs of both formats.

use std::fs;

use crate::ran::{millrace, millrace_reading};

const HUMAN: &str = "2026-11-22T21:01:41.123456Z INFO millrace::verdict: queue_id=4bXyZ1234 transaction_id=01a20522-a3df-70f8-949e-47a2024b1ba6 client=mx1 direction=inbound conduit=milter stage=end-of-message peer=192.0.2.7 helo=mail.example sender=a@example.org recipients=b@example.net,c@example.net recipients_total=40 size=4096 revision=ab12cd34 disposition=reject kept=yes reply=\"550 5.7.1 This is spam\" score=1002.50 threshold=15.00 symbols=GTUBE(1000.00)[policy.toml:12],URI_LISTED(2.50){evil.example}[policy.toml:40] degradations=\"\" unscanned=\"clamav{timed out}\" node=node-1 duration_us=812 outcome=carried-out";
const JSON: &str = r#"{"timestamp":"2026-11-22T21:01:42.123456Z","level":"INFO","target":"millrace::verdict","queue_id":"4bXyZ5678","transaction_id":"01a20522-a3df-70f8-949e-47a2024b1bff","client":"mx1","direction":"inbound","conduit":"milter","stage":"end-of-message","peer":"192.0.2.8","helo":"mail.example","sender":"","recipients":["b@example.net"],"recipients_total":1,"size":100,"revision":"ab12cd34","disposition":"accept","reply":"","score":0,"threshold":15,"symbols":[],"degradations":["hold -> tempfail: no hold here"],"unscanned":[],"node":"node-2","duration_us":90,"outcome":"the mail server withdrew it"}"#;

fn log() -> String {
    format!(
        "2026-11-22T21:01:40.0Z INFO millrace: serving\nNov 22 21:01:41 mx millrace[77]: {HUMAN}\nNov 22 21:01:42 mx \
         millrace[77]: {JSON}\n2026-11-22T21:01:43.0Z WARN millrace: 4bXyZ1234 is mentioned here too\n"
    )
}

#[test]
fn the_verdict_is_found_in_either_format_behind_any_prefix() {
    for (id, parts) in [
        (
            "4bXyZ1234",
            &[
                "4bXyZ1234  REJECT  score 1002.50 of 15.00  at 2026-11-22T21:01:41",
                "550 5.7.1 This is spam",
                "from <a@example.org> to <b@example.net>, <c@example.net> and 38 more, 4096 bytes",
                "GTUBE",
                "[policy.toml:12]",
                "+2.50  URI_LISTED  evil.example  [policy.toml:40]",
                "not checked  clamav: timed out",
                "by node node-1 under policy revision ab12cd34",
                "carried out",
            ][..],
        ),
        (
            "01a20522-A3DF-70f8-949e-47a2024b1bff",
            &[
                "4bXyZ5678  ACCEPT  score 0.00 of 15.00",
                "from <> to <b@example.net>",
                "findings     none",
                "degraded     hold -> tempfail: no hold here",
                "NOT carried out as decided: the mail server withdrew it",
            ],
        ),
    ] {
        let ran = millrace_reading(log().as_bytes(), ["explain", id]).expect(0);
        for part in parts {
            assert!(ran.stdout.contains(part), "{part}:\n{}", ran.stdout);
        }
        let records = millrace_reading(log().as_bytes(), ["explain", id, "--format", "json"])
            .expect(0)
            .json_lines();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0]["revision"], "ab12cd34");
    }
}

#[test]
fn several_logs_are_searched_and_all_stages_shown() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let at = |name: &str| {
        folder
            .path()
            .join(name)
            .to_str()
            .expect("a path")
            .to_owned()
    };
    fs::write(
        at("old"),
        HUMAN.replace("stage=end-of-message", "stage=rcpt") + "\n",
    )
    .expect("written");
    fs::write(at("new"), log()).expect("written");
    let ran = millrace(["explain", "4bXyZ1234", "--log", &at("old"), &at("new")]).expect(0);
    assert!(
        ran.stdout.contains("decided at stage rcpt")
            && ran.stdout.contains("decided at stage end-of-message")
    );
}

#[test]
fn what_is_not_there_is_said() {
    let ran = millrace_reading(log().as_bytes(), ["explain", "4bXyZ9999"]).expect(1);
    assert_eq!(ran.stdout, "no verdict on 4bXyZ9999 in standard input\n");
    let none = millrace_reading(
        log().as_bytes(),
        ["explain", "4bXyZ9999", "--format", "json"],
    )
    .expect(1);
    assert_eq!(none.stdout, "");
    // A part of a queue ID is another queue ID.
    millrace_reading(log().as_bytes(), ["explain", "4bXyZ"]).expect(1);
    let ran = millrace(["explain", "4bXyZ1234", "--log", "/does/not/exist"]).expect(2);
    assert!(ran.stderr.contains("/does/not/exist"), "{}", ran.stderr);
}

#[test]
fn bytes_of_a_stranger_in_a_log_stay_printable() {
    let line = HUMAN.replace("helo=mail.example", "helo=\\x1B[2Jx");
    let ran = millrace_reading(line.as_bytes(), ["explain", "4bXyZ1234"]).expect(0);
    assert!(ran.stdout.contains("HELO \\x1B[2Jx"), "{}", ran.stdout);
    assert!(!ran.stdout.contains('\x1b'));
}
