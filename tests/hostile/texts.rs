//! Text that is made to cost a parser or a pattern.

use crate::attacked::{Attacked, raw, typed};

#[test]
fn base64_of_garbage() {
    let with_encoding = |encoding: &str, body: Vec<u8>| {
        let mut message = typed("text/plain; name=\"a.txt\"", body);
        let value = format!(" {encoding}");
        message
            .headers
            .push(("Content-Transfer-Encoding".into(), value.into()));
        message
    };
    Attacked::both_ways(|attacked| {
        for body in [
            b"!@#$%^&*()".repeat(50_000),
            b"====".repeat(100_000),
            b"QUJD=QUJD".repeat(50_000),
            b"A\r\n".repeat(100_000),
            vec![0xff; 500_000],
        ] {
            attacked.survives("bad base64", with_encoding("base64", body.clone()));
            attacked.survives(
                "bad quoted-printable",
                with_encoding("quoted-printable", body.clone()),
            );
            attacked.survives("bad uuencode", with_encoding("x-uuencode", body));
        }
        let bad = with_encoding("base64", b"QUJD!*?=QUJDQ".repeat(1000));
        attacked.finds("MIME_BAD_BASE64", "bad base64", bad);
    });
}

#[test]
fn text_that_is_hostile_to_patterns() {
    let a = "a".repeat(1_000_000);
    let spaces = " ".repeat(1_000_000);
    let digits = "1.".repeat(500_000);
    let signs = "!?$".repeat(300_000);
    let urls = (0..100_000).fold(String::new(), |all, n| {
        all + &format!("http://h{n}.example/ ")
    });
    let at = "a@".repeat(500_000);
    Attacked::both_ways(|attacked| {
        for text in [&a, &spaces, &digits, &signs, &urls, &at] {
            attacked.survives("long runs", typed("text/plain", text.clone()));
        }
        let subject = vec![(
            "Subject".into(),
            format!(" {}", "A .".repeat(20_000)).into(),
        )];
        attacked.survives("a gappy subject", raw(subject, a.clone()));
    });
}

#[test]
fn html_of_a_hundred_thousand_tags() {
    let bodies = [
        "<div>".repeat(100_000),
        "<div><b>x".repeat(50_000) + &"</b></div>".repeat(50_000),
        "<".repeat(500_000),
        "<a href=\"".repeat(50_000),
        "<!--".repeat(100_000),
        "<script>".repeat(50_000),
        "<style></style".repeat(50_000),
        "&#".repeat(200_000),
        "&amp".repeat(100_000),
        format!("<p {}>", "a=b ".repeat(200_000)),
    ];
    Attacked::both_ways(|attacked| {
        for body in &bodies {
            attacked.survives("HTML", typed("text/html; charset=utf-8", body.clone()));
        }
    });
}
