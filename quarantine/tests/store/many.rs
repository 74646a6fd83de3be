//! A store with very many copies: what a listing reads, and what expires.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millrace_quarantine::{Filter, Limits, Quarantine, Record, Retention, State};

const ENTRIES: u64 = 200_000;
/// Milliseconds between two copies: the whole spans about nine days.
const APART: u64 = 4_000;

/// Identifiers are made of their time (RFC 9562 §5.7) and of a number.
fn id(time: u64, number: u64) -> String {
    let hex = format!("{time:012x}7000{:016x}", 0x8000_0000_0000_0000 | number);
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

/// Writes the index as the store does; the copies themselves are of no account to a listing.
fn write(folder: &Path, last: u64) {
    let day = |time: u64| time / 86_400_000;
    let mut minute = String::new();
    for number in 0..ENTRIES {
        let time = last - (ENTRIES - 1 - number) * APART;
        let (hours, minutes) = (time / 3_600_000 % 24, time / 60_000 % 60);
        // 2026-11-01 is day 20758; the test stays within its month.
        let date = day(time) - 20_758 + 1;
        let below = format!("index/202611{date:02}/{hours:02}/{minutes:02}");
        if below != minute {
            fs::create_dir_all(folder.join(&below)).expect("a folder");
            minute = below;
        }
        let id = id(time, number);
        let record = Record {
            id: id.clone(),
            hash: format!("{number:064x}"),
            time,
            client: "mx".to_owned(),
            queue_id: String::new(),
            sender: format!("sender{}@x.example", number % 1000),
            recipients: vec!["bob@y.example".to_owned()],
            kept_for: Vec::new(),
            subject: format!("message {number}"),
            size: 4096,
            symbols: vec!["SPAM".to_owned()],
            score: 9.0,
            revision: "abc".to_owned(),
            disposition: "reject".to_owned(),
            reason: String::new(),
            state: State::Unconfirmed,
            released: None,
        };
        let text = serde_json::to_vec(&record).expect("JSON");
        fs::write(folder.join(&minute).join(id), text).expect("a file");
    }
}

#[tokio::test]
async fn two_hundred_thousand_copies_are_listed_filtered_and_expire() {
    // In memory, where there is room: a disk takes minutes to make so many files.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    let folder = folder.expect("a temp folder can be made");
    // 2026-11-20 12:00 UTC.
    let last = (20_758 + 19) * 86_400_000 + 43_200_000;
    write(folder.path(), last);
    let store = Quarantine::open(folder.path().to_str().expect("UTF-8")).expect("a store");

    // What a page does not show is not read: damage there goes unnoticed.
    let oldest = id(last - (ENTRIES - 1) * APART, 0);
    let damaged = folder.path().join("index/20261111");
    let whole = fs::rename(&damaged, folder.path().join("away"));
    fs::write(&damaged, "no folder").expect("a file");
    whole.expect("there are copies of that day");
    let newest = store
        .list(&Filter::default(), None, 50)
        .await
        .expect("a page");
    assert_eq!(newest.records.len(), 50);
    assert_eq!(newest.records[0].id, id(last, ENTRIES - 1));
    let next = store
        .list(&Filter::default(), newest.next.as_deref(), 50)
        .await
        .expect("a page");
    assert_eq!(next.records[0].subject, format!("message {}", ENTRIES - 51));

    fs::remove_file(&damaged).expect("the file");
    fs::rename(folder.path().join("away"), &damaged).expect("the folder");

    let by_sender = Filter {
        sender: Some("sender7@".to_owned()),
        since: Some(last - 20_000 * APART),
        ..Filter::default()
    };
    let found = store.list(&by_sender, None, 300).await.expect("a page");
    assert_eq!(found.records.len(), 20);
    assert_eq!(found.next, None);
    let first_hour = Filter {
        until: Some(last - (ENTRIES - 1) * APART + 3_600_000),
        ..Filter::default()
    };
    let found = store.list(&first_hour, None, 10_000).await.expect("a page");
    assert_eq!(found.records.len(), 900);
    assert_eq!(found.records.last().map(|one| &one.id), Some(&oldest));

    // By age, what is younger is not read.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is after 1970");
    let left = last - (ENTRIES - 1 - 2_000) * APART;
    let retention = Retention::of_all(Limits {
        age: Some(now.saturating_sub(Duration::from_millis(left - APART / 2))),
        ..Limits::default()
    });
    let expired = store.expire(&retention).await.expect("it expires");
    assert_eq!(expired.entries, 2_000);
    let hour = Filter {
        until: Some(left + 3_600_000),
        ..Filter::default()
    };
    let found = store.list(&hour, None, 10_000).await.expect("a page");
    assert_eq!(found.records.last().map(|one| one.time), Some(left));
}
