use millrace_tests::message;
use millrace_tests::mta::Kind;
use millrace_tests::route::Route;
use millrace_tests::with_both;

with_both!(
    gtube_is_refused_by_the_policy_that_is_built_in,
    ordinary_mail_passes_the_policy_that_is_built_in,
    a_megabyte_with_an_attachment_passes_the_policy_that_is_built_in,
);

/// The standard test string for filters of unwanted mail, in two pieces, so that this file is
/// not taken for such mail itself.
const GTUBE: [&str; 2] = [
    "XJS*C4JDBQADN1.NSBN3*2IDNEN*",
    "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X",
];

fn gtube_is_refused_by_the_policy_that_is_built_in(kind: Kind) {
    let route = Route::embedded(kind, None);
    let body = format!("Hello,\r\n{}\r\n", GTUBE.concat());
    let reply = route.send(&message::with_body("test", &body));
    assert_eq!(reply.code / 100, 5, "{reply}");
    assert_eq!(route.sink.count(), 0);
    route.assert_no_complaints();
}

fn ordinary_mail_passes_the_policy_that_is_built_in(kind: Kind) {
    let route = Route::embedded(kind, None);
    route
        .send(&message::simple("Lunch on Thursday?"))
        .expect(250);
    assert_eq!(
        route.sink.only().fields_named("Subject"),
        ["Subject: Lunch on Thursday?"]
    );
    route.assert_no_complaints();
}

fn a_megabyte_with_an_attachment_passes_the_policy_that_is_built_in(kind: Kind) {
    let route = Route::embedded(kind, None);
    let picture: Vec<u8> = (0..1_000_000_u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let sent = message::with_attachment("picture.bin", "application/octet-stream", &picture);
    route.send(&sent).expect(250);
    let arrived = route.sink.only();
    assert!(
        arrived.content.ends_with(&sent[sent.len() - 1_000_000..]),
        "the attachment is whole"
    );
    route.assert_no_complaints();
}
