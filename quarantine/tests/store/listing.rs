//! What a listing shows, and of what.

use millrace_proto::Disposition;
use millrace_quarantine::{Filter, State};

use crate::support::{NOW, Place, all, id, message, settlement, transaction, verdict};

pub(crate) async fn a_listing_tells_what_was_promised_and_what_was_done(place: &Place) {
    let store = place.open();
    let transaction = transaction(id(NOW));
    let content = message("folded\r\n over \u{1b}[31m lines");
    store
        .keep(&transaction, &verdict(Disposition::Reject), content)
        .await
        .unwrap();
    let record = all(&store).await.remove(0);
    assert_eq!(record.state, State::Unconfirmed);
    assert_eq!(record.subject, "folded over \u{1b}[31m lines");
    assert_eq!(record.kept_for, ["bob@here.example"]);
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

pub(crate) async fn listings_are_filtered_and_come_in_pages(place: &Place) {
    let store = place.open();
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
