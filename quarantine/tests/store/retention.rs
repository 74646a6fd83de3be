//! How long copies stay.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use millrace_proto::{Disposition, Transaction, TransactionId};
use millrace_quarantine::{Expired, Limits, QuarantineError, Retention};

use crate::support::{DAY, all, files, id, message, milliseconds, open, transaction, verdict};

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
