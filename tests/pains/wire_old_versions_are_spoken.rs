//! Seen in other filters: a mail server that speaks a version below 6 is sent away.
//!
//! Here: every version since 2 is spoken, from the offer to a verdict with edits; a newer one is
//! answered with 6; and version 1, which nobody can speak, is told so in the log.

use bytes::Bytes;
use millrace_milter::{Actions, Command, Offer, RawPath, Response, Steps};
use millrace_tests::milter::Wire;
use millrace_tests::patience::until;
use millrace_tests::servers::{Gateway, Upstream};

#[test]
fn from_2_to_6_and_beyond() {
    let gateway = Gateway::start(&Upstream::Embedded(None));
    for (offered, actions, steps, spoken) in [
        (2, 0x3f, 0x7f, 2),
        (3, 0x3f, 0x17f, 3),
        (4, 0x3f, 0x37f, 4),
        (5, 0x3f, 0x37f, 5),
        (6, 0x1ff, 0, 6),
        (7, 0x1ff, 0, 6),
    ] {
        let (mut wire, agreed) =
            Wire::negotiated(gateway.port(), offered, Actions(actions), Steps(steps));
        let Response::Negotiate { version, steps, .. } = agreed else {
            unreachable!("it was checked")
        };
        assert_eq!(version, spoken);
        let path = RawPath::new(&b"<a@b.example>"[..]);
        let header = Command::Header {
            name: Bytes::from("Subject"),
            value: Bytes::from("a"),
        };
        for (command, off) in [
            (Command::Mail(path.clone()), Steps::NO_MAIL),
            (Command::Rcpt(path), Steps::NO_RCPT),
            (header, Steps::NO_HEADERS),
            (Command::EndOfHeaders, Steps::NO_END_OF_HEADERS),
            (Command::Body(Bytes::from("body\r\n")), Steps::NO_BODY),
        ] {
            if off == Steps::NONE || !steps.contains(off) {
                assert_eq!(wire.ask(command), Response::Continue, "version {offered}");
            }
        }
        let edit = wire.ask(Command::EndOfBody(Bytes::new()));
        assert!(edit.is_edit(), "version {offered}: {edit:?}");
        let last = wire.response();
        assert!(
            matches!(last, Response::Accept | Response::Continue),
            "version {offered}: {last:?}"
        );
    }
}

#[test]
fn version_1_is_named() {
    let gateway = Gateway::start(&Upstream::Embedded(None));
    let mut wire = Wire::connect(gateway.port());
    wire.send(&[Command::Offer(Offer {
        version: 1,
        actions: Actions(0xf),
        steps: Steps(0x3f),
    })]);
    wire.rest();
    until("it is logged", || gateway.log().contains("version 1"));
}
