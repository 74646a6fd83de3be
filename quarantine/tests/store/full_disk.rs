//! A disk that is full, and one that cannot be written any more. Needs root: it mounts a small file system of its own.

use std::path::Path;
use std::process::Command;

use millrace_proto::{Disposition, TransactionId};
use millrace_quarantine::{Filter, Quarantine, QuarantineError};

use crate::support::{message, transaction, verdict};

/// A file system of 2 MiB, unmounted when dropped.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().expect("a temp folder can be made");
        run(
            "mount",
            &["-t", "tmpfs", "-o", "size=2m", "tmpfs"],
            folder.path(),
        );
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["-l"], self.folder.path());
    }
}

fn run(program: &str, words: &[&str], folder: &Path) {
    let status = Command::new(program).args(words).arg(folder).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "{program}: are we root?"
    );
}

async fn keep(store: &Quarantine, number: u32) -> Result<String, QuarantineError> {
    let mut content = message(&number.to_string()).to_vec();
    content.resize(100_000, b'x');
    let transaction = transaction(TransactionId::new());
    store
        .keep(&transaction, &verdict(Disposition::Hold), content.into())
        .await?;
    Ok(transaction.id.to_string())
}

#[tokio::test]
async fn what_was_promised_on_a_full_disk_is_there_and_nothing_else_is_promised() {
    let disk = SmallDisk::mount();
    let store = Quarantine::open(disk.path().to_str().expect("UTF-8")).expect("a store");
    let mut promised = Vec::new();
    let mut refused = 0;
    for number in 0..40 {
        match keep(&store, number).await {
            Ok(id) => promised.push((number, id)),
            Err(QuarantineError::Store(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(
        promised.len() > 5 && refused > 5,
        "{} kept, {refused} refused",
        promised.len()
    );
    let listed = store
        .list(&Filter::default(), None, 100)
        .await
        .expect("a page");
    for (number, id) in &promised {
        let copy = store.copy(id).await.expect("it was promised");
        assert!(copy.content.starts_with(&message(&number.to_string())));
        assert_eq!(copy.content.len(), 100_000);
        assert!(listed.records.iter().any(|record| record.id == *id));
    }

    // With room again, it goes on.
    for (_, id) in promised.drain(..).take(3) {
        store.delete(&id, "test").await.expect("it is deleted");
    }
    keep(&store, 100).await.expect("there is room");
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_promises_nothing_and_still_shows_what_it_has() {
    let disk = SmallDisk::mount();
    let store = Quarantine::open(disk.path().to_str().expect("UTF-8")).expect("a store");
    let id = keep(&store, 1).await.expect("it is kept");
    run("mount", &["-o", "remount,ro"], disk.path());
    let refused = keep(&store, 2).await;
    assert!(
        matches!(refused, Err(QuarantineError::Store(_))),
        "{refused:?}"
    );
    store.copy(&id).await.expect("it can be read");
    assert!(store.delete(&id, "test").await.is_err());
    store
        .copy(&id)
        .await
        .expect("a deletion that failed deleted nothing");
}
