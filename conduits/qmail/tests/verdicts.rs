//! What becomes of each verdict: the rows of the conformance table, and the table in docs/qmail.md, both by running
//! the programs.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod support;

use std::fs;
use std::path::Path;

use bytes::Bytes;
use millrace_proto::{Disposition, Edit, Keeping, RecipientOutcome, Reply, Verdict, lower};
use serde::Deserialize;
use support::{Caller, Home, accept};

const MAIL: &[u8] = b"X-Test: no\nSubject: x\n\nbody\n";

#[derive(Deserialize)]
struct Table {
    row: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    conduit: String,
    #[serde(default)]
    cannot: Vec<String>,
    #[serde(default)]
    options: Vec<String>,
    #[serde(default)]
    store: bool,
    wanted: Side,
    told: Side,
    seen: String,
}

#[derive(Deserialize)]
struct Side {
    disposition: String,
    #[serde(default)]
    recipients: Vec<String>,
    #[serde(default)]
    edits: Vec<String>,
    #[serde(default)]
    keep: bool,
}

#[test]
fn a_callers_view_is_what_the_conformance_table_says() {
    let mut rows = 0;
    for row in table().iter().filter(|row| row.conduit == "qmail-queue") {
        let caller = match row.cannot.iter().any(|can| can == "reject") {
            true => Caller::Bounce,
            false => Caller::Network,
        };
        let carries_text = !row.cannot.iter().any(|can| can == "reply_text");
        let home = Home::keeping(keeping(row.store), wanted(&row.wanted));
        let seen = queued(
            &home,
            caller,
            carries_text,
            row.wanted.recipients.len().max(2),
        );
        assert_eq!(seen, row.seen, "{}", row.name);
        for edit in &row.told.edits {
            let (message, envelope) = &home.queued()[0];
            assert!(made(edit, message, envelope), "{}: {edit}", row.name);
        }
        if row.told.edits.is_empty() && seen == "deliver" {
            assert_eq!(home.queued()[0].0, MAIL, "{}", row.name);
        }
        rows += 1;
    }
    assert!(rows >= 14, "{rows} rows for qmail-queue");
}

#[test]
fn qmail_locals_view_is_what_the_conformance_table_says() {
    let mut rows = 0;
    for row in table().iter().filter(|row| row.conduit == "dot-qmail") {
        let home = Home::keeping(keeping(row.store), wanted(&row.wanted));
        let options: Vec<&str> = row.options.iter().map(String::as_str).collect();
        assert_eq!(delivered(&home, &options), row.seen, "{}", row.name);
        let can = home.asked()[0].0.capabilities;
        let has = |name: &str| !row.cannot.iter().any(|cannot| cannot == name);
        assert_eq!(
            (can.hold, can.reject, can.reply_text),
            (has("hold"), has("reject"), has("reply_text")),
            "{}",
            row.name
        );
        rows += 1;
    }
    assert!(rows >= 14, "{rows} rows for .qmail");
}

#[test]
fn the_table_in_the_documentation_is_what_the_programs_do() {
    let mut lines = vec![
        "| verdict | `millrace-qmail-queue` | the same, for a bounce of qmail-send | `millrace-dot-qmail` \
         | with `--refused 100` | with `--refused 0` | with `--maildir` |"
            .to_owned(),
        format!("|{}", "---|".repeat(7)),
    ];
    for disposition in [
        Disposition::Accept,
        Disposition::Reject,
        Disposition::Tempfail,
        Disposition::Discard,
        Disposition::Hold,
    ] {
        let verdict = judged(disposition);
        let outcome = |keeping, outcome: &dyn Fn(&Home) -> String| {
            let home = Home::keeping(keeping, verdict.clone());
            let seen = outcome(&home);
            let told = lower(verdict.clone(), &home.asked()[0].0, keeping);
            match told.keep {
                true => format!("{seen}, a copy is kept"),
                false => seen,
            }
        };
        let cell = |what: &dyn Fn(&Home) -> String| {
            let with = outcome(Keeping::Available, what);
            let without = outcome(Keeping::Unavailable, what);
            match with == without {
                true => with,
                false => format!("{with}; without a store {without}"),
            }
        };
        let caller = |caller| {
            cell(
                &|home: &Home| match queued(home, caller, false, 2).as_str() {
                    "deliver" => "queued".to_owned(),
                    "drop" => "exit 0, not queued".to_owned(),
                    code => format!("an SMTP client sees {code}"),
                },
            )
        };
        let line = |options: &[&str]| cell(&|home: &Home| delivered(home, options));
        let cells = [
            disposition.name().to_owned(),
            caller(Caller::Network),
            caller(Caller::Bounce),
            line(&[]),
            line(&["--refused", "100"]),
            line(&["--refused", "0"]),
            line(&["--maildir", "Junk"]),
        ];
        lines.push(format!("| {} |", cells.join(" | ")));
    }
    let table = lines.join("\n");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/qmail.md");
    let documentation = fs::read_to_string(file).unwrap();
    assert!(
        documentation.contains(&table),
        "docs/qmail.md does not have this table:\n{table}"
    );
}

/// What qmail-smtpd makes of the program's end (`qmail.c`), and what is in the queue then.
fn queued(home: &Home, caller: Caller, carries_text: bool, recipients: usize) -> String {
    let mut envelope = b"Fa@example.org\0".to_vec();
    for n in 0..recipients {
        envelope.extend(format!("Tr{n}@example.org\0").into_bytes());
    }
    envelope.push(0);
    let (code, text) = match carries_text {
        true => home.call_with_error_descriptor(6, MAIL, &envelope),
        false => (home.call(caller, MAIL, &envelope), String::new()),
    };
    let count = home.queued().len();
    match (code, text.chars().next(), count) {
        (0, None, 1) => "deliver".to_owned(),
        (0, None, 0) => "drop".to_owned(),
        (31, None, 0) | (82, Some('D'), 0) => "554".to_owned(),
        (71, None, 0) | (82, Some('Z'), 0) => "451".to_owned(),
        other => panic!("{other:?}"),
    }
}

fn delivered(home: &Home, options: &[&str]) -> String {
    let delivered = home.deliver(options, MAIL);
    let filed = if delivered.filed.is_empty() {
        ""
    } else {
        ", filed"
    };
    format!("exit {}{filed}", delivered.code)
}

fn table() -> Vec<Row> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/conformance/lowering.toml");
    let table: Table = toml::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    table.row
}

fn keeping(store: bool) -> Keeping {
    if store {
        Keeping::Available
    } else {
        Keeping::Unavailable
    }
}

fn wanted(side: &Side) -> Verdict {
    Verdict {
        keep: side.keep,
        edits: side.edits.iter().map(|name| edit(name)).collect(),
        recipients: (0..)
            .zip(&side.recipients)
            .map(|(index, name)| RecipientOutcome {
                index,
                disposition: disposition(name),
                reply: judged(disposition(name)).reply,
                keep: false,
            })
            .collect(),
        ..judged(disposition(&side.disposition))
    }
}

fn judged(disposition: Disposition) -> Verdict {
    let (code, enhanced) = match disposition {
        Disposition::Tempfail => (451, "4.7.1"),
        _ => (550, "5.7.1"),
    };
    let refuses = matches!(disposition, Disposition::Reject | Disposition::Tempfail);
    Verdict {
        disposition,
        reply: refuses.then(|| Reply::new(code, Some(enhanced), "Our own words").unwrap()),
        ..accept()
    }
}

fn disposition(name: &str) -> Disposition {
    [
        Disposition::Accept,
        Disposition::Reject,
        Disposition::Tempfail,
        Disposition::Discard,
        Disposition::Hold,
    ]
    .into_iter()
    .find(|known| known.name() == name)
    .unwrap()
}

fn edit(wanted: &str) -> Edit {
    let (name, value) = (Bytes::from_static(b"X-New"), Bytes::from_static(b"yes"));
    let existing = Bytes::from_static(b"X-Test");
    match wanted {
        "add-header" => Edit::AddHeader {
            name: "X-Last".into(),
            value,
        },
        "insert-header" => Edit::InsertHeader { name, value },
        "change-header" => Edit::ChangeHeader {
            name: existing,
            occurrence: 1,
            value,
        },
        "delete-header" => Edit::DeleteHeader {
            name: existing,
            occurrence: 1,
        },
        "replace-body" => Edit::ReplaceBody {
            body: Bytes::from_static(b"new\n"),
        },
        "change-sender" => Edit::ChangeSender {
            address: "other@example.org".into(),
        },
        "add-recipient" => Edit::AddRecipient {
            address: "new@example.org".into(),
        },
        "delete-recipient" => Edit::DeleteRecipient { index: 0 },
        other => panic!("no edit {other}"),
    }
}

fn made(edit: &str, message: &[u8], envelope: &[u8]) -> bool {
    let has = |bytes: &[u8], part: &str| {
        bytes
            .windows(part.len())
            .any(|window| window == part.as_bytes())
    };
    match edit {
        "add-header" => has(message, "Subject: x\nX-Last: yes\n\n"),
        "insert-header" => message.starts_with(b"X-New: yes\nX-Test: "),
        "change-header" => has(message, "X-Test: yes\n"),
        "delete-header" => !has(message, "X-Test"),
        "replace-body" => message.ends_with(b"\n\nnew\n"),
        "change-sender" => envelope.starts_with(b"Fother@example.org\0"),
        "add-recipient" => envelope.ends_with(b"Tnew@example.org\0\0"),
        "delete-recipient" => !has(envelope, "Tr0@") && has(envelope, "Tr1@"),
        other => panic!("no edit {other}"),
    }
}
