use millrace_tests::message;
use millrace_tests::mta::{Kind, Mta, Wanted};
use millrace_tests::servers::Up;
use millrace_tests::sink::Sink;
use millrace_tests::smtp::Client;
use millrace_tests::with_both;

with_both!(mail_is_marked_refused_and_passed_by_millrace_up);

/// What a newcomer does first: `millrace up`, and the mail server pointed at it.
fn mail_is_marked_refused_and_passed_by_millrace_up(kind: Kind) {
    let up = Up::start();
    let sink = Sink::start();
    let mta = Mta::start(kind, &sink, &Wanted::filtered_by(up.port()));
    let mut client = Client::connect(mta.port());
    let mut send =
        |content: &[u8]| client.message("sender@origin.example", &["rcpt@dest.example"], content);

    send(&message::simple("Lunch on Thursday?")).expect(250);
    let arrived = sink.wait_for(1).remove(0);
    assert_eq!(
        arrived.fields_named("Subject"),
        ["Subject: Lunch on Thursday?"]
    );
    assert_eq!(
        arrived.fields_named("X-Millrace-Status").len(),
        1,
        "it says who judged, and how"
    );

    let gtube = [
        "XJS*C4JDBQADN1.NSBN3*2IDNEN*",
        "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X",
    ]
    .concat();
    let reply = send(&message::with_body("test", &format!("{gtube}\r\n")));
    assert_eq!(reply.code, 550, "{reply}");
    let program = message::with_attachment(
        "invoice.pdf.exe",
        "application/octet-stream",
        b"MZ\x90\0\x03\0\0\0",
    );
    let reply = send(&program);
    assert_eq!(reply.code, 550, "{reply}");
    assert_eq!(sink.count(), 1);
    assert!(mta.complaints().is_empty(), "{:?}", mta.complaints());
}
