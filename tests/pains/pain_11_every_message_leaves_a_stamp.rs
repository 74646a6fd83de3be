//! The complaint: input that is malformed enough slips past the filter's end-of-message hook, and
//! the message that is delivered looks as if there were no filter.
//!
//! Here: whatever a message lacks, it reaches the end, is judged, and leaves a header in the
//! message and a line in the log.

use bytes::Bytes;
use millrace_milter::mta::Message;
use millrace_milter::{Actions, Command, RawPath, Response, Steps};
use millrace_tests::milter::{Sender, Wire};
use millrace_tests::servers::{Gateway, Upstream};
use millrace_tests::verdicts;

use crate::support::JSON;

fn headers(headers: &[(&'static [u8], &'static [u8])], body: &'static [u8]) -> Message {
    Message {
        headers: headers
            .iter()
            .map(|(name, value)| (Bytes::from_static(name), Bytes::from_static(value)))
            .collect(),
        body: Bytes::from_static(body),
        ..Message::parse(b"")
    }
}

#[test]
fn whatever_it_lacks() {
    let gateway = Gateway::start_with(&Upstream::Embedded(None), JSON, "");
    let mut server = Sender::connect(gateway.port());
    for (n, (what, message)) in [
        ("no header and no body", headers(&[], b"")),
        ("no header", headers(&[], b"a body\r\n")),
        ("no body", headers(&[(b"Subject", b" a")], b"")),
        ("a header without a name", headers(&[(b"", b" a")], b"x")),
        (
            "a name with blanks",
            headers(&[(b"Not A Name", b" a")], b"x"),
        ),
        (
            "a value with a bare CR",
            headers(&[(b"Subject", b" a\rb")], b"x"),
        ),
        (
            "a value with bare line ends",
            headers(&[(b"Subject", b" a\n\nTo: b\n")], b"x"),
        ),
        (
            "a boundary that never comes",
            headers(&[(b"Content-Type", b" multipart/mixed; boundary=q")], b"x"),
        ),
        (
            "an encoding that nobody knows",
            headers(&[(b"Content-Transfer-Encoding", b" x-zz")], b"\0\xff"),
        ),
        (
            "a body without a line end",
            headers(&[(b"From", b" a@b")], b"no end"),
        ),
        (
            "a body of dots and CRs",
            headers(&[(b"From", b" a@b")], b".\r.\n\r\r\n.\r\n"),
        ),
        (
            "many recipients",
            Message {
                recipients: vec![RawPath::new(&b"<>"[..]); 500],
                ..headers(&[(b"From", b" a@b")], b"x")
            },
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mail = server.send(message);
        assert_eq!(mail.answer(), "accept", "{what}");
        assert_eq!(mail.added("X-Millrace-Status").len(), 1, "{what}: {mail:?}");
        assert_eq!(
            verdicts::nth(&gateway, n)["stage"],
            "end-of-message",
            "{what}"
        );
    }
}

#[test]
fn whatever_steps_the_mail_server_leaves_out() {
    let gateway = Gateway::start(&Upstream::Embedded(None));
    let path = || RawPath::new(&b"<a@origin.example>"[..]);
    let (mut wire, _) = Wire::negotiated(gateway.port(), 6, Actions::ALL, Steps::NONE);
    for left_out in ["nothing before the end", "an end that carries the body"] {
        for command in [Command::Mail(path()), Command::Rcpt(path())] {
            assert_eq!(wire.ask(command), Response::Continue, "{left_out}");
        }
        wire.send(&[Command::EndOfBody(Bytes::from("all of it\r\n"))]);
        let mut stamped = false;
        let last = loop {
            match wire.response() {
                Response::AddHeader { name, .. } | Response::InsertHeader { name, .. } => {
                    stamped |= name == "X-Millrace-Status";
                }
                last => break last,
            }
        };
        assert!(stamped, "{left_out}");
        assert!(
            matches!(last, Response::Accept | Response::Continue),
            "{left_out}: {last:?}"
        );
    }
}
