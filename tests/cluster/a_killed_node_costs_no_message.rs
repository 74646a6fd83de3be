use millrace_tests::patience::until;

use crate::load::Load;
use crate::{Cluster, MARK};

#[test]
fn one_of_three_is_killed_under_load_and_comes_back() {
    let mut cluster = Cluster::of(3, MARK, "");
    let load = Load::begin(cluster.gateway.port(), 3000, 50);
    until("mail flows", || cluster.answered() > 300);
    cluster.nodes[1].process.kill();
    cluster.serving(2);
    let before = cluster.answered();
    until("mail flows without it", || {
        cluster.answered() > before + 300
    });
    cluster.nodes[1].start_again();
    load.all_accepted();
    cluster.serving(3);
    assert_eq!(cluster.metric("millrace_gateway_failures_total"), 0.0);
    let judged: usize = (0..3).map(|node| cluster.calls(node, "ok")).sum();
    assert_eq!(judged, 3000, "each message has one verdict");
}

#[test]
fn each_is_killed_in_turn_under_load() {
    let mut cluster = Cluster::of(3, MARK, "");
    let load = Load::begin(cluster.gateway.port(), 3000, 20);
    for node in 0..3 {
        let before = cluster.answered();
        until("mail flows", || cluster.answered() > before + 100);
        cluster.nodes[node].process.kill();
        cluster.serving(2);
        cluster.nodes[node].start_again();
        cluster.serving(3);
    }
    load.all_accepted();
    assert_eq!(cluster.metric("millrace_gateway_failures_total"), 0.0);
}
