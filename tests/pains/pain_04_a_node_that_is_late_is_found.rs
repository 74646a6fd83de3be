//! The complaint: one thing that cannot be reached at start-up is switched off for good, and only
//! a restart brings it back.
//!
//! Here: a gateway that starts before its node says that it is not ready, puts mail off, and finds
//! the node when it comes.

use millrace_tests::admin;
use millrace_tests::milter::Sender;
use millrace_tests::patience::until;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::servers::{Gateway, Node, Upstream};

use crate::support::{STAMP, ordinary};

#[test]
fn mail_waits_until_the_node_is_there_and_then_passes() {
    let policy = PolicyFolder::of(STAMP);
    let mut node = Node::start(policy.path());
    node.process.kill();
    let mut gateway = Gateway::launch(&Upstream::Nodes(vec![node.port()]), &[], "");
    gateway.process.wait_for_port(gateway.port());
    let answer = Sender::connect(gateway.port()).send(ordinary()).answer();
    assert!(answer.contains("(no-node; "), "{answer}");
    let ready = |gateway: &Gateway| {
        admin::ask(gateway.admin_port(), "/readyz").is_some_and(|(status, _)| status == 200)
    };
    assert!(!ready(&gateway));

    node.start_again();
    until("the gateway is ready", || ready(&gateway));
    let mail = Sender::connect(gateway.port()).send(ordinary());
    assert_eq!(mail.answer(), "accept");
    assert_eq!(mail.added("X-Judged"), ["yes"], "{mail:?}");
}
