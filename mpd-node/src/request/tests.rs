//! What parsing promises for any message, and for the shapes that mail comes in.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

mod hostile;

fn parse(content: impl Into<Vec<u8>>) -> Message {
    Message::parse(Bytes::from(content.into()), &Limits::default())
}

/// `text` as a message with LF, and with CRLF.
fn both_forms(text: &str) -> [Message; 2] {
    [parse(text), parse(text.replace('\n', "\r\n"))]
}

/// Type, parent and body of each part.
fn outline(message: &Message) -> Vec<(String, Option<usize>, String)> {
    let row = |part: &Part| {
        let kind = format!("{}/{}", part.content_type.main, part.content_type.sub);
        let body = String::from_utf8_lossy(&part.body).replace("\r\n", "\n");
        (
            kind,
            part.parent,
            if part.container { String::new() } else { body },
        )
    };
    message.parts().iter().map(row).collect()
}

fn has(message: &Message, kind: DefectKind) -> bool {
    message.defects().iter().any(|defect| defect.kind == kind)
}

/// Header block, separator and body are the message; each part lies within its container, after the part before it.
fn check_ranges(message: &Message) {
    let whole = [message.header_block(), message.separator(), message.body()].concat();
    assert_eq!(whole, message.raw().as_ref(), "the pieces are the message");
    let mut end = 0;
    for header in message.headers() {
        assert!(
            header.range.start >= end && header.range.end <= message.header_block().len(),
            "{header:?}"
        );
        end = header.range.end;
        let field = &message.raw()[header.range.clone()];
        assert!(field.starts_with(&header.name), "{header:?}");
    }
    let mut last_child_end = vec![0; message.parts().len()];
    for (index, part) in message.parts().iter().enumerate() {
        assert_eq!(part.index, index);
        assert!(part.header_range.start <= part.header_range.end, "{part:?}");
        assert!(part.header_range.end <= part.body_range.start, "{part:?}");
        assert!(part.body_range.start <= part.body_range.end, "{part:?}");
        assert_eq!(part.body, message.raw()[part.body_range.clone()]);
        let Some(parent) = part.parent else {
            assert_eq!(index, 0, "only the message has no container");
            continue;
        };
        assert!(parent < index, "depth-first");
        let outer = &message.parts()[parent];
        assert_eq!(part.depth, outer.depth + 1);
        assert!(outer.container);
        assert!(
            part.header_range.start >= outer.body_range.start,
            "{part:?} in {outer:?}"
        );
        assert!(
            part.body_range.end <= outer.body_range.end,
            "{part:?} in {outer:?}"
        );
        assert!(
            part.header_range.start >= last_child_end[parent],
            "parts do not overlap"
        );
        last_child_end[parent] = part.body_range.end;
    }
}

/// Asks for everything that is made lazily.
fn exhaust(message: &Message) {
    for part in message.parts() {
        let head = part.head(512);
        let _ = real_type::of(&head);
        if let Ok(content) = message.decoded(part) {
            assert!(content.starts_with(&part.head(16)) || content.len() < 16);
        }
        let _ = part.safe_file_name();
    }
    let _ = message.uris();
    let _ = (
        message.text().visible().count(),
        message.subject_decoded(),
        message.from(),
        message.defects(),
    );
}

#[test]
fn structures() {
    type Rows = &'static [(&'static str, Option<usize>, &'static str)];
    let cases: [(&str, &str, Rows); 12] = [
        (
            "no MIME at all",
            "Subject: x\n\nbody\n",
            &[("text/plain", None, "body\n")],
        ),
        (
            "preamble and epilogue belong to no part",
            "Content-Type: multipart/mixed; boundary=b\n\npreamble\n--b\n\none\n--b\nContent-Type: text/html\n\ntwo\n--b--\nepilogue\n--b\n\nnot a part\n",
            &[
                ("multipart/mixed", None, ""),
                ("text/plain", Some(0), "one"),
                ("text/html", Some(0), "two"),
            ],
        ),
        (
            "a delimiter may come first in the body",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n",
            &[
                ("multipart/mixed", None, ""),
                ("text/plain", Some(0), "one"),
            ],
        ),
        (
            "white space may follow a delimiter",
            "Content-Type: multipart/mixed; boundary=b\n\n--b \t\n\none\n--b--  \n",
            &[
                ("multipart/mixed", None, ""),
                ("text/plain", Some(0), "one"),
            ],
        ),
        (
            "a longer line is no delimiter",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--bc\n--b x\n--b--\n",
            &[
                ("multipart/mixed", None, ""),
                ("text/plain", Some(0), "--bc\n--b x"),
            ],
        ),
        (
            "a quoted boundary with spaces",
            "Content-Type: multipart/mixed; boundary=\"a b;c\"\n\n--a b;c\n\none\n--a b;c--\n",
            &[
                ("multipart/mixed", None, ""),
                ("text/plain", Some(0), "one"),
            ],
        ),
        (
            "an unclosed inner multipart ends at the outer delimiter",
            "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/alternative; boundary=i\n\n--i\n\none\n--o\n\ntwo\n--o--\n",
            &[
                ("multipart/mixed", None, ""),
                ("multipart/alternative", Some(0), ""),
                ("text/plain", Some(1), "one"),
                ("text/plain", Some(0), "two"),
            ],
        ),
        (
            "a boundary that begins with another",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=b1\n\n--b1\n\none\n--b1--\n--b--\n",
            &[
                ("multipart/mixed", None, ""),
                ("multipart/mixed", Some(0), ""),
                ("text/plain", Some(1), "one"),
            ],
        ),
        (
            "a message in a message",
            "Content-Type: message/rfc822\n\nSubject: inner\nContent-Type: text/html\n\nhello\n",
            &[
                ("message/rfc822", None, ""),
                ("text/html", Some(0), "hello\n"),
            ],
        ),
        (
            "the parts of a digest are messages",
            "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: inner\n\nhello\n--b--\n",
            &[
                ("multipart/digest", None, ""),
                ("message/rfc822", Some(0), ""),
                ("text/plain", Some(1), "hello"),
            ],
        ),
        (
            "a part may be empty, and its header unfinished",
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n--b\n\n--b\n--b--\n",
            &[
                ("multipart/mixed", None, ""),
                ("text/html", Some(0), ""),
                ("text/plain", Some(0), ""),
                ("text/plain", Some(0), ""),
            ],
        ),
        (
            "a boundary that never comes leaves text",
            "Content-Type: multipart/mixed; boundary=b\n\nbody\n",
            &[("multipart/mixed", None, "body\n")],
        ),
    ];
    for (name, text, expected) in cases {
        for message in both_forms(text) {
            let expected: Vec<_> = expected
                .iter()
                .map(|(kind, parent, body)| ((*kind).to_owned(), *parent, (*body).to_owned()))
                .collect();
            assert_eq!(outline(&message), expected, "{name}");
            check_ranges(&message);
        }
    }
}

#[test]
fn headers_are_kept_as_they_are_written() {
    for message in both_forms(
        "Subject:one\nX-Empty:\nsubject : two\n\tfolded\n SUBJECT: not a field\nSubject: three\n\n",
    ) {
        let rows: Vec<_> = message
            .headers()
            .iter()
            .map(|h| {
                (
                    String::from_utf8_lossy(&h.name).into_owned(),
                    String::from_utf8_lossy(&h.value).replace("\r\n", "\n"),
                    h.occurrence,
                )
            })
            .collect();
        let expected = [
            ("Subject", "one", 1),
            ("X-Empty", "", 1),
            ("subject", " two\n\tfolded\n SUBJECT: not a field", 2),
            ("Subject", " three", 3),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(n, v, o)| ((*n).to_owned(), (*v).to_owned(), *o))
            .collect();
        assert_eq!(rows, expected);
        assert_eq!(message.header_values("SUBJECT").count(), 3);
        check_ranges(&message);
    }
}

#[test]
fn defects_are_found_and_only_where_they_are() {
    const GOOD: &str = "From: a@x.example\nTo: b@x.example\nSubject: s\nDate: Mon, 2 Nov 2026 10:00:00 +0100\nMessage-ID: <1@x>\nMIME-Version: 1.0\n";
    let good = |rest: &str| format!("{GOOD}{rest}");
    let multipart = |rest: &str| {
        good(&format!(
            "Content-Type: multipart/mixed; boundary=b\n{rest}"
        ))
    };
    let cases: Vec<(String, Vec<DefectKind>)> = vec![
        (good("\nbody\n"), vec![]),
        (multipart("\n--b\n\none\n--b--\n"), vec![]),
        (good(""), vec![DefectKind::HeaderNoSeparator]),
        (
            good("no colon here\n\nbody\n"),
            vec![DefectKind::HeaderNoColon],
        ),
        (
            good("bad name: x\n\nbody\n"),
            vec![DefectKind::HeaderBadName],
        ),
        (
            format!("From a@x Mon Nov  2 10:00:00 2026\n{}", good("\nbody\n")),
            vec![DefectKind::HeaderMboxFrom],
        ),
        (good("X: caf\u{e9}\n\nbody\n"), vec![DefectKind::Header8Bit]),
        (good("X: \0\n\nbody\n"), vec![DefectKind::HeaderNul]),
        (good("\nbo\0dy\n"), vec![DefectKind::BodyNul]),
        (good("\nbo\rdy\n"), vec![DefectKind::BareCr]),
        (
            good(&format!("\n{}\n", "x".repeat(1001))),
            vec![DefectKind::LineTooLong],
        ),
        (
            good("Subject: again\n\n"),
            vec![DefectKind::DuplicateSingleton],
        ),
        (
            GOOD.replace("From: a@x.example\n", "") + "\n",
            vec![DefectKind::MissingFrom],
        ),
        (
            GOOD.replace("a@x.example", "nobody") + "\n",
            vec![DefectKind::FromInvalid],
        ),
        (
            GOOD.replace("a@x.example", "a@x.example, c@x.example") + "\n",
            vec![DefectKind::FromMultiple],
        ),
        (
            GOOD.replace("a@x.example", "\"ceo@bank.example\" <a@x.example>") + "\n",
            vec![DefectKind::FromNameAddress],
        ),
        (
            GOOD.replace("a@x.example", "\"a@x.example\" <a@x.example>") + "\n",
            vec![],
        ),
        (
            GOOD.replace("Mon, 2 Nov 2026 10:00:00 +0100", "yesterday") + "\n",
            vec![DefectKind::BadDate],
        ),
        (
            GOOD.replace(
                "Mon, 2 Nov 2026 10:00:00 +0100",
                "Mon, 2 Foo 2026 10:00:00 +0100",
            ) + "\n",
            vec![DefectKind::BadDate],
        ),
        (
            GOOD.replace("Subject: s", "Subject: =?utf-8?B?!?=") + "\n",
            vec![DefectKind::EncodedWordBad],
        ),
        (
            GOOD.replace("MIME-Version: 1.0\n", "Content-Type: text/plain\n") + "\n",
            vec![DefectKind::MimeVersionMissing],
        ),
        (
            good("Content-Type: text/plain\nContent-Type: text/html\n\n"),
            vec![DefectKind::MimeDuplicateHeader],
        ),
        (
            multipart("\n--b\nContent-Type: a/b; name=x; name=y\n\n--b--\n"),
            vec![DefectKind::MimeDuplicateParameter],
        ),
        (
            good("Content-Type: text\n\n"),
            vec![DefectKind::MimeBadContentType],
        ),
        (
            good("Content-Transfer-Encoding: rot13\n\n"),
            vec![DefectKind::MimeUnknownEncoding],
        ),
        (
            good("Content-Type: multipart/mixed\n\n--b\n"),
            vec![DefectKind::MimeBoundaryMissing],
        ),
        (multipart("\nbody\n"), vec![DefectKind::MimeBoundaryMissing]),
        (
            multipart("\n--b\n\none\n"),
            vec![DefectKind::MimeNoBoundaryEnd],
        ),
        (
            multipart("Content-Transfer-Encoding: base64\n\n--b\n\n--b--\n"),
            vec![DefectKind::MimeNestedEncoding],
        ),
        (
            multipart("\n--b\nContent-Type: message/partial; id=1\n\n--b--\n"),
            vec![DefectKind::MimePartial],
        ),
        (
            multipart(
                "\n--b\nContent-Disposition: attachment; filename*=utf-8''txt%E2%80%AEexe.fdp\n\n--b--\n",
            ),
            vec![DefectKind::FilenameBidi],
        ),
        (
            multipart(
                "\n--b\nContent-Disposition: attachment; filename*=utf-8''a%00.txt\n\n--b--\n",
            ),
            vec![DefectKind::FilenameControl],
        ),
        (
            multipart(
                "\n--b\nContent-Type: text/plain; name=a.txt\nContent-Disposition: attachment; filename=a.exe\n\n--b--\n",
            ),
            vec![DefectKind::FilenameMismatch],
        ),
        (
            good("Content-Transfer-Encoding: base64\n\nQUJD*QUJD\n"),
            vec![DefectKind::MimeBadBase64],
        ),
        (
            good("Content-Transfer-Encoding: quoted-printable\n\na=XXb\n"),
            vec![DefectKind::MimeBadQuotedPrintable],
        ),
        (
            good("Content-Type: text/plain; charset=martian\n\nx\n"),
            vec![DefectKind::MimeUnknownCharset],
        ),
    ];
    for (text, mut expected) in cases {
        for message in both_forms(&text) {
            exhaust(&message);
            let mut found: Vec<_> = message.defects().iter().map(|defect| defect.kind).collect();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{text:?}");
        }
    }
}

#[test]
fn mixed_line_endings_are_a_defect_and_one_form_is_not() {
    assert!(has(&parse("A: b\r\n\r\nx\ny\r\n"), DefectKind::BareLf));
    assert!(!has(&parse("A: b\n\nx\ny\n"), DefectKind::BareLf));
    assert!(!has(&parse("A: b\r\n\r\nx\r\n"), DefectKind::BareLf));
}

#[test]
fn an_empty_message_is_a_message() {
    for content in ["", "\n", "\r\n", "\r", "x", ":", "\0"] {
        let message = parse(content);
        assert!(has(&message, DefectKind::HeaderEmptyBlock), "{content:?}");
        assert_eq!(message.parts().len(), 1);
        check_ranges(&message);
        exhaust(&message);
    }
}

#[test]
fn text_and_uris_are_what_a_reader_gets() {
    let text = "Subject: =?utf-8?Q?see_http://s.example/=21?=\nContent-Type: multipart/alternative; boundary=b\n\n\
        --b\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n\
        caf=E9 at (https://p.example/a_(b)), www.bare.example.\n\
        --b\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\n\n\
        PGEgaHJlZj0iaHR0cDovL2V2aWwuZXhhbXBsZS8iPmJhbmsuZXhhbXBsZTwvYT48YSBocmVmPSJt\nYWlsdG86YUBiLmV4YW1wbGU/c3ViamVjdD14Ij5tPC9hPg==\n\
        --b\nContent-Type: text/plain\nContent-Disposition: attachment\n\nhttp://attached.example/\n--b--\n";
    for message in both_forms(text) {
        let visible: Vec<_> = message.text().visible().collect();
        assert_eq!(
            visible,
            [
                "café at (https://p.example/a_(b)), www.bare.example.",
                "bank.examplem"
            ]
        );
        let rows: Vec<_> = message
            .uris()
            .found()
            .iter()
            .map(|uri| {
                (
                    uri.text.as_str(),
                    uri.host.as_str(),
                    uri.in_html,
                    uri.shown_host.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            rows,
            [
                ("https://p.example/a_(b)", "p.example", false, None),
                ("www.bare.example", "www.bare.example", false, None),
                (
                    "http://evil.example/",
                    "evil.example",
                    true,
                    Some("bank.example")
                ),
                ("http://s.example/", "s.example", false, None),
            ]
        );
        assert_eq!(message.uris().mailto(), ["a@b.example"]);
    }
}

#[test]
fn file_names_are_made_safe() {
    let cases = [
        ("report.pdf", Some("report.pdf")),
        ("../../etc/passwd", Some("passwd")),
        ("C:\\x\\y.exe", Some("y.exe")),
        ("a.exe. . ", Some("a.exe")),
        ("txt\u{202e}exe.pdf", Some("txtexe.pdf")),
        ("a\u{200b}.exe", Some("a.exe")),
        ("...", None),
    ];
    for (name, safe) in cases {
        let message = parse(format!(
            "Content-Disposition: attachment; filename=\"{}\"\n\n",
            name.replace('\\', "\\\\")
        ));
        assert_eq!(
            message.parts()[0].safe_file_name().as_deref(),
            safe,
            "{name:?}"
        );
    }
}

#[test]
fn mailboxes_of_every_from_field_count() {
    let message = parse("From: A <a@x.example>\nFrom: =?utf-8?Q?B=C3=A9?= <b@x.example>\n\n");
    let rows: Vec<_> = message
        .from()
        .into_iter()
        .map(|m| (m.display, m.address))
        .collect();
    assert_eq!(
        rows,
        [
            ("A".to_owned(), b"a@x.example".to_vec()),
            ("Bé".to_owned(), b"b@x.example".to_vec())
        ]
    );
}

/// Pieces of which hostile messages are made.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("Content-Type: multipart/mixed; boundary=b\r\n".to_owned()),
        Just("Content-Type: multipart/mixed; boundary=\"b b\"\n".to_owned()),
        Just("Content-Type: message/rfc822\n".to_owned()),
        Just("Content-Type: text/html; charset=utf-7\n".to_owned()),
        Just("Content-Transfer-Encoding: base64\n".to_owned()),
        Just("Content-Transfer-Encoding: quoted-printable\n".to_owned()),
        Just("Content-Disposition: attachment; filename*0*=x''%; filename*1=\"\\\"\n".to_owned()),
        Just("Subject: =?utf-8?Q?=E2?= =?utf-8?B?gqw?=\n".to_owned()),
        Just("--b\n".to_owned()),
        Just("--b b\r\n".to_owned()),
        Just("--b--\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\r".to_owned()),
        Just("<a href='http://\u{e9}.example'>x</a>&#x41;<!--".to_owned()),
        "[ -~\r\n]{0,20}",
        "\\PC{0,8}",
    ];
    let bytes = prop_oneof![
        8 => piece.prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..16),
    ];
    prop::collection::vec(bytes, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_a_message(content in prop::collection::vec(any::<u8>(), 0..2000)) {
        let message = parse(content);
        check_ranges(&message);
        exhaust(&message);
    }

    #[test]
    fn any_structure_is_a_message(content in pieces()) {
        let message = parse(content);
        check_ranges(&message);
        exhaust(&message);
    }

    #[test]
    fn tight_limits_hold_for_any_structure(content in pieces()) {
        let limits = Limits {
            headers: 2,
            header_bytes: 40,
            header_line: 20,
            mime_depth: 2,
            mime_parts: 3,
            decoded_bytes: 10,
            text_bytes: 10,
            uris: 1,
            ..Limits::default()
        };
        let message = Message::parse(content.into(), &limits);
        check_ranges(&message);
        exhaust(&message);
        prop_assert!(message.headers().len() <= 2 && message.parts().len() <= 3);
        prop_assert!(message.parts().iter().all(|part| part.depth <= 2));
        prop_assert!(message.text().parts().iter().map(|part| part.source.len()).sum::<usize>() <= 10);
    }
}
