//! Copies of which nobody told what was done, or told somebody else.

use std::time::{Duration, Instant};

use millrace_proto::{Disposition, TransactionId};
use millrace_quarantine::{QuarantineError, State};

use crate::support::{Place, all, message, settlement, transaction, verdict};

fn is_settled(state: &State) -> bool {
    matches!(state, State::Settled { .. })
}

pub(crate) async fn a_settlement_that_another_process_gets_is_not_lost(place: &Place) {
    let (keeper, other) = (place.open(), place.open());
    let first = transaction(TransactionId::new());
    keeper
        .keep(&first, &verdict(Disposition::Reject), message("a"))
        .await
        .unwrap();
    // Nobody but its keeper knows of it yet, unless this has taken long.
    other.settle(&settlement(first.id)).await.unwrap();
    keeper.index_waiting().await;
    let record = all(&other).await.remove(0);
    assert!(is_settled(&record.state));
    assert_eq!(record.queue_id, "4Z");
    assert_eq!(other.record(&record.id).await.unwrap(), record);

    // The other way round.
    let second = transaction(TransactionId::new());
    keeper
        .keep(&second, &verdict(Disposition::Reject), message("b"))
        .await
        .unwrap();
    keeper.index_waiting().await;
    let id = second.id.to_string();
    assert_eq!(other.record(&id).await.unwrap().state, State::Unconfirmed);
    assert!(other.settle(&settlement(second.id)).await.unwrap());
    assert!(is_settled(&other.record(&id).await.unwrap().state));

    // The mail server came again, to another node, and a third was told.
    let again = transaction(TransactionId::new());
    other
        .keep(&again, &verdict(Disposition::Reject), message("c"))
        .await
        .unwrap();
    other.index_waiting().await;
    let once_more = transaction(TransactionId::new());
    keeper
        .keep(&once_more, &verdict(Disposition::Reject), message("c"))
        .await
        .unwrap();
    let third = place.open();
    assert!(third.settle(&settlement(once_more.id)).await.unwrap());
    let state = third.record(&again.id.to_string()).await.unwrap().state;
    assert!(is_settled(&state));
    assert_eq!(all(&third).await.len(), 3);
}

pub(crate) async fn copies_whose_process_died_are_swept(place: &Place) {
    let store = place.open();
    let mut ids = Vec::new();
    for number in 0..5 {
        let transaction = transaction(TransactionId::new());
        store
            .keep(
                &transaction,
                &verdict(Disposition::Hold),
                message(&number.to_string()),
            )
            .await
            .unwrap();
        ids.push(transaction.id.to_string());
    }
    let before = all(&store).await;
    // What was in the index of two of them is lost, and that of a third is cut off.
    let names = place.names("index/").await;
    place.remove(&names[0]).await;
    place.remove(&names[3]).await;
    place.write(&names[4], "{\"id\":").await;
    let other = place.open();
    assert_eq!(other.sweep().await.unwrap(), 3);
    assert_eq!(all(&other).await, before);
    assert_eq!(other.sweep().await.unwrap(), 0);
    assert!(place.names("lease/").await.is_empty());

    // One that comes after a sweep is found by the next.
    let late = transaction(TransactionId::new());
    store
        .keep(&late, &verdict(Disposition::Hold), message("late"))
        .await
        .unwrap();
    store.index_waiting().await;
    let record = place.names("index/").await.pop().unwrap();
    place.remove(&record).await;
    assert_eq!(other.sweep().await.unwrap(), 1);
    assert_eq!(all(&other).await[0].id, late.id.to_string());
}

pub(crate) async fn a_record_that_cannot_be_read_is_made_again(place: &Place) {
    let store = place.open();
    for number in 0..4 {
        store
            .keep(
                &transaction(TransactionId::new()),
                &verdict(Disposition::Hold),
                message(&number.to_string()),
            )
            .await
            .unwrap();
    }
    let before = all(&store).await;
    let names = place.names("index/").await;
    place.write(&names[1], "").await;
    place.write(&names[2], "no JSON").await;
    assert_eq!(all(&store).await, before);
    place.write(&names[1], "").await;
    let id = names[1].rsplit('/').next().unwrap();
    assert_eq!(store.record(id).await.unwrap().id, id);
}

pub(crate) async fn a_release_and_a_settlement_at_once_are_both_noted(place: &Place) {
    let (one, other) = (place.open(), place.open());
    let first = transaction(TransactionId::new());
    one.keep(&first, &verdict(Disposition::Reject), message("a"))
        .await
        .unwrap();
    one.index_waiting().await;
    let name = place.names("index/").await.remove(0);
    // As a release notes it.
    let released = async {
        place
            .write(&format!("{name}.released"), "1795386060000")
            .await;
    };
    let told = settlement(first.id);
    let (settled, ()) = futures_util::future::join(other.settle(&told), released).await;
    assert!(settled.unwrap());
    let record = all(&one).await.remove(0);
    assert!(is_settled(&record.state));
    assert_eq!(record.released, Some(1_795_386_060_000));
}

pub(crate) async fn a_store_that_lost_what_it_acknowledged_is_found_out(place: &Place) {
    let store = place.open();
    let mut number = 0;
    while number < 2 {
        let cut = number == 1;
        let lost = transaction(TransactionId::new());
        let begun = Instant::now();
        store
            .keep(
                &lost,
                &verdict(Disposition::Hold),
                message(&number.to_string()),
            )
            .await
            .unwrap();
        let name = place.names("entries/").await.remove(0);
        if cut {
            let whole = place.read(&name).await;
            place.write(&name, whole.slice(..whole.len() / 2)).await;
        } else {
            place.remove(&name).await;
        }
        if begun.elapsed() > Duration::from_millis(900) {
            // It was looked at before it was lost: once more.
            store.index_waiting().await;
            place.remove("entries/").await;
            place.remove("index/").await;
            place.remove("audit/").await;
            number = 0;
            continue;
        }
        store.settle(&settlement(lost.id)).await.unwrap();
        let noted = place.names("audit/").await;
        assert_eq!(noted.len(), number + 1);
        let day = noted[0].split('/').nth(1).unwrap();
        let log = store.audit_log(day).await.unwrap();
        let told = log.iter().find(|one| one.id == lost.id.to_string());
        assert_eq!(told.unwrap().action, "lost");
        let id = lost.id.to_string();
        assert!(all(&store).await.iter().all(|record| record.id != id));
        place.remove("entries/").await;
        number += 1;
    }

    // Lost later, it is said when somebody wants it.
    let later = transaction(TransactionId::new());
    store
        .keep(&later, &verdict(Disposition::Hold), message("later"))
        .await
        .unwrap();
    let id = later.id.to_string();
    let record = store.record(&id).await.unwrap();
    place.remove(&format!("entries/{}", record.hash)).await;
    store.index_waiting().await;
    let copy = store.copy(&id).await;
    assert!(
        matches!(
            copy,
            Err(QuarantineError::Lost(_) | QuarantineError::Unknown(_))
        ),
        "{copy:?}"
    );
}

pub(crate) async fn many_calls_at_once_from_two_processes_end_in_one_copy(place: &Place) {
    let stores = [place.open(), place.open()];
    let hedged = transaction(TransactionId::new());
    let mut calls = Vec::new();
    for call in 0..16 {
        let store = stores[call % 2].clone();
        // Hedges of one call, and others that came by themselves.
        let transaction = match call {
            0..8 => hedged.clone(),
            _ => transaction(TransactionId::new()),
        };
        calls.push(tokio::spawn(async move {
            store
                .keep(&transaction, &verdict(Disposition::Hold), message("a"))
                .await
        }));
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    for store in &stores {
        store.index_waiting().await;
    }
    assert_eq!(place.names("entries/").await.len(), 1);
    assert_eq!(all(&stores[0]).await.len(), 1);
    // Nothing is left half written.
    let left = place.names("new/").await;
    assert!(left.iter().all(|name| name == "new/room"), "{left:?}");
}
