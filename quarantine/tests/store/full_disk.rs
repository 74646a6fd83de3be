//! A disk that is full, and one that cannot be written any more. Needs root: it mounts a small file system of its own.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use millrace_proto::{Disposition, TransactionId};
use millrace_quarantine::{Limits, Quarantine, QuarantineError, Retention};

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

/// To the last byte.
fn fill(disk: &SmallDisk) {
    let path = disk.path().join("filling");
    let mut rest = vec![b'x'; 1 << 20];
    while !rest.is_empty() {
        let mut file = OpenOptions::new();
        let file = file.append(true).create(true).open(&path);
        if file.and_then(|mut file| file.write_all(&rest)).is_err() {
            rest.truncate(rest.len() / 2);
        }
    }
}

#[tokio::test]
async fn what_was_promised_on_a_full_disk_is_there_and_nothing_else_is_promised() {
    let disk = SmallDisk::mount();
    let store = Quarantine::open(disk.path().to_str().expect("UTF-8")).expect("a store");
    let mut promised = Vec::new();
    let mut refused = 0;
    for number in 0..40 {
        match keep(&store, number).await {
            Ok(id) => {
                promised.push((number, id));
                store.index_waiting().await;
            }
            Err(QuarantineError::File { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(
        promised.len() > 5 && refused > 5,
        "{} kept, {refused} refused",
        promised.len()
    );
    for (number, id) in &promised {
        let copy = store.copy(id).await.expect("it was promised");
        assert!(copy.content.starts_with(&message(&number.to_string())));
        assert_eq!(copy.content.len(), 100_000);
    }

    // To the last byte, and copies can be deleted and expire all the same, also by another process.
    fill(&disk);
    let (_, first) = promised.remove(0);
    store.delete(&first, "test").await.expect("it is deleted");
    fill(&disk);
    let other = Quarantine::open_existing(disk.path().to_str().expect("UTF-8")).expect("a store");
    let retention = Retention::of_all(Limits {
        entries: Some(3),
        ..Limits::default()
    });
    let expired = other.expire(&retention).await.expect("it expires");
    assert!(expired.entries > 0);
    let left = promised.len() as u64 - expired.entries;
    assert_eq!(store.stats().await.expect("they are counted").entries, left);

    // With room again, it goes on.
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
        matches!(refused, Err(QuarantineError::File { .. })),
        "{refused:?}"
    );
    store.copy(&id).await.expect("it can be read");
    assert!(store.delete(&id, "test").await.is_err());
    store
        .copy(&id)
        .await
        .expect("a deletion that failed deleted nothing");
}
