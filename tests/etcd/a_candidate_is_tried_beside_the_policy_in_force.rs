use millrace_proto::Disposition;
use millrace_tests::admin::metric;
use millrace_tests::etcd::Etcd;
use millrace_tests::member::{Member, publish};
use millrace_tests::patience::until;

use crate::{ran, refusing};

const SENDER: &str = "a@blocked.example";

/// Has the node judge until the candidate has had a look at it: it passes by what comes while it is busy.
fn judge_until(node: &Member, what: &str, count: &str) {
    until(what, || {
        let verdict = node.judge(SENDER, None).expect("a verdict");
        assert_eq!(
            verdict.disposition,
            Disposition::Accept,
            "the candidate decides nothing"
        );
        metric(node.admin_port(), count) > 0.5
    });
}

#[test]
fn on_all_nodes_and_decides_nothing() {
    let etcd = Etcd::start();
    publish(refusing("nobody@blocked.example").path(), &etcd);
    let mut node = Member::start("one", &etcd);
    assert_eq!(ran(&["policy", "shadow"], &etcd).code, 1, "none is tried");

    let candidate = refusing(SENDER);
    let dir = candidate.path().to_str().expect("a path of ours");
    let told = ran(&["policy", "shadow", dir, "--share", "100%"], &etcd).expect(0);
    assert!(
        told.stdout.contains("judges 100 % of the messages"),
        "{}",
        told.stdout
    );
    node.process
        .wait_for_line("a candidate is tried beside the policy in force");
    judge_until(
        &node,
        "a difference is counted",
        "millrace_node_shadow_dispositions_total{from=\"accept\",to=\"reject\"}",
    );
    assert!(
        metric(
            node.admin_port(),
            "millrace_node_shadow_symbols_total{symbol=\"BLOCKED\",change=\"raised\"}"
        ) > 0.5
    );
    let line = node.process.wait_for_line("millrace::shadow");
    for part in [
        "disposition=accept",
        "candidate_disposition=reject",
        "+BLOCKED",
        "transaction_id=",
        "client=mx",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let history = ran(&["policy", "history", "--format", "json"], &etcd)
        .expect(0)
        .json();
    assert_eq!(
        history.as_array().map(Vec::len),
        Some(1),
        "it was not published"
    );

    ran(&["policy", "shadow", "off"], &etcd).expect(0);
    node.process.wait_for_line("no candidate is tried any more");
    assert_eq!(ran(&["policy", "shadow"], &etcd).code, 1);
}

#[test]
fn out_of_a_folder_on_a_machine_without_etcd() {
    let etcd = Etcd::start();
    publish(refusing("nobody@blocked.example").path(), &etcd);
    let candidate = refusing(SENDER);
    let shadow = format!(
        "[shadow]\npolicy = {:?}\nshare = 1.0\nconcurrent = 2",
        candidate.path()
    );
    let mut node = Member::launch("one", &etcd.section(""), &shadow);
    node.wait_until_ready();
    judge_until(
        &node,
        "a difference is counted",
        "millrace_node_shadow_messages_total{result=\"different\"}",
    );
}

#[test]
fn what_does_not_compile_is_not_tried() {
    let etcd = Etcd::start();
    let broken = millrace_tests::policy::PolicyFolder::of("nonsense = 1\n");
    let dir = broken.path().to_str().expect("a path of ours");
    let told = ran(&["policy", "shadow", dir], &etcd).expect(1);
    assert!(told.stdout.contains("policy.toml:1:1"), "{}", told.stdout);
    let told = ran(&["policy", "shadow", "#7"], &etcd).expect(1);
    assert!(
        told.stdout.contains("nor is it a folder"),
        "{}",
        told.stdout
    );
}
