use millrace_tests::admin::metric;
use millrace_tests::etcd::Etcd;
use millrace_tests::member::{Member, publish};
use millrace_tests::patience::until;

use crate::{ran, refusing, text_refusing};

#[test]
fn after_it_was_down() {
    let mut etcd = Etcd::start();
    let folder = refusing("a@blocked.example");
    publish(folder.path(), &etcd);
    let node = Member::start("one", &etcd);
    assert!(metric(node.admin_port(), "millrace_node_policy_unfollowed") < 0.5);

    etcd.kill_all();
    until("the node notices", || {
        metric(node.admin_port(), "millrace_node_policy_unfollowed") > 0.5
    });
    node.judge("a@blocked.example", None)
        .expect("a verdict, whatever etcd does");

    etcd.start_again();
    folder.replace(&text_refusing("b@blocked.example"));
    let second = publish(folder.path(), &etcd);
    node.wait_for_revision(&second);
    until("it is followed", || {
        metric(node.admin_port(), "millrace_node_policy_unfollowed") < 0.5
    });
    until("it is registered again", || {
        ran(&["nodes"], &etcd).code == 0
    });
}

#[test]
fn after_what_it_had_to_tell_was_compacted_meanwhile() {
    let mut etcd = Etcd::start();
    let folder = refusing("0@blocked.example");
    publish(folder.path(), &etcd);
    let node = Member::start("one", &etcd);

    // The node sleeps while its connection is lost and a history passes by.
    node.process.freeze();
    etcd.kill_all();
    etcd.start_again();
    let mut last = String::new();
    for n in 1..=3 {
        folder.replace(&text_refusing(&format!("{n}@blocked.example")));
        last = publish(folder.path(), &etcd);
    }
    etcd.compact();
    node.process.resume();
    node.wait_for_revision(&last);

    // And goes on to be told.
    folder.replace(&text_refusing("4@blocked.example"));
    node.wait_for_revision(&publish(folder.path(), &etcd));
}
