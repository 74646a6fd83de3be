//! The store in a folder.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use millrace_proto::{
    Capabilities, ClientName, ConduitKind, Connection, Direction, Disposition, Edit, Envelope,
    Finding, LineEnding, Outcome, OutcomeKind, Path as MailPath, Revision, Settlement, Transaction,
    TransactionId, Verdict,
};
use millrace_quarantine::{
    Expired, Filter, Limits, Quarantine, QuarantineError, Record, Retention, State,
};

const NOW: u64 = 1_795_386_060_000;
const DAY: u64 = 86_400_000;

/// An identifier of a certain time.
fn id(milliseconds: u64) -> TransactionId {
    let mut bytes = *TransactionId::new().as_bytes();
    bytes[..6].copy_from_slice(&milliseconds.to_be_bytes()[2..]);
    TransactionId::from_bytes(bytes)
}

fn milliseconds(id: TransactionId) -> u64 {
    id.as_bytes()[..6]
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn transaction(id: TransactionId) -> Transaction {
    Transaction {
        id,
        conduit: ConduitKind::Milter,
        client: "mx".parse::<ClientName>().unwrap(),
        direction: Direction::Inbound,
        capabilities: Capabilities::ALL,
        connection: Connection::default(),
        envelope: Envelope {
            sender: Some(MailPath::new("alice@sender.example")),
            recipients: vec![
                MailPath::new("bob@here.example"),
                MailPath::new(&b"\xff\0b@here.example"[..]),
            ],
        },
        queue_id: Some(Bytes::from_static(b"4Q")),
        macros: Vec::new(),
        line_ending: LineEnding::Crlf,
        revision: Revision::new("abc"),
    }
}

fn verdict(disposition: Disposition) -> Verdict {
    Verdict {
        disposition,
        keep: true,
        score: 12.5,
        findings: vec![Finding {
            symbol: "GTUBE".into(),
            score: 12.5,
            detail: "body".to_owned(),
            policy_line: None,
        }],
        edits: vec![Edit::DeleteRecipient { index: 0 }],
        ..Verdict::accept(Revision::new("abc").unwrap(), "node-1".into())
    }
}

fn message(subject: &str) -> Bytes {
    format!("From: a@b\r\nSubject: {subject}\r\n\r\ntext\r\n").into()
}

fn settlement(transaction: TransactionId) -> Settlement {
    Settlement {
        transaction,
        client: "mx".parse().unwrap(),
        queue_id: Some(Bytes::from_static(b"4Z")),
        revision: None,
        outcome: Outcome {
            kind: OutcomeKind::Done,
            disposition: Disposition::Reject,
        },
        kept: true,
    }
}

fn open(folder: &Path) -> Quarantine {
    Quarantine::open(&format!("file://{}", folder.display())).unwrap()
}

async fn all(store: &Quarantine) -> Vec<Record> {
    let page = store.list(&Filter::default(), None, usize::MAX).await;
    page.unwrap().records
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn a_message_comes_back_whole_and_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let large: Vec<u8> = (0..30_usize << 20).map(|at| (at % 251) as u8).collect();
    for content in [
        Bytes::new(),
        Bytes::from_static(b"\0\xff\r\n.\n\0MRQ1"),
        Bytes::from(large),
    ] {
        let transaction = transaction(TransactionId::new());
        let verdict = verdict(Disposition::Reject);
        store
            .keep(&transaction, &verdict, content.clone())
            .await
            .unwrap();
        let copy = store.copy(&transaction.id.to_string()).await.unwrap();
        assert!(copy.content == content, "{} bytes differ", content.len());
        assert_eq!(copy.transaction, transaction);
        assert_eq!(copy.verdict, verdict);
    }
}

#[tokio::test]
async fn calls_for_one_message_end_in_one_copy() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (open(folder.path()), open(folder.path()));
    let first = transaction(id(NOW));
    let held = verdict(Disposition::Hold);
    let (left, right) = futures_util::future::join(
        one.keep(&first, &held, message("a")),
        other.keep(&first, &held, message("a")),
    )
    .await;
    left.unwrap();
    right.unwrap();
    // The mail server comes again an hour later, and its transaction is settled by its own identifier.
    let again = transaction(id(NOW + 3_600_000));
    other
        .keep(&again, &verdict(Disposition::Hold), message("a"))
        .await
        .unwrap();
    assert!(one.settle(&settlement(again.id)).await.unwrap());

    let records = all(&one).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].id, first.id.to_string());
    assert_eq!(files(&folder.path().join("entries")).len(), 1);
    assert!(matches!(&records[0].state, State::Settled { .. }));

    // Another envelope, client or content is another message.
    let mut different = transaction(id(NOW + 1));
    different.client = "other".parse().unwrap();
    one.keep(&different, &verdict(Disposition::Hold), message("a"))
        .await
        .unwrap();
    let mut different = transaction(id(NOW + 2));
    different.envelope.sender = None;
    one.keep(&different, &verdict(Disposition::Hold), message("a"))
        .await
        .unwrap();
    one.keep(
        &transaction(id(NOW + 3)),
        &verdict(Disposition::Hold),
        message("b"),
    )
    .await
    .unwrap();
    assert_eq!(all(&one).await.len(), 4);
}

#[tokio::test]
async fn a_message_that_comes_again_after_days_does_not_expire_with_its_first_copy() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (first, again) = (
        transaction(id(NOW - 20 * DAY)),
        transaction(TransactionId::new()),
    );
    for transaction in [&first, &again] {
        store
            .keep(transaction, &verdict(Disposition::Hold), message("a"))
            .await
            .unwrap();
    }
    assert_eq!(all(&store).await.len(), 2);
    let week = Retention::of_all(Limits {
        age: Some(Duration::from_millis(7 * DAY)),
        ..Limits::default()
    });
    assert_eq!(store.expire(&week).await.unwrap().entries, 1);
    let copy = store.copy(&again.id.to_string()).await.unwrap();
    assert_eq!(copy.transaction.id, again.id);
}

#[tokio::test]
async fn a_listing_tells_what_was_promised_and_what_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let transaction = transaction(id(NOW));
    let content = message("folded\r\n over \u{1b}[31m lines");
    store
        .keep(&transaction, &verdict(Disposition::Reject), content)
        .await
        .unwrap();
    let record = all(&store).await.remove(0);
    assert_eq!(record.state, State::Unconfirmed);
    assert_eq!(record.subject, "folded over \u{1b}[31m lines");
    assert_eq!(record.removed, ["bob@here.example"]);
    assert_eq!(record.time, NOW);
    assert_eq!(
        (record.disposition.as_str(), record.score),
        ("reject", 12.5)
    );

    assert!(store.settle(&settlement(transaction.id)).await.unwrap());
    let record = all(&store).await.remove(0);
    let done = State::Settled {
        outcome: "done".to_owned(),
        disposition: "reject".to_owned(),
    };
    assert_eq!((record.state, record.queue_id.as_str()), (done, "4Z"));
    // A transaction that was never kept.
    assert!(!store.settle(&settlement(id(NOW))).await.unwrap());
}

#[tokio::test]
async fn listings_are_filtered_and_come_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut ids = Vec::new();
    // Over minutes, hours and days.
    for at in 0..24_u64 {
        let transaction = transaction(id(NOW + at * 25 * 60_000 * 7));
        ids.push(transaction.id.to_string());
        let disposition = if at % 2 == 0 {
            Disposition::Reject
        } else {
            Disposition::Hold
        };
        store
            .keep(
                &transaction,
                &verdict(disposition),
                message(&format!("Mail No. {at}.")),
            )
            .await
            .unwrap();
    }
    ids.reverse();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store
            .list(&Filter::default(), after.as_deref(), 7)
            .await
            .unwrap();
        seen.extend(page.records.into_iter().map(|record| record.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ids);

    let count = async |filter: Filter| store.list(&filter, None, 100).await.unwrap().records.len();
    let text = |text: &str| Some(text.to_owned());
    let none = Filter::default;
    for (filter, expected) in [
        (
            Filter {
                client: text("mx"),
                ..none()
            },
            24,
        ),
        (
            Filter {
                client: text("m"),
                ..none()
            },
            0,
        ),
        (
            Filter {
                sender: text("ALICE@"),
                ..none()
            },
            24,
        ),
        (
            Filter {
                sender: text("bob"),
                ..none()
            },
            0,
        ),
        (
            Filter {
                recipient: text("bob"),
                ..none()
            },
            24,
        ),
        (
            Filter {
                symbol: text("gtube"),
                ..none()
            },
            24,
        ),
        (
            Filter {
                symbol: text("OTHER"),
                ..none()
            },
            0,
        ),
        (
            Filter {
                disposition: text("hold"),
                ..none()
            },
            12,
        ),
        (
            Filter {
                subject: text("no. 7."),
                ..none()
            },
            1,
        ),
        (
            Filter {
                since: Some(NOW + 25 * 60_000 * 7),
                ..none()
            },
            23,
        ),
        (
            Filter {
                until: Some(NOW + 25 * 60_000 * 7),
                ..none()
            },
            1,
        ),
    ] {
        assert_eq!(count(filter.clone()).await, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn copies_expire_by_age_number_and_size() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let now = milliseconds(TransactionId::new());
    for days in 0..10 {
        let transaction = transaction(id(now - days * DAY));
        let content = Bytes::from(vec![b'x'; 100 + days as usize]);
        store
            .keep(&transaction, &verdict(Disposition::Hold), content)
            .await
            .unwrap();
    }
    let none = Limits::default();
    for (limits, entries, left) in [
        (none, 0, 10),
        (
            Limits {
                age: Some(Duration::from_millis(8 * DAY - 1000)),
                ..none
            },
            2,
            8,
        ),
        (
            Limits {
                entries: Some(5),
                ..none
            },
            3,
            5,
        ),
        (
            Limits {
                bytes: Some(310),
                ..none
            },
            2,
            3,
        ),
    ] {
        let retention = Retention::of_all(limits);
        let expired = store.expire(&retention).await.unwrap();
        assert_eq!(expired.entries, entries, "{retention:?}");
        assert_eq!(all(&store).await.len(), left, "{retention:?}");
        assert_eq!(files(&folder.path().join("entries")).len(), left);
    }
    assert_eq!(store.stats().await.unwrap().bytes, 100 + 101 + 102);
    assert_eq!(files(&folder.path().join("lease")), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn clients_have_limits_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let now = milliseconds(TransactionId::new());
    for (client, days) in [
        ("mx", 1),
        ("mx", 5),
        ("mx", 9),
        ("out", 1),
        ("out", 5),
        ("out", 9),
        ("few", 1),
        ("few", 2),
    ] {
        let transaction = Transaction {
            client: client.parse().unwrap(),
            ..transaction(id(now - days * DAY))
        };
        store
            .keep(&transaction, &verdict(Disposition::Hold), message("a"))
            .await
            .unwrap();
    }
    let days = |days: u64| Some(Duration::from_millis(days * DAY));
    let limits = Limits::default();
    let retention = Retention {
        all: Limits {
            age: days(3),
            ..limits
        },
        clients: [
            (
                "out".to_owned(),
                Limits {
                    age: days(7),
                    ..limits
                },
            ),
            (
                "few".to_owned(),
                Limits {
                    entries: Some(1),
                    ..limits
                },
            ),
        ]
        .into(),
    };
    store.expire(&retention).await.unwrap();
    let left: Vec<(String, u64)> = all(&store)
        .await
        .into_iter()
        .map(|record| (record.client, (now - record.time) / DAY))
        .collect();
    let left: Vec<(&str, u64)> = left
        .iter()
        .map(|(client, days)| (&**client, *days))
        .collect();
    assert_eq!(left.len(), 4, "{left:?}");
    for one in [("mx", 1), ("out", 1), ("out", 5), ("few", 1)] {
        assert!(left.contains(&one), "{left:?}");
    }
    // No empty folder is left of days that are over.
    let days = std::fs::read_dir(folder.path().join("index"))
        .unwrap()
        .count();
    assert_eq!(days, 2);
}

#[tokio::test]
async fn one_process_expires_at_a_time_and_one_that_died_blocks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let lease = folder.path().join("lease");
    fs::create_dir(&lease).unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64;
    fs::write(lease.join("expire"), now.to_string()).unwrap();
    let limits = Retention {
        all: Limits {
            entries: Some(0),
            ..Limits::default()
        },
        ..Retention::default()
    };
    let busy = store.expire(&limits).await.unwrap_err();
    assert!(matches!(busy, QuarantineError::Busy), "{busy}");
    fs::write(lease.join("expire"), (now - 3_600_000).to_string()).unwrap();
    assert_eq!(store.expire(&limits).await.unwrap(), Expired::default());
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_told_in_the_audit_log() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let transaction = transaction(TransactionId::new());
    let id = transaction.id.to_string();
    store
        .keep(
            &transaction,
            &verdict(Disposition::Hold),
            message("secret words"),
        )
        .await
        .unwrap();
    store.delete(&id, "root").await.unwrap();
    for file in files(folder.path()) {
        let text = fs::read(&file).unwrap();
        let found = text.windows(6).any(|window| window == b"secret");
        assert!(!found, "{}", file.display());
    }
    assert!(matches!(
        store.copy(&id).await,
        Err(QuarantineError::Unknown(_))
    ));
    assert!(matches!(
        store.delete(&id, "root").await,
        Err(QuarantineError::Unknown(_))
    ));
    let days: Vec<_> = fs::read_dir(folder.path().join("audit"))
        .unwrap()
        .map(|day| day.unwrap().file_name().into_string().unwrap())
        .collect();
    let log = store.audit_log(&days[0]).await.unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(
        (&*log[0].who, &*log[0].action, &log[0].id),
        ("root", "delete", &id)
    );
}

#[tokio::test]
async fn a_store_that_cannot_write_promises_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    // Also for root, whom a mode of 0500 would not stop.
    fs::write(folder.path().join("entries"), "in the way").unwrap();
    let transaction = transaction(TransactionId::new());
    let kept = store
        .keep(&transaction, &verdict(Disposition::Hold), message("a"))
        .await;
    assert!(kept.is_err());
    assert!(all(&store).await.is_empty());
}

#[tokio::test]
async fn a_copy_that_was_cut_off_is_not_taken_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let first = transaction(id(NOW));
    let keep = async |content| {
        store
            .keep(
                &transaction(id(NOW + 1)),
                &verdict(Disposition::Hold),
                content,
            )
            .await
    };
    store
        .keep(&first, &verdict(Disposition::Hold), message("a"))
        .await
        .unwrap();
    let file = files(&folder.path().join("entries")).remove(0);
    let whole = fs::read(&file).unwrap();
    for length in [0, 3, 11, 40, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        let error = keep(message("a")).await.unwrap_err();
        assert!(
            matches!(error, QuarantineError::Damaged { .. }),
            "{length}: {error}"
        );
    }
}

#[tokio::test]
async fn an_index_that_was_lost_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for at in 0..3 {
        store
            .keep(
                &transaction(id(NOW + at)),
                &verdict(Disposition::Hold),
                message(&at.to_string()),
            )
            .await
            .unwrap();
    }
    let before = all(&store).await;
    fs::remove_dir_all(folder.path().join("index")).unwrap();
    assert!(all(&store).await.is_empty());
    assert_eq!(store.mend().await.unwrap(), 3);
    assert_eq!(all(&store).await, before);
    assert_eq!(store.mend().await.unwrap(), 0);
}

#[test]
fn an_address_that_is_no_folder_is_refused() {
    for address in ["", "quarantine", "s3://bucket", "file://relative"] {
        let error = Quarantine::open(address).unwrap_err();
        assert!(
            matches!(error, QuarantineError::Address(_)),
            "{address}: {error}"
        );
    }
}
