//! Where a store can be, and what is said of the others.

use std::fs;

use millrace_proto::{Disposition, TransactionId};
use millrace_quarantine::{Quarantine, QuarantineError};

use crate::support::{Place, all, message, transaction, verdict};

#[tokio::test]
async fn a_folder_that_cannot_be_written_promises_nothing() {
    let place = Place::folder();
    let store = place.open();
    // Also for root, whom a mode of 0500 would not stop.
    fs::write(place.path().unwrap().join("entries"), "in the way").unwrap();
    let transaction = transaction(TransactionId::new());
    let kept = store
        .keep(&transaction, &verdict(Disposition::Hold), message("a"))
        .await;
    assert!(kept.is_err());
    assert!(all(&store).await.is_empty());
}

#[test]
fn an_address_that_is_no_folder_is_refused() {
    for address in ["", "quarantine", "gs://bucket", "file://relative"] {
        let error = Quarantine::open(address).unwrap_err();
        assert!(
            matches!(error, QuarantineError::Address(_)),
            "{address}: {error}"
        );
    }
}
