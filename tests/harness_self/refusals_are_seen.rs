use millrace_tests::message;
use millrace_tests::mta::{Kind, Mta, Wanted};
use millrace_tests::patience::until;
use millrace_tests::sink::Sink;
use millrace_tests::smtp::Client;

/// A filter that is not there: nothing gets through, which shows that the server asks for one.
fn mail_is_deferred_when_the_filter_is_missing(kind: Kind) {
    let sink = Sink::start();
    let nobody = millrace_tests::ports::Port::reserve();
    let mta = Mta::start(kind, &sink, &Wanted::filtered_by(nobody.number()));
    let mut client = Client::connect(mta.port());
    let reply = client.attempt(
        "s@origin.example",
        &["r@dest.example"],
        &message::simple("x"),
    );
    reply.expect("the connection holds").expect_temporary();
    assert_eq!(sink.count(), 0);
}

#[test]
fn mail_is_deferred_when_the_filter_is_missing_by_postfix() {
    mail_is_deferred_when_the_filter_is_missing(Kind::Postfix);
}

#[test]
fn mail_is_deferred_when_the_filter_is_missing_by_sendmail() {
    mail_is_deferred_when_the_filter_is_missing(Kind::Sendmail);
}

#[test]
fn mail_that_the_sink_refuses_stays_in_the_queue() {
    for kind in [Kind::Postfix, Kind::Sendmail] {
        let sink = Sink::start();
        sink.refuse(Some("450 4.2.1 not now"));
        let mta = Mta::start(kind, &sink, &Wanted::default());
        let mut client = Client::connect(mta.port());
        client
            .message(
                "s@origin.example",
                &["r@dest.example"],
                &message::simple("x"),
            )
            .expect(250);
        until("the message is put aside", || mta.log().contains("not now"));
        assert_eq!(mta.queued(), 1, "{kind:?}");
        assert_eq!(sink.count(), 0);
    }
}
