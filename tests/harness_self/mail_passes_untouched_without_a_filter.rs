use millrace_tests::message;
use millrace_tests::mta::{Kind, Mta, Wanted};
use millrace_tests::sink::Sink;
use millrace_tests::smtp::Client;

fn delivered_as_sent(kind: Kind, sent: &[u8]) {
    let sink = Sink::start();
    let mta = Mta::start(kind, &sink, &Wanted::default());
    let mut client = Client::connect(mta.port());
    client
        .message(
            "sender@origin.example",
            &["b@dest.example", "a@dest.example"],
            sent,
        )
        .expect(250);
    client.quit();

    let arrived = sink.only();
    assert_eq!(arrived.sender(), "sender@origin.example");
    assert_eq!(arrived.recipients(), ["a@dest.example", "b@dest.example"]);
    assert_eq!(arrived.fields_named("Received").len(), 1);
    assert_eq!(
        String::from_utf8_lossy(&arrived.without_trace()),
        String::from_utf8_lossy(sent)
    );
    assert!(mta.held().is_empty());
    assert!(
        mta.log().contains("sender@origin.example"),
        "the log can be read: {}",
        mta.log()
    );
}

#[test]
fn simple_by_postfix() {
    delivered_as_sent(Kind::Postfix, &message::simple("hello"));
}

#[test]
fn simple_by_sendmail() {
    delivered_as_sent(Kind::Sendmail, &message::simple("hello"));
}

#[test]
fn awkward_by_postfix() {
    delivered_as_sent(Kind::Postfix, &message::awkward());
}

#[test]
fn awkward_by_sendmail() {
    delivered_as_sent(Kind::Sendmail, &message::awkward());
}

#[test]
fn of_a_megabyte_by_postfix() {
    delivered_as_sent(Kind::Postfix, &message::of_size(1 << 20));
}

#[test]
fn of_a_megabyte_by_sendmail() {
    delivered_as_sent(Kind::Sendmail, &message::of_size(1 << 20));
}

#[test]
fn with_an_attachment_by_postfix() {
    delivered_as_sent(
        Kind::Postfix,
        &message::with_attachment("a.bin", "application/octet-stream", &[0, 1, 255, 7]),
    );
}
