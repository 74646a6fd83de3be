use millrace_tests::admin;
use millrace_tests::load::Loading;
use millrace_tests::patience::until;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::servers::{Gateway, Node, Upstream};

use crate::balancer::Balancer;

#[test]
fn behind_haproxy_a_node_that_was_added_gets_its_share() {
    a_node_that_was_added_gets_its_share(Balancer::haproxy);
}

#[test]
fn behind_nginx_a_node_that_was_added_gets_its_share() {
    a_node_that_was_added_gets_its_share(Balancer::nginx);
}

/// The balancer spreads connections, and a gateway has one: without an age it would stay where it is.
fn a_node_that_was_added_gets_its_share(before: impl FnOnce([u16; 2]) -> Balancer) {
    let policy = PolicyFolder::of("");
    let aging = "max_connection_age_seconds = 1\n[drain]\ngrace_seconds = 1\n";
    let one = Node::start_with(policy.path(), aging);
    let mut two = Node::start_with(policy.path(), aging);
    assert!(two.process.terminate().success());
    let balancer = before([one.port(), two.port()]);
    let gateway = Gateway::start(&Upstream::Nodes(vec![balancer.port()]));
    let loading = Loading::begin(gateway.port());
    until("the first node judges", || judged(one.admin_port()) >= 50);

    two.start_again();
    until("the second node judges too", || {
        judged(two.admin_port()) >= 50
    });
    let (first, second) = (judged(one.admin_port()), judged(two.admin_port()));
    until("both go on", || {
        judged(one.admin_port()) >= first + 50 && judged(two.admin_port()) >= second + 50
    });

    // And one that ends costs nothing: what it was asked is answered, what comes next goes to the other.
    assert!(two.process.terminate().success());
    let first = judged(one.admin_port());
    until("the first node has all again", || {
        judged(one.admin_port()) >= first + 50
    });
    loading.end().assert_all_accepted();
}

/// Messages that a node judged; 0 when it is not there.
fn judged(admin: u16) -> u64 {
    let Some((200, metrics)) = admin::ask(admin, "/metrics") else {
        return 0;
    };
    metrics
        .lines()
        .filter(|line| {
            line.starts_with("millrace_node_verdicts_total") && line.contains("end-of-message")
        })
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
        .sum()
}
