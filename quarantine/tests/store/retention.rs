//! How long copies stay.

use std::time::Duration;

use bytes::Bytes;
use millrace_proto::{Disposition, Transaction, TransactionId};
use millrace_quarantine::{Expired, Limits, QuarantineError, Retention};

use crate::support::{DAY, Place, all, id, message, milliseconds, transaction, verdict};

pub(crate) async fn copies_expire_by_age_number_and_size(place: &Place) {
    let store = place.open();
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
        assert_eq!(place.names("entries/").await.len(), left);
    }
    assert_eq!(store.stats().await.unwrap().bytes, 100 + 101 + 102);
    assert!(place.names("lease/").await.is_empty());
}

pub(crate) async fn recipient_domains_have_an_age_of_their_own(place: &Place) {
    let store = place.open();
    let now = milliseconds(TransactionId::new());
    for (client, recipients, days) in [
        ("mx", &["a@here.example"][..], 2),
        ("mx", &["a@here.example"], 4),
        ("mx", &["a@Short.Example"], 2),
        ("mx", &["a@short.example"], 0),
        ("mx", &["a@long.example"], 6),
        ("mx", &["a@ever.example"], 900),
        ("mx", &["a@short.example", "b@long.example"], 6),
        ("out", &["a@short.example"], 4),
        ("out", &["a@long.example"], 6),
    ] {
        let mut transaction = Transaction {
            client: client.parse().unwrap(),
            ..transaction(id(now - days * DAY))
        };
        transaction.envelope.recipients = recipients
            .iter()
            .map(|one| millrace_proto::Path::new((*one).to_owned()))
            .collect();
        let mut verdict = verdict(Disposition::Hold);
        verdict.kept_for.clear();
        store
            .keep(&transaction, &verdict, message("a"))
            .await
            .unwrap();
    }
    let days = |days: u64| Some(Duration::from_millis(days * DAY));
    let retention = Retention {
        all: Limits {
            age: days(3),
            ..Limits::default()
        },
        clients: [(
            "out".to_owned(),
            Limits {
                age: days(5),
                ..Limits::default()
            },
        )]
        .into(),
        domains: [
            ("short.example".to_owned(), days(1)),
            ("long.example".to_owned(), days(7)),
            ("ever.example".to_owned(), None),
        ]
        .into(),
    };
    assert!(retention.limits_anything());
    assert_eq!(store.expire(&retention).await.unwrap().entries, 2);
    let mut left: Vec<(String, u64)> = all(&store)
        .await
        .into_iter()
        .map(|record| (record.recipients[0].clone(), (now - record.time) / DAY))
        .collect();
    left.sort_unstable();
    let left: Vec<(&str, u64)> = left.iter().map(|(one, days)| (&**one, *days)).collect();
    assert_eq!(
        left,
        [
            ("a@ever.example", 900),
            ("a@here.example", 2),
            ("a@long.example", 6),
            ("a@long.example", 6),
            ("a@short.example", 0),
            ("a@short.example", 4),
            ("a@short.example", 6),
        ]
    );
}

pub(crate) async fn clients_have_limits_of_their_own(place: &Place) {
    let store = place.open();
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
        ..Retention::default()
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
    if let Some(folder) = place.path() {
        let days = std::fs::read_dir(folder.join("index")).unwrap().count();
        assert_eq!(days, 2);
    }
}

pub(crate) async fn one_process_expires_at_a_time_and_one_that_died_blocks_nobody(place: &Place) {
    let store = place.open();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64;
    place.write("lease/expire", now.to_string()).await;
    let limits = Retention {
        all: Limits {
            entries: Some(0),
            ..Limits::default()
        },
        ..Retention::default()
    };
    let busy = store.expire(&limits).await.unwrap_err();
    assert!(matches!(busy, QuarantineError::Busy), "{busy}");
    let old = (now - 3_600_000).to_string();
    place.write("lease/expire", old).await;
    assert_eq!(store.expire(&limits).await.unwrap(), Expired::default());
}

pub(crate) async fn a_copy_that_was_just_promised_again_does_not_expire(place: &Place) {
    let store = place.open();
    let (first, again, other) = (
        transaction(TransactionId::new()),
        transaction(TransactionId::new()),
        transaction(TransactionId::new()),
    );
    for (transaction, content) in [(&first, "a"), (&again, "a"), (&other, "b")] {
        store
            .keep(transaction, &verdict(Disposition::Hold), message(content))
            .await
            .unwrap();
    }
    let none = Retention::of_all(Limits {
        entries: Some(0),
        ..Limits::default()
    });
    store.index_waiting().await;
    assert_eq!(store.expire(&none).await.unwrap().entries, 1);
    let left = all(&store).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id, first.id.to_string());
    store.copy(&left[0].id).await.unwrap();

    // An hour and more afterwards it does.
    let mark = place.names("index/").await;
    let mark = mark.iter().find(|name| name.ends_with(".again")).unwrap();
    let long_ago = milliseconds(first.id) - 2 * 3_600_000;
    place.write(mark, long_ago.to_string()).await;
    assert_eq!(store.expire(&none).await.unwrap().entries, 1);
    for below in ["entries/", "index/", "lease/", "going/"] {
        assert_eq!(place.names(below).await, Vec::<String>::new());
    }
}

pub(crate) async fn a_deletion_that_broke_off_is_ended(place: &Place) {
    let store = place.open();
    let mut ids = Vec::new();
    for number in 0..3 {
        let transaction = transaction(TransactionId::new());
        let content = message(&number.to_string());
        store
            .keep(&transaction, &verdict(Disposition::Hold), content)
            .await
            .unwrap();
        ids.push(transaction.id.to_string());
    }
    // One broke off before its copy went, one after.
    for (number, id) in ids.iter().take(2).enumerate() {
        let record = store.record(id).await.unwrap();
        store.index_waiting().await;
        let noted = format!("wanted {}", record.hash);
        place.write(&format!("going/{id}"), noted).await;
        if number == 1 {
            place.remove(&format!("entries/{}", record.hash)).await;
        }
        assert!(matches!(
            store.record(id).await,
            Err(QuarantineError::Unknown(_))
        ));
    }
    assert_eq!(all(&store).await.len(), 1);
    // Nobody is promised what is being deleted.
    let again = store
        .keep(
            &transaction(TransactionId::new()),
            &verdict(Disposition::Hold),
            message("0"),
        )
        .await;
    assert!(matches!(again, Err(QuarantineError::Going)), "{again:?}");

    let limits = Retention::of_all(Limits {
        age: Some(Duration::from_millis(DAY)),
        ..Limits::default()
    });
    store.expire(&limits).await.unwrap();
    assert_eq!(place.names("entries/").await.len(), 1);
    assert!(place.names("going/").await.is_empty());
    let index = place.names("index/").await;
    assert!(index.iter().all(|name| name.contains(&ids[2])), "{index:?}");
    assert_eq!(all(&store).await[0].id, ids[2]);
}
