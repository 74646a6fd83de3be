use millrace_tests::message;
use millrace_tests::mta::{Kind, Mta, Wanted};
use millrace_tests::sasl;
use millrace_tests::sink::Sink;
use millrace_tests::smtp::Client;

fn mail_goes_out_over_tls_from_a_known_user(kind: Kind) {
    let sink = Sink::start();
    let mta = Mta::start(kind, &sink, &Wanted::default().starttls().auth());
    let mut client = Client::connect_tls(mta.port());
    client.authenticate(sasl::USER, sasl::PASSWORD);
    client
        .message(
            "s@origin.example",
            &["r@dest.example"],
            &message::simple("x"),
        )
        .expect(250);
    let received = sink.only().fields_named("Received").remove(0);
    assert!(
        received.contains("ESMTPSA"),
        "the server knows of TLS and of the user: {received}"
    );
}

#[test]
fn mail_goes_out_over_tls_from_a_known_user_by_postfix() {
    mail_goes_out_over_tls_from_a_known_user(Kind::Postfix);
}

#[test]
fn mail_goes_out_over_tls_from_a_known_user_by_sendmail() {
    mail_goes_out_over_tls_from_a_known_user(Kind::Sendmail);
}

#[test]
fn a_wrong_password_is_refused() {
    let sink = Sink::start();
    let mta = Mta::start(Kind::Postfix, &sink, &Wanted::default().auth());
    let mut client = Client::connect(mta.port());
    client.command("AUTH PLAIN AGpvZQB3cm9uZw==").expect(535);
}
