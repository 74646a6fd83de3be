use millrace_tests::etcd::Etcd;
use millrace_tests::member::{Member, publish};
use millrace_tests::patience::until;
use serde_json::Value;

use crate::{ran, refusing};

fn nodes(etcd: &Etcd) -> Vec<Value> {
    ran(&["nodes", "--format", "json"], etcd).json()["nodes"]
        .as_array()
        .expect("a list")
        .clone()
}

#[test]
fn with_address_version_policy_and_capacity_and_goes_at_once_when_it_drains() {
    let etcd = Etcd::start();
    let revision = publish(refusing("a@blocked.example").path(), &etcd);
    let mut node = Member::start("one", &etcd);
    until("it is registered", || !nodes(&etcd).is_empty());
    let entry = nodes(&etcd).remove(0);
    assert_eq!(entry["address"].as_str(), Some(node.address().as_str()));
    assert_eq!(entry["name"], "one");
    assert_eq!(entry["version"].as_str(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(entry["revision"].as_str(), Some(revision.as_str()));
    assert!(entry["capacity"].as_u64() > Some(0), "{entry}");

    assert!(node.process.terminate().success());
    assert!(
        nodes(&etcd).is_empty(),
        "withdrawn before the process ended"
    );
}

#[test]
fn a_node_that_is_killed_is_gone_when_its_lease_is_over() {
    let etcd = Etcd::start();
    publish(refusing("a@blocked.example").path(), &etcd);
    let mut node = Member::start("one", &etcd);
    until("it is registered", || !nodes(&etcd).is_empty());
    node.process.kill();
    until("the lease is over", || nodes(&etcd).is_empty());
}

#[test]
fn an_entry_that_is_lost_comes_back() {
    let etcd = Etcd::start();
    publish(refusing("a@blocked.example").path(), &etcd);
    let node = Member::start("one", &etcd);
    until("it is registered", || !nodes(&etcd).is_empty());

    etcd.ctl(&["del", "--prefix", "/millrace/node/"]);
    until("it registered again", || !nodes(&etcd).is_empty());

    let leases = etcd.ctl(&["lease", "list"]);
    let lease = leases.lines().nth(1).expect("a lease");
    etcd.ctl(&["lease", "revoke", lease]);
    until("it has another lease", || {
        !nodes(&etcd).is_empty() && !etcd.ctl(&["lease", "list"]).contains(lease)
    });
    assert!(node.is_ready());
}
