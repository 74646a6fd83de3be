//! The complaint: a scan that did not happen in time leaves no trace, or one that reads like "no
//! virus found".
//!
//! Here: that a message was not looked at is said in the message, in the log and in the metrics.

use millrace_tests::milter::Sender;
use millrace_tests::ports::Port;
use millrace_tests::scripted_node::{Script, ScriptedNode};
use millrace_tests::servers::{Gateway, Upstream};
use millrace_tests::verdicts;

use crate::support::{JSON, client, counted, ordinary, transaction_in};

#[test]
fn a_message_that_passes_unjudged_says_so_everywhere() {
    let slow = Script::default().slowly(std::time::Duration::from_secs(600));
    let (node, port) = (ScriptedNode::start(slow), Port::reserve());
    let configuration = client("open", port.number(), "deadline_seconds = 1")
        + "[[failure]]\nkinds = [\"deadline\"]\naction = \"accept-and-stamp\"\n";
    let gateway = Gateway::start_with(&Upstream::Nodes(vec![node.port()]), JSON, &configuration);

    let mail = Sender::connect(port.number()).send(ordinary());
    assert_eq!(mail.answer(), "accept");
    let stamps = mail.added("X-Millrace-Unscanned");
    let [stamp] = &stamps[..] else {
        panic!("one stamp: {mail:?}")
    };
    assert!(stamp.starts_with("deadline; "), "{stamp}");
    let line = verdicts::nth(&gateway, 0);
    assert_eq!(line["transaction_id"], transaction_in(stamp), "{line}");
    assert_eq!(line["unscanned"][0]["reason"], "deadline", "{line}");
    let counter = "millrace_gateway_failures_total{client=\"open\",kind=\"deadline\",action=\"accept-and-stamp\"}";
    counted(&gateway, counter, 1.0);
}
