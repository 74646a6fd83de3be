//! Keeping copies, finding them again, and deleting them.

use std::time::Duration;

use bytes::Bytes;
use millrace_proto::{Disposition, TransactionId};
use millrace_quarantine::{Limits, QuarantineError, Retention, State};

use crate::support::{DAY, NOW, Place, all, id, message, settlement, transaction, verdict};

pub(crate) async fn a_message_comes_back_whole_and_byte_for_byte(place: &Place) {
    let store = place.open();
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

pub(crate) async fn calls_for_one_message_end_in_one_copy(place: &Place) {
    let (one, other) = (place.open(), place.open());
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
    assert_eq!(place.names("entries/").await.len(), 1);
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

pub(crate) async fn a_message_that_comes_again_after_days_does_not_expire_with_its_first_copy(
    place: &Place,
) {
    let store = place.open();
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

pub(crate) async fn what_is_deleted_is_gone_and_told_in_the_audit_log(place: &Place) {
    let store = place.open();
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
    for name in place.names("").await {
        let text = place.read(&name).await;
        let found = text.windows(6).any(|window| window == b"secret");
        assert!(!found, "{name}");
    }
    assert!(matches!(
        store.copy(&id).await,
        Err(QuarantineError::Unknown(_))
    ));
    assert!(matches!(
        store.delete(&id, "root").await,
        Err(QuarantineError::Unknown(_))
    ));
    let noted = place.names("audit/").await.remove(0);
    let day = noted.split('/').nth(1).unwrap();
    let log = store.audit_log(day).await.unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(
        (&*log[0].who, &*log[0].action, &log[0].id),
        ("root", "delete", &id)
    );
}

pub(crate) async fn a_copy_that_was_cut_off_is_not_taken_for_one(place: &Place) {
    let store = place.open();
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
    let file = place.names("entries/").await.remove(0);
    let whole = place.read(&file).await;
    for length in [0, 3, 11, 40, whole.len() - 1] {
        place.write(&file, whole.slice(..length)).await;
        let error = keep(message("a")).await.unwrap_err();
        assert!(
            matches!(error, QuarantineError::Damaged { .. }),
            "{length}: {error}"
        );
    }
}

pub(crate) async fn an_index_that_was_lost_is_made_again(place: &Place) {
    let store = place.open();
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
    place.remove("index/").await;
    assert!(all(&store).await.is_empty());
    assert_eq!(store.mend().await.unwrap(), 3);
    assert_eq!(all(&store).await, before);
    assert_eq!(store.mend().await.unwrap(), 0);
}
