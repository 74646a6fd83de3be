//! Keeping copies, finding them again, and deleting them.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use millrace_proto::{Disposition, TransactionId};
use millrace_quarantine::{Limits, Quarantine, QuarantineError, Retention, State};

use crate::support::{DAY, NOW, all, files, id, message, open, settlement, transaction, verdict};

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
