use millrace_proto::Disposition;
use millrace_tests::etcd::Etcd;
use millrace_tests::member::{Member, publish};

use crate::{refusing, text_refusing};

#[test]
fn with_the_last_good_policy_from_its_disk_and_follows_etcd_when_it_is_back() {
    let mut etcd = Etcd::start();
    let folder = refusing("a@blocked.example");
    let first = publish(folder.path(), &etcd);
    let mut node = Member::start("one", &etcd);
    assert!(node.process.terminate().success());

    etcd.kill_all();
    node.launch_again();
    node.wait_until_ready();
    node.process.wait_for_line("the policy is the copy on disk");
    let verdict = node.judge("a@blocked.example", None).expect("a verdict");
    assert_eq!(verdict.revision.as_str(), first);
    assert_eq!(verdict.disposition, Disposition::Reject);

    etcd.start_again();
    folder.replace(&text_refusing("b@blocked.example"));
    let second = publish(folder.path(), &etcd);
    node.wait_for_revision(&second);
}

#[test]
fn without_a_copy_it_waits_and_says_so() {
    let mut etcd = Etcd::start();
    let folder = refusing("a@blocked.example");
    let revision = publish(folder.path(), &etcd);
    etcd.kill_all();
    let mut node = Member::launch("one", &etcd.section(""), "");
    node.process.wait_for_line("waiting for a first policy");
    assert!(!node.is_ready());

    etcd.start_again();
    node.wait_until_ready();
    node.wait_for_revision(&revision);
}

#[test]
fn while_it_waits_it_can_be_told_to_end() {
    let mut etcd = Etcd::start();
    etcd.kill_all();
    let mut node = Member::launch("one", &etcd.section(""), "");
    node.process.wait_for_line("waiting for a first policy");
    assert!(node.process.terminate().success());
}
