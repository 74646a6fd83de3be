//! The complaint: whether mail passes or waits while the filter is down is one switch for
//! everything, and whichever way it stands it is wrong for somebody.
//!
//! Here: a table of client × direction × kind of failure says what is done.

use millrace_tests::milter::Sender;
use millrace_tests::ports::Port;

use crate::support::{client, gateway_without_a_node, ordinary};

#[test]
fn each_client_direction_and_kind_has_its_own_answer() {
    let ports = [(); 4].map(|()| Port::reserve());
    let [inbound, outbound, strict, holding] = ports.each_ref().map(Port::number);
    let configuration = [
        client("mx", inbound, "direction = \"inbound\"\nmessage_size_kib = 1"),
        client("users", outbound, "direction = \"outbound\"\nmessage_size_kib = 1"),
        client("strict", strict, "direction = \"outbound\""),
        client("holding", holding, ""),
        "[[failure]]\nclient = \"strict\"\naction = \"reject\"\n\
         [[failure]]\nclient = \"holding\"\nkinds = [\"no-node\", \"deadline\"]\naction = \"hold\"\n\
         [[failure]]\ndirection = \"outbound\"\nkinds = [\"no-node\"]\naction = \"accept-and-stamp\"\n"
            .to_owned(),
    ]
    .concat();
    let gateway = gateway_without_a_node(&configuration);

    let mail = Sender::connect(inbound).send(ordinary());
    assert!(
        mail.answer().starts_with("451 4.3.0 "),
        "closed, by default: {mail:?}"
    );

    let mail = Sender::connect(strict).send(ordinary());
    assert!(
        mail.answer().starts_with("554 5.3.0 "),
        "the first row that fits: {mail:?}"
    );

    let mail = Sender::connect(outbound).send(ordinary());
    assert_eq!(mail.answer(), "accept", "open for users: {mail:?}");
    let stamps = mail.added("X-Millrace-Unscanned");
    assert!(
        matches!(&stamps[..], [stamp] if stamp.starts_with("no-node")),
        "and marked: {mail:?}"
    );

    let mail = Sender::connect(holding).send(ordinary());
    let held = mail
        .outcome
        .held()
        .map(|reason| String::from_utf8_lossy(reason).into_owned());
    assert_eq!(mail.answer(), "accept", "{mail:?}");
    assert!(
        held.is_some_and(|reason| reason.contains("no-node")),
        "{mail:?}"
    );

    for port in [inbound, outbound] {
        let mut large = ordinary();
        large.body = vec![b'x'; 4096].into();
        let mail = Sender::connect(port).send(large);
        assert!(
            mail.answer().starts_with("552 5.3.4 "),
            "another kind, another row: {mail:?}"
        );
    }
    drop(gateway);
}
