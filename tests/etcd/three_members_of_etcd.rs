use millrace_tests::etcd::Etcd;
use millrace_tests::member::{Member, publish};
use millrace_tests::patience::until;

use crate::{ran, refusing, text_refusing};

#[test]
fn one_killed_one_frozen_the_leader_moved_all_down_and_back_stop_nothing() {
    let mut etcd = Etcd::start_three();
    let folder = refusing("0@blocked.example");
    publish(folder.path(), &etcd);
    let nodes = ["one", "two"].map(|name| Member::start(name, &etcd));
    let mut turn = 0;
    let mut publish_and_wait = |etcd: &Etcd, what: &str| {
        turn += 1;
        folder.replace(&text_refusing(&format!("{turn}@blocked.example")));
        let revision = publish(folder.path(), etcd);
        for node in &nodes {
            node.wait_for_revision(&revision);
        }
        until(&format!("both are registered, {what}"), || {
            let told = ran(&["nodes"], etcd);
            told.code == 0 && told.stdout.contains("2 nodes, 0 with")
        });
    };
    publish_and_wait(&etcd, "all is well");

    etcd.move_leader();
    publish_and_wait(&etcd, "the leader moved");

    let leader = etcd.leader();
    etcd.kill(leader);
    publish_and_wait(&etcd, "the leader was killed");
    etcd.start_again();

    // It accepts connections and never answers.
    let leader = etcd.leader();
    etcd.freeze(leader);
    publish_and_wait(&etcd, "the leader stopped");
    etcd.resume(leader);

    etcd.kill_all();
    for node in &nodes {
        node.judge("0@blocked.example", None).expect("a verdict");
    }
    etcd.start_again();
    publish_and_wait(&etcd, "all were down");
}
