//! Messages that are made to cost much.

use super::*;

#[test]
fn twenty_thousand_nested_messages_do_not_overflow_the_stack() {
    let message = parse("Content-Type: message/rfc822\n\n".repeat(20_000));
    assert!(message.limit_hits().contains(LimitHit::MimeDepth));
    assert_eq!(message.parts().len(), Limits::default().mime_depth + 1);
    check_ranges(&message);
    exhaust(&message);
}

#[test]
fn twenty_thousand_nested_multiparts_do_not_overflow_the_stack() {
    let content: String = (0..20_000)
        .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n"))
        .collect();
    let message = parse(content);
    assert!(message.limit_hits().contains(LimitHit::MimeDepth));
    check_ranges(&message);
}

#[test]
fn twenty_thousand_flat_parts_are_cut_at_the_limit() {
    let content = format!(
        "Content-Type: multipart/mixed; boundary=b\n\n{}--b--\n",
        "--b\n\nx\n".repeat(20_000)
    );
    let message = parse(content);
    assert!(message.limit_hits().contains(LimitHit::MimeParts));
    assert_eq!(message.parts().len(), Limits::default().mime_parts);
    check_ranges(&message);
    exhaust(&message);
}

#[test]
fn a_body_of_100_megabytes_is_not_copied() {
    let mut content = b"Subject: big\r\nContent-Transfer-Encoding: base64\r\n\r\n".to_vec();
    let line = [vec![b'A'; 76], b"\r\n".to_vec()].concat();
    while content.len() < 100 << 20 {
        content.extend_from_slice(&line);
    }
    let message = parse(content);
    assert_eq!(
        message.raw()[message.parts()[0].body_range.clone()].as_ptr(),
        message.parts()[0].body.as_ptr()
    );
    assert_eq!(
        message.decoded(&message.parts()[0]),
        Err(LimitHit::DecodedBytes)
    );
    assert!(message.text().parts()[0].source.len() <= Limits::default().text_bytes);
    assert!(message.limit_hits().contains(LimitHit::Text));
}

#[test]
fn a_header_of_one_megabyte_is_a_limit_and_loses_nothing() {
    let one_field = format!("Subject: {}\n\nbody\n", "x".repeat(1 << 20));
    let message = parse(one_field);
    assert!(message.limit_hits().contains(LimitHit::HeaderLine));
    assert_eq!(message.body(), b"body\n");
    check_ranges(&message);
    exhaust(&message);

    let many_lines = format!(
        "From: a@b\n{}\nbody\n",
        "X-Long: 0123456789\n".repeat(900).repeat(60)
    );
    let message = parse(many_lines);
    assert!(message.limit_hits().contains(LimitHit::Headers));
    assert_eq!(message.headers().len(), Limits::default().headers);
    assert_eq!(message.body(), b"body\n");
    check_ranges(&message);

    let folded = format!("From: a@b\nX:\n{}Y: z\n\nbody\n", " fold\n".repeat(200_000));
    let message = parse(folded);
    assert!(message.limit_hits().contains(LimitHit::HeaderBytes));
    assert_eq!(message.body(), b"body\n");
    check_ranges(&message);
}

#[test]
fn decoding_has_a_budget_over_the_whole_message() {
    let part = format!(
        "--b\nContent-Transfer-Encoding: base64\n\n{}\n",
        "QUJD".repeat(250)
    );
    let content = format!(
        "Content-Type: multipart/mixed; boundary=b\n\n{}--b--\n",
        part.repeat(3)
    );
    let limits = Limits {
        decoded_bytes: 2000,
        ..Limits::default()
    };
    let message = Message::parse(content.into(), &limits);
    let decoded: Vec<_> = message.parts()[1..]
        .iter()
        .map(|part| message.decoded(part).map(|b| b.len()))
        .collect();
    assert_eq!(decoded, [Ok(750), Ok(750), Err(LimitHit::DecodedBytes)]);
    assert!(message.limit_hits().contains(LimitHit::DecodedBytes));
}

#[test]
fn uris_are_bounded() {
    let body: String = (0..5000)
        .map(|n| format!("http://h{n}.example/ "))
        .collect();
    let message = parse(format!("A: b\n\n{body}"));
    assert_eq!(message.uris().found().len(), Limits::default().uris);
    assert!(message.limit_hits().contains(LimitHit::Uris));
}
