//! The complaint: the mail server has the filter's address pinned, and one restart of the filter
//! breaks mail until somebody restarts the mail server too.
//!
//! Here: the gateway holds the mail server's connection, and nodes behind it are restarted one
//! after the other while messages pass on it.

use millrace_tests::milter::Sender;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::servers::{Gateway, Node, Upstream};

use crate::support::{STAMP, ordinary};

#[test]
fn each_node_is_restarted_on_its_port_and_one_milter_connection_lasts() {
    let policy = PolicyFolder::of(STAMP);
    let mut nodes = [(); 2].map(|()| Node::start(policy.path()));
    let ports = nodes.iter().map(Node::port).collect();
    let gateway = Gateway::start(&Upstream::Nodes(ports));
    let mut server = Sender::connect(gateway.port());
    let mut passes = |when: &str| {
        for _ in 0..5 {
            let mail = server.send(ordinary());
            assert_eq!(mail.answer(), "accept", "{when}");
            assert_eq!(mail.added("X-Judged"), ["yes"], "{when}");
        }
    };
    passes("both nodes are there");
    for node in &mut nodes {
        node.process.kill();
        passes("one is killed");
        node.start_again();
        passes("it is back");
    }
    nodes[0].process.terminate();
    passes("one was stopped in good order");
}
