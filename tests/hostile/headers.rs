//! Headers and addresses that are too long, too many, or no text.

use bytes::Bytes;
use millrace_milter::RawPath;
use millrace_milter::mta::{Client, Flavour, Message};
use millrace_tests::milter::Sender;

use crate::attacked::{Attacked, raw, typed};

fn header(name: impl Into<Bytes>, value: impl Into<Bytes>) -> (Bytes, Bytes) {
    (name.into(), value.into())
}

#[test]
fn one_of_a_megabyte() {
    let words = b" word".repeat(200_000);
    let folded = b"\n folded".repeat(120_000);
    let encoded = b" =?utf-8?Q?=41?=".repeat(60_000);
    let references = b" <a@b.example>".repeat(70_000);
    Attacked::both_ways(|attacked| {
        for (name, value) in [
            ("Subject", &words),
            ("Subject", &folded),
            ("Subject", &encoded),
            ("References", &references),
            ("To", &references),
            ("Content-Type", &words),
        ] {
            let message = raw(vec![header(name, value.clone())], "x");
            attacked.finds("LIMIT_HEADER_LINE", "a header of 1 MB", message);
        }
    });
}

#[test]
fn one_that_no_frame_holds_is_put_off() {
    let mut attacked = Attacked::embedded();
    let message = raw(vec![header("Subject", vec![b'x'; 4 << 20])], "x");
    let mail = Sender::connect(attacked.gateway.port()).send(message);
    assert_eq!(mail.answer(), "Tempfail");
    attacked.is_well("a header of 4 MiB");
}

#[test]
fn a_hundred_thousand_of_them() {
    let headers: Vec<_> = (0..100_000)
        .map(|n| header(format!("X-{n}"), Bytes::from_static(b" x")))
        .collect();
    Attacked::both_ways(|attacked| {
        attacked.finds(
            "LIMIT_HEADERS",
            "100,000 headers",
            raw(headers.clone(), "x"),
        );
    });
}

#[test]
fn a_hundred_thousand_of_one_name_that_the_filter_removes() {
    let ours = header(
        Bytes::from_static(b"X-Millrace-Status"),
        Bytes::from_static(b" forged"),
    );
    let mut attacked = Attacked::embedded();
    attacked.finds(
        "LIMIT_HEADERS",
        "forged headers",
        raw(vec![ours; 100_000], "x"),
    );
}

#[test]
fn nul_and_invalid_utf8_in_headers_body_and_addresses() {
    let odd: [&'static [u8]; 6] = [
        b"\xff\xfe",
        b"\xc3\x28",
        b"\xed\xa0\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\x1b[2J\x07\x08",
        b"\x80",
    ];
    Attacked::both_ways(|attacked| {
        for bytes in odd {
            let value = [b" a", bytes, b"b"].concat();
            let address = [b"<", bytes, b"@b.example>"].concat();
            let message = Message {
                sender: RawPath {
                    address: address.clone().into(),
                    parameters: vec![Bytes::from_static(bytes)],
                },
                recipients: vec![RawPath::new(address)],
                ..raw(
                    vec![
                        header("From", value.clone()),
                        header([b"X-", bytes].concat(), value.clone()),
                        header("Content-Type", [b" text/plain; charset=", bytes].concat()),
                    ],
                    [bytes, b"\0\0", bytes].concat(),
                )
            };
            attacked.finds("BODY_NUL", "bytes that are no text", message);
        }
        // A NUL ends a string on the wire: what follows is cut off, or a stray argument.
        let message = Message {
            sender: RawPath::new(&b"<a\0b@c.example>"[..]),
            ..raw(
                vec![header("Subj\0ect", &b" a\0b"[..]), header("\0", "\0")],
                "\0",
            )
        };
        attacked.survives("NUL everywhere", message);
    });
}

#[test]
fn clients_whose_names_are_no_text() {
    let mut attacked = Attacked::embedded();
    for name in [&b"\xff\xfe"[..], b"", b"\x1b]0;title\x07", &[b'h'; 60_000]] {
        let client = Client {
            host: Bytes::copy_from_slice(name),
            helo: Bytes::copy_from_slice(name),
            macros: vec![("{auth_authen}".to_owned(), Bytes::copy_from_slice(name))],
            ..Client::default()
        };
        let mut server = Sender::connect_as(attacked.gateway.port(), Flavour::Postfix, client);
        assert_eq!(server.send(typed("text/plain", "x")).answer(), "accept");
    }
    attacked.is_well("names that are no text");
    let log = attacked.gateway.log();
    assert!(
        !log.contains('\x1b') && !log.contains('\x07'),
        "the log moves no cursor"
    );
}
