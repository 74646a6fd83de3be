//! Connections that say nothing, many of them.

use std::net::TcpStream;

use millrace_milter::mta::Message;
use millrace_tests::admin;
use millrace_tests::milter::Sender;
use millrace_tests::patience::until;
use millrace_tests::servers::{Gateway, Upstream};

use crate::attacked::resident_mib;

const MANY: usize = 500;
const OPEN: &str = "millrace_gateway_connections{client=\"default\"}";

fn silent(gateway: &Gateway, count: usize) -> Vec<TcpStream> {
    (0..count)
        .map(|_| TcpStream::connect(("127.0.0.1", gateway.port())).expect("it is taken"))
        .collect()
}

fn open(gateway: &Gateway) -> usize {
    // A gauge of connections is a small whole number.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let open = admin::metric(gateway.admin_port(), OPEN) as usize;
    open
}

fn ordinary() -> Message {
    Message::parse(&millrace_tests::message::simple("ordinary"))
}

#[test]
fn five_hundred_of_them_cost_little_and_are_given_up() {
    let gateway = Gateway::start_with(&Upstream::Embedded(None), &[], "[time]\nidle_seconds = 8\n");
    let before = resident_mib(&gateway.process);
    let attackers = silent(&gateway, MANY);
    until("all are taken", || open(&gateway) >= MANY);
    assert_eq!(
        Sender::connect(gateway.port()).send(ordinary()).answer(),
        "accept"
    );
    let grown = resident_mib(&gateway.process).saturating_sub(before);
    assert!(grown < 32, "{grown} MiB for {MANY} connections");
    until("all are given up", || open(&gateway) == 0);
    drop(attackers);
    assert_eq!(
        Sender::connect(gateway.port()).send(ordinary()).answer(),
        "accept"
    );
}

#[test]
fn when_they_take_every_place_mail_is_put_off_and_comes_again() {
    let limits = "[limits]\nconnections = 100\n";
    let gateway = Gateway::start_with(&Upstream::Embedded(None), &[], limits);
    let attackers = silent(&gateway, 100);
    until("every place is taken", || open(&gateway) == 100);
    let mail = Sender::connect(gateway.port()).send(ordinary());
    assert!(mail.answer().starts_with("451 4.3.2 "), "{mail:?}");
    assert!(mail.answer().contains("(overload; "), "{mail:?}");

    let more = silent(&gateway, MANY - 100);
    let mail = Sender::connect(gateway.port()).send(ordinary());
    assert!(mail.answer().contains("(overload; "), "{mail:?}");
    drop((attackers, more));
    until("they are gone", || open(&gateway) == 0);
    assert_eq!(
        Sender::connect(gateway.port()).send(ordinary()).answer(),
        "accept"
    );
}
