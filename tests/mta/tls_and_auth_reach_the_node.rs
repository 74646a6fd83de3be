use millrace_tests::message;
use millrace_tests::mta::Kind;
use millrace_tests::route::Route;
use millrace_tests::sasl;
use millrace_tests::scripted_node::Script;
use millrace_tests::smtp::Client;
use millrace_tests::with_both;

with_both!(
    tls_and_the_authenticated_user_reach_the_node,
    plain_mail_after_tls_mail_is_plain
);

fn tls_and_the_authenticated_user_reach_the_node(kind: Kind) {
    let route = Route::scripted_for(kind, Script::default(), |wanted| wanted.starttls().auth());
    let mut client = Client::connect_tls(route.mta.port());
    client.authenticate(sasl::USER, sasl::PASSWORD);
    client
        .message(
            "sender@origin.example",
            &["rcpt@dest.example"],
            &message::simple("x"),
        )
        .expect(250);

    let connection = route.node.judged().remove(0).transaction.connection;
    let tls = connection.tls.expect("the mail server told of TLS");
    assert!(tls.version.starts_with(b"TLSv1."), "{tls:?}");
    assert!(!tls.cipher.is_empty(), "{tls:?}");
    assert!(tls.cipher_bits >= 128, "{tls:?}");
    let user = connection
        .authentication
        .expect("the mail server told of the user");
    assert_eq!(user.mechanism, "PLAIN");
    assert!(user.user.starts_with(sasl::USER.as_bytes()), "{user:?}");
    assert_eq!(connection.helo.as_deref(), Some(&b"client.example"[..]));
    route.assert_no_complaints();
}

fn plain_mail_after_tls_mail_is_plain(kind: Kind) {
    let route = Route::scripted_for(kind, Script::default(), |wanted| wanted.starttls().auth());
    let mut client = Client::connect_tls(route.mta.port());
    client
        .message(
            "sender@origin.example",
            &["rcpt@dest.example"],
            &message::simple("x"),
        )
        .expect(250);
    client.quit();
    route.send(&message::simple("y")).expect(250);
    let judged = route.node.judged();
    assert!(judged[0].transaction.connection.tls.is_some());
    assert!(judged[1].transaction.connection.tls.is_none());
    assert!(judged[1].transaction.connection.authentication.is_none());
}
