use millrace_proto::{CallError, Disposition};
use millrace_tests::etcd::Etcd;
use millrace_tests::member::{Member, publish};

use crate::{refusing, text_refusing};

#[test]
fn also_by_a_node_that_has_never_had_it() {
    let etcd = Etcd::start();
    let folder = refusing("a@blocked.example");
    let first = publish(folder.path(), &etcd);
    folder.replace(&text_refusing("b@blocked.example"));
    let second = publish(folder.path(), &etcd);

    let mut node = Member::start("one", &etcd);
    let verdict = node.judge("a@blocked.example", None).expect("a verdict");
    assert_eq!(
        (verdict.revision.as_str(), verdict.disposition),
        (second.as_str(), Disposition::Accept)
    );
    let verdict = node
        .judge("a@blocked.example", Some(&first))
        .expect("a verdict");
    assert_eq!(
        (verdict.revision.as_str(), verdict.disposition),
        (first.as_str(), Disposition::Reject)
    );
    node.process
        .wait_for_line("fetched the policy that a message began under");
    // It is the published one that is in force all the same.
    let verdict = node.judge("a@blocked.example", None).expect("a verdict");
    assert_eq!(verdict.revision.as_str(), second);
}

#[test]
fn and_by_none_that_was_not_published() {
    let etcd = Etcd::start();
    publish(refusing("a@blocked.example").path(), &etcd);
    let node = Member::start("one", &etcd);
    let never = "f".repeat(64);
    for _ in 0..3 {
        let error = node
            .judge("a@blocked.example", Some(&never))
            .expect_err("no verdict");
        assert!(matches!(error, CallError::UnknownRevision(_)), "{error}");
    }
}
