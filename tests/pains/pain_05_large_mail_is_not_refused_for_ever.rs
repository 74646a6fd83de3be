//! The complaint: a message above some buffer's size is answered "try again later" each time, for
//! days, and bounces in the end.
//!
//! Here: there is one declared limit. What is above it is refused for good, at MAIL if its size is
//! declared; what is below passes whatever memory there is; and the failure table has a row for it.

use bytes::Bytes;
use millrace_milter::mta::Message;
use millrace_tests::milter::Sender;
use millrace_tests::ports::Port;
use millrace_tests::scripted_node::{Script, ScriptedNode};
use millrace_tests::servers::{Gateway, Upstream};

use crate::support::{client, ordinary};

fn of_size(size: usize) -> Message {
    Message::parse(&millrace_tests::message::of_size(size))
}

#[test]
fn above_the_limit_it_is_refused_for_good() {
    let node = ScriptedNode::start(Script::default().up_to(10_000));
    let gateway = Gateway::start(&Upstream::Nodes(vec![node.port()]));
    let mut server = Sender::connect(gateway.port());
    let mail = server.send(of_size(20_000));
    assert!(mail.answer().starts_with("552 5.3.4 "), "{mail:?}");

    let mut declared = ordinary();
    declared.sender.parameters = vec![Bytes::from("SIZE=20000")];
    let mail = server.send(declared);
    assert!(mail.answer().starts_with("552 5.3.4 "), "{mail:?}");
    assert_eq!(mail.outcome.at, b'M', "before anything is sent");

    assert_eq!(server.send(of_size(9_000)).answer(), "accept");
    assert_eq!(node.judged().len(), 1);
}

#[test]
fn a_row_of_its_own_lets_it_pass_marked() {
    let (node, port) = (
        ScriptedNode::start(Script::default().up_to(10_000)),
        Port::reserve(),
    );
    let configuration = client("lists", port.number(), "")
        + "[[failure]]\nclient = \"lists\"\nkinds = [\"oversize\"]\naction = \"accept-and-stamp\"\n";
    let _gateway = Gateway::start_with(&Upstream::Nodes(vec![node.port()]), &[], &configuration);
    let mail = Sender::connect(port.number()).send(of_size(20_000));
    assert_eq!(mail.answer(), "accept");
    assert!(
        mail.added("X-Millrace-Unscanned")[0].starts_with("oversize"),
        "{mail:?}"
    );
}

#[test]
fn below_the_limit_it_passes_whatever_memory_there_is() {
    let node = ScriptedNode::start(Script::default());
    let little = "[limits]\nmemory_mib = 1\nspool_above_kib = 64\n";
    let gateway = Gateway::start_with(&Upstream::Nodes(vec![node.port()]), &[], little);
    let content = millrace_tests::message::of_size(24 << 20);
    let mail = Sender::connect(gateway.port()).send(Message::parse(&content));
    assert_eq!(mail.answer(), "accept");
    assert!(node.judged()[0].content == content, "to the byte");
}
