use std::fs;

use millrace_proto::Disposition;
use millrace_tests::etcd::Etcd;
use millrace_tests::member::{Member, publish};
use millrace_tests::patience::until;
use millrace_tests::ran::millrace;

use crate::{ran, refusing, text_refusing};

#[test]
fn nodes_wait_for_the_first_and_take_up_each_that_follows() {
    let etcd = Etcd::start();
    let mut nodes = ["one", "two"].map(|name| Member::launch(name, &etcd.section(""), ""));
    for node in &mut nodes {
        node.process.wait_for_line("no policy is published");
        assert!(!node.is_ready(), "there is nothing to judge by");
    }
    let folder = refusing("first@blocked.example");
    let first = publish(folder.path(), &etcd);
    for node in &mut nodes {
        node.wait_until_ready();
        let verdict = node
            .judge("first@blocked.example", None)
            .expect("a verdict");
        assert_eq!(verdict.revision.as_str(), first);
        assert_eq!(verdict.disposition, Disposition::Reject);
    }
    until("both are registered", || {
        ran(&["nodes", "--format", "json"], &etcd).json()["nodes"]
            .as_array()
            .is_some_and(|nodes| nodes.len() == 2)
    });

    folder.replace(&text_refusing("second@blocked.example"));
    let dir = folder.path().to_str().expect("a path of ours");
    let told = ran(
        &[
            "policy",
            "publish",
            dir,
            "-m",
            "the second",
            "--format",
            "json",
        ],
        &etcd,
    )
    .expect(0)
    .json();
    assert_eq!(told["nodes"]["following"], 2, "{told}");
    println!(
        "in force on both nodes after {} s",
        told["nodes"]["seconds"]
    );
    let second = told["publication"]["revision"]
        .as_str()
        .expect("a revision");
    assert_eq!(told["publication"]["parent"].as_str(), Some(first.as_str()));
    for node in &nodes {
        let verdict = node
            .judge("first@blocked.example", None)
            .expect("a verdict");
        assert_eq!(verdict.revision.as_str(), second);
        assert_eq!(verdict.disposition, Disposition::Accept);
    }

    // As people see it.
    let told = ran(&["nodes"], &etcd).expect(0);
    assert!(
        told.stdout.contains("2 nodes, 0 with another policy"),
        "{}",
        told.stdout
    );
    let told = ran(&["policy", "history"], &etcd).expect(0);
    assert!(told.stdout.starts_with("#2 "), "{}", told.stdout);
    assert!(told.stdout.contains("the second"), "{}", told.stdout);
}

#[test]
fn what_does_not_compile_never_reaches_etcd() {
    let etcd = Etcd::start();
    let folder = refusing("a@blocked.example");
    fs::write(folder.path().join("policy.toml"), "[[list]]\nsymbol = 1\n").expect("ours");
    let dir = folder.path().to_str().expect("a path of ours");
    let told = ran(&["policy", "publish", dir], &etcd).expect(1);
    assert!(told.stdout.contains("policy.toml:2:"), "{}", told.stdout);
    assert!(told.stdout.contains("not published"), "{}", told.stdout);
    assert_eq!(etcd.ctl(&["get", "--prefix", "/millrace/"]), "");
    ran(&["policy", "history"], &etcd).expect(1);
}

#[test]
fn etcd_that_is_away_is_told_with_what_to_do() {
    let folder = refusing("a@blocked.example");
    let dir = folder.path().to_str().expect("a path of ours");
    let told = millrace(["policy", "publish", dir]).expect(2);
    assert!(
        told.stderr.contains("--etcd http://HOST:2379"),
        "{}",
        told.stderr
    );
    let told = millrace(["policy", "publish", dir, "--etcd", "http://127.0.0.1:9"]).expect(2);
    assert!(
        told.stderr
            .contains("etcd cannot be reached at http://127.0.0.1:9"),
        "{}",
        told.stderr
    );
    let told = millrace(["nodes", "--etcd", "127.0.0.1:2379"]).expect(2);
    assert!(told.stderr.contains("http://HOST:2379"), "{}", told.stderr);
}
