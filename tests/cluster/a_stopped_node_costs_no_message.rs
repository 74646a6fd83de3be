use millrace_tests::patience::until;

use crate::load::Load;
use crate::{Cluster, MARK};

/// A process that is stopped holds its connections and answers nothing.
#[test]
fn one_of_three_is_stopped_under_load_and_goes_on_later() {
    let cluster = Cluster::of(3, MARK, "");
    let load = Load::begin(cluster.gateway.port(), 3000, 50);
    until("mail flows", || cluster.answered() > 300);
    cluster.nodes[1].process.freeze();
    until("it is ejected", || {
        cluster.metric("millrace_gateway_node_ejected") == 1.0
            || cluster.metric("millrace_gateway_node_serving") == 2.0
    });
    load.all_accepted();
    assert_eq!(cluster.metric("millrace_gateway_failures_total"), 0.0);
    assert!(cluster.metric("millrace_gateway_hedges_won_total") > 0.0);

    cluster.nodes[1].process.resume();
    cluster.serving(3);
    let before = cluster.calls(1, "ok");
    until("it is asked again", || {
        Load::begin(cluster.gateway.port(), 200, 20).all_accepted();
        cluster.calls(1, "ok") > before
    });
    assert_eq!(cluster.metric("millrace_gateway_node_ejected"), 0.0);
}

/// Too large to be asked twice at once: the connection's pings find the node out, and another one is asked.
#[test]
fn a_large_message_in_the_hands_of_a_stopped_node_is_judged_by_another() {
    let cluster = Cluster::of(2, MARK, "[limits]\nspool_above_kib = 64\n");
    cluster.nodes[0].process.freeze();
    let large = millrace_tests::message::simple(&"x".repeat(200_000));
    let large = millrace_milter::mta::Message::parse(&large);
    until("the stopped node was asked", || {
        let mut server = millrace_tests::milter::Sender::connect(cluster.gateway.port());
        let mail = server.send(large.clone());
        assert_eq!(mail.answer(), "accept");
        assert_eq!(mail.added("X-Judged"), ["yes"]);
        cluster.calls(0, "lost") + cluster.calls(0, "deadline") > 0
            || cluster.metric("millrace_gateway_node_serving") == 1.0
    });
    assert_eq!(cluster.metric("millrace_gateway_hedges_total"), 0.0);
}
