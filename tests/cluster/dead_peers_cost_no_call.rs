use millrace_milter::mta::Message;
use millrace_tests::message;
use millrace_tests::milter::Sender;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::ports::Port;
use millrace_tests::servers::{Gateway, Node, Upstream};

use crate::MARK;

#[test]
fn two_addresses_of_three_are_dead_and_200_of_200_are_judged() {
    let policy = PolicyFolder::of(MARK);
    let node = Node::start(policy.path());
    let dead = [Port::reserve(), Port::reserve()];
    let upstream = Upstream::Nodes(vec![dead[0].number(), node.port(), dead[1].number()]);
    let gateway = Gateway::start(&upstream);
    for n in 0..200 {
        let mail = Sender::connect(gateway.port()).send(Message::parse(&message::simple("x")));
        assert_eq!(mail.answer(), "accept", "{n}");
        assert_eq!(mail.added("X-Judged"), ["yes"], "{n}");
    }
}
