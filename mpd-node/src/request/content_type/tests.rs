//! What parameters mean.

use super::*;

#[test]
fn content_types() {
    type Read = Option<(&'static str, Option<&'static str>, Option<&'static str>)>;
    let cases: [(&str, Read); 14] = [
        (" text/plain", Some(("text/plain", None, None))),
        (
            " TEXT/HTML; Charset=UTF-8",
            Some(("text/html", Some("utf-8"), None)),
        ),
        (
            "text/plain; charset=\"us-ascii\" (comment)",
            Some(("text/plain", Some("us-ascii"), None)),
        ),
        (
            "multipart/mixed; boundary=\"a b\"",
            Some(("multipart/mixed", None, Some("a b"))),
        ),
        (
            "multipart/mixed;\r\n\tboundary=abc",
            Some(("multipart/mixed", None, Some("abc"))),
        ),
        (
            "multipart/mixed; boundary=\"a\\\"b\"",
            Some(("multipart/mixed", None, Some("a\"b"))),
        ),
        (
            "multipart/mixed; boundary=\"x;y=z\"",
            Some(("multipart/mixed", None, Some("x;y=z"))),
        ),
        (
            "multipart/mixed; boundary=\"end \"",
            Some(("multipart/mixed", None, Some("end"))),
        ),
        (
            "multipart/mixed; boundary*0=ab; boundary*1=cd",
            Some(("multipart/mixed", None, Some("abcd"))),
        ),
        (
            "multipart / mixed ; boundary = q",
            Some(("multipart/mixed", None, Some("q"))),
        ),
        (
            "multipart/mixed; boundary=\"never closed",
            Some(("multipart/mixed", None, Some("never closed"))),
        ),
        ("text", None),
        ("", None),
        ("text/", None),
    ];
    for (field, expected) in cases {
        let parsed = ContentType::parse(&Parameters::parse(field.as_bytes()));
        let expected = expected.map(|(full, charset, boundary)| {
            let (main, sub) = full.split_once('/').expect("a full type");
            ContentType {
                main: main.to_owned(),
                sub: sub.to_owned(),
                charset: charset.map(str::to_owned),
                boundary: boundary.map(|b| b.as_bytes().to_vec()),
                name: None,
            }
        });
        assert_eq!(parsed, expected, "{field}");
    }
}

#[test]
fn file_names() {
    let cases = [
        ("attachment; filename=plain.txt", "plain.txt"),
        ("attachment; filename=\"with space.pdf\"", "with space.pdf"),
        ("attachment; filename=\"C:\\dir\\x.exe\"", "C:\\dir\\x.exe"),
        ("attachment; filename*=utf-8''na%C3%AFve.txt", "naïve.txt"),
        (
            "attachment; filename*=ISO-8859-1'de'stra%DFe.doc",
            "straße.doc",
        ),
        (
            "attachment; filename*0*=utf-8''a%20; filename*1=\"b\"; filename*2*=%20c",
            "a b c",
        ),
        ("attachment; filename*1=two; filename*0=one-", "one-two"),
        (
            "attachment; filename=\"=?utf-8?B?w6TDti5leGU=?=\"",
            "äö.exe",
        ),
        (
            "attachment; filename=\"=?utf-8?Q?inv?= =?utf-8?Q?oice.js?=\"",
            "invoice.js",
        ),
        (
            "attachment; filename=\"fall.txt\"; filename*=utf-8''real.exe",
            "real.exe",
        ),
        ("attachment; filename=caf\u{e9}.txt", "café.txt"),
        ("attachment; filename*=utf-8''bad%zz.txt", "bad%zz.txt"),
        ("attachment; FileName = x.zip ; size=3", "x.zip"),
    ];
    for (field, expected) in cases {
        let disposition = Disposition::parse(&Parameters::parse(field.as_bytes()));
        assert_eq!(disposition.kind, "attachment", "{field}");
        assert_eq!(disposition.file_name.as_deref(), Some(expected), "{field}");
    }
}

#[test]
fn a_parameter_given_twice_is_noticed_and_the_first_counts() {
    let parameters = Parameters::parse(b"multipart/mixed; boundary=one; boundary=two");
    assert!(parameters.duplicate);
    assert_eq!(parameters.find(b"boundary"), Some(b"one".to_vec()));
}
