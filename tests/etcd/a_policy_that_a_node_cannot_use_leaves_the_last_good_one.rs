use std::sync::Arc;

use millrace_cluster::policy::{Base, Draft, PolicyFiles, Published};
use millrace_cluster::{Etcd as Connection, EtcdConfig};
use millrace_proto::{Disposition, Revision};
use millrace_tests::admin::metric;
use millrace_tests::etcd::Etcd;
use millrace_tests::member::{Member, publish};
use millrace_tests::patience::until;

use crate::{ran, refusing, text_refusing};

/// Publishes what this version does not understand, as a later version would.
fn publish_from_the_future(etcd: &Etcd, base: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let endpoints = etcd.endpoints();
    let config = EtcdConfig::plain(endpoints.iter().map(String::as_str)).expect("URLs");
    let text: Arc<str> = "[teleport]\nenabled = true\n".into();
    let draft = Draft {
        files: PolicyFiles::from([("policy.toml".to_owned(), text)]),
        base: Base::Revision(Revision::new(base).expect("a revision")),
        by: "tester@future".to_owned(),
        comment: "from the future".to_owned(),
        version: "99.0.0".to_owned(),
    };
    runtime
        .block_on(async {
            Published::new(Connection::new(config))
                .publish(&draft)
                .await
        })
        .expect("it is published")
        .revision
}

#[test]
fn and_is_told_in_log_metrics_and_the_list_of_nodes() {
    let etcd = Etcd::start();
    let folder = refusing("a@blocked.example");
    let good = publish(folder.path(), &etcd);
    let mut node = Member::start("one", &etcd);
    assert!(metric(node.admin_port(), "millrace_node_policy_refused") < 0.5);

    let bad = publish_from_the_future(&etcd, &good);
    let line = node
        .process
        .wait_for_line("the published policy is refused");
    assert!(
        line.contains("teleport") && line.contains("99.0.0"),
        "{line}"
    );
    until("the list of nodes says so", || {
        let told = ran(&["nodes"], &etcd);
        told.code == 1 && told.stdout.contains("refuses: policy.toml:1:")
    });
    let told = ran(&["nodes", "--format", "json"], &etcd).expect(1).json();
    assert_eq!(told["mixed"], true);
    assert_eq!(told["nodes"][0]["revision"].as_str(), Some(good.as_str()));
    assert_eq!(
        told["nodes"][0]["refused"]["revision"].as_str(),
        Some(bad.as_str())
    );
    assert!(metric(node.admin_port(), "millrace_node_policy_refused") > 0.5);
    let verdict = node.judge("a@blocked.example", None).expect("a verdict");
    assert_eq!(
        (verdict.revision.as_str(), verdict.disposition),
        (good.as_str(), Disposition::Reject)
    );

    // A restart changes nothing: the copy on disk is of the good one.
    assert!(node.process.terminate().success());
    node.launch_again();
    node.wait_until_ready();
    node.wait_for_revision(&good);

    folder.replace(&text_refusing("b@blocked.example"));
    let dir = folder.path().to_str().expect("a path of ours");
    ran(&["policy", "publish", dir, "--based-on", &bad], &etcd).expect(0);
    assert!(metric(node.admin_port(), "millrace_node_policy_refused") < 0.5);
}

#[test]
fn who_publishes_it_is_told_which_nodes_do_not_follow() {
    let etcd = Etcd::start();
    let folder = refusing("a@blocked.example");
    let good = publish(folder.path(), &etcd);
    let _node = Member::start("one", &etcd);
    until("it is registered", || ran(&["nodes"], &etcd).code == 0);
    let bad = publish_from_the_future(&etcd, &good);
    until("it refuses", || {
        ran(&["nodes"], &etcd).stdout.contains("refuses:")
    });

    // The future's policy again, by the command: the same as it is there.
    let told = ran(&["policy", "show", &bad], &etcd).expect(0);
    assert!(told.stdout.contains("from the future"), "{}", told.stdout);
    let told = ran(&["policy", "rollback", "--wait", "20"], &etcd).expect(0);
    assert!(
        told.stdout.contains("in force on 1 of 1 nodes"),
        "{}",
        told.stdout
    );
    // It cannot be rolled back to: it does not compile here.
    let told = ran(&["policy", "rollback", &bad], &etcd).expect(1);
    assert!(told.stdout.contains("teleport"), "{}", told.stdout);
}
