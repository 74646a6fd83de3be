use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use millrace_proto::Disposition;
use millrace_tests::etcd::Etcd;
use millrace_tests::member::{Member, publish};
use millrace_tests::policy::PolicyFolder;

use crate::ran;

const ENTRIES: usize = 500_000;

#[test]
fn and_blocks_its_last_entry_on_the_node() {
    let etcd = Etcd::start();
    let folder = PolicyFolder::of(
        "[[list]]\nsymbol = \"BLOCKED\"\nmatch = \"envelope_sender\"\nfile = \"blocked.txt\"\naction = \"reject\"\n",
    );
    let mut list = String::new();
    for n in 0..ENTRIES {
        let _ = writeln!(list, "sender{n}@list{}.blocked.example", n % 977);
    }
    fs::write(folder.path().join("blocked.txt"), &list).expect("the temp folder is ours");
    let begun = Instant::now();
    let revision = publish(folder.path(), &etcd);
    println!("{} bytes published after {:?}", list.len(), begun.elapsed());

    let begun = Instant::now();
    let node = Member::start("one", &etcd);
    println!("fetched, compiled and served after {:?}", begun.elapsed());
    let last = list.lines().last().expect("an entry");
    let verdict = node.judge(last, None).expect("a verdict");
    assert_eq!(verdict.revision.as_str(), revision);
    assert_eq!(verdict.disposition, Disposition::Reject);

    // And one entry more.
    list.push_str("one-more@blocked.example\n");
    fs::write(folder.path().join("blocked.txt"), &list).expect("the temp folder is ours");
    let dir = folder.path().to_str().expect("a path of ours");
    let told = ran(
        &["policy", "publish", dir, "--wait", "60", "--format", "json"],
        &etcd,
    )
    .expect(0)
    .json();
    println!(
        "one entry more was in force after {} s",
        told["nodes"]["seconds"]
    );
    let verdict = node
        .judge("one-more@blocked.example", None)
        .expect("a verdict");
    assert_eq!(verdict.disposition, Disposition::Reject);
}
