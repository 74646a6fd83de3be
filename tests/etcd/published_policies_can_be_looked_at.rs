use std::fs;

use millrace_tests::etcd::Etcd;
use millrace_tests::member::{Member, publish};
use millrace_tests::patience::until;

use crate::{ran, refusing, text_refusing};

#[test]
fn shown_fetched_rolled_back_and_pruned() {
    let etcd = Etcd::start();
    let folder = refusing("0@blocked.example");
    let mut revisions = vec![publish(folder.path(), &etcd)];
    for n in 1..5 {
        folder.replace(&text_refusing(&format!("{n}@blocked.example")));
        revisions.push(publish(folder.path(), &etcd));
    }

    for meant in ["#2", &revisions[1], &revisions[1][..8]] {
        let told = ran(&["policy", "show", meant, "--file", "policy.toml"], &etcd).expect(0);
        assert_eq!(told.stdout, text_refusing("1@blocked.example"), "{meant}");
    }
    let told = ran(&["policy", "show", "--format", "json"], &etcd)
        .expect(0)
        .json();
    assert_eq!(told["revision"].as_str(), Some(revisions[4].as_str()));
    assert_eq!(told["contents"][0]["name"], "policy.toml");
    for unknown in ["#9", "abc", "ffffffff"] {
        let told = ran(&["policy", "show", unknown], &etcd).expect(1);
        assert!(
            told.stdout.contains("is no published revision"),
            "{}",
            told.stdout
        );
    }

    let work = tempfile::tempdir().expect("a temp folder");
    let out = work.path().join("out");
    let dir = out.to_str().expect("a path of ours");
    ran(&["policy", "show", "current", "--out", dir], &etcd).expect(0);
    assert_eq!(
        fs::read_to_string(out.join("policy.toml")).expect("it is there"),
        text_refusing("4@blocked.example")
    );
    let again = ran(&["policy", "show", "current", "--out", dir], &etcd).expect(2);
    assert!(
        again.stderr.contains("nothing was written"),
        "{}",
        again.stderr
    );
    let same = ran(&["policy", "publish", dir], &etcd).expect(0);
    assert!(same.stdout.contains("in force already"), "{}", same.stdout);

    let node = Member::start("one", &etcd);
    until("it is registered", || ran(&["nodes"], &etcd).code == 0);
    let told = ran(&["policy", "rollback", "#3", "--dry-run"], &etcd).expect(0);
    assert!(told.stdout.contains(&revisions[2][..12]), "{}", told.stdout);
    let told = ran(&["policy", "rollback", "#3", "-m", "it was better"], &etcd).expect(0);
    assert!(
        told.stdout.contains("in force on 1 of 1 nodes"),
        "{}",
        told.stdout
    );
    node.wait_for_revision(&revisions[2]);
    let told = ran(&["policy", "rollback", "#3", "--from", "#5"], &etcd).expect(0);
    assert!(told.stdout.contains("in force already"), "{}", told.stdout);
    ran(&["policy", "rollback", "#1", "--from", "#5"], &etcd).expect(1);

    // Of #1 to #5 and the rollback, the last three are kept: #4, #5 and #3 again.
    let told = ran(&["policy", "prune", "--keep", "3", "--dry-run"], &etcd).expect(0);
    assert!(
        told.stdout.starts_with("would remove 2 revisions"),
        "{}",
        told.stdout
    );
    ran(&["policy", "prune", "--keep", "3"], &etcd).expect(0);
    let told = ran(&["policy", "show", "#1"], &etcd).expect(1);
    assert!(
        told.stdout.contains("is not in etcd any more"),
        "{}",
        told.stdout
    );
    for kept in ["#3", "#4", "#5", "#6"] {
        ran(&["policy", "show", kept], &etcd).expect(0);
    }
    let history = ran(&["policy", "history", "--format", "json"], &etcd)
        .expect(0)
        .json();
    assert_eq!(
        history.as_array().map(Vec::len),
        Some(6),
        "the history stays"
    );
}
