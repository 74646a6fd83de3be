//! Gateways that are asked with TLS.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod support;

use std::fs;
use std::net::SocketAddr;

use support::gateway::Gateway;
use support::tls::{self, Authority};
use support::{Caller, Home, accept};

const MAIL: &[u8] = b"Subject: x\n\nbody\n";
const ENVELOPE: &[u8] = b"Fa@example.org\0Tb@example.org\0\0";

/// A gateway that accepts, with a certificate for these names.
fn serve(
    runtime: &tokio::runtime::Runtime,
    names: &[&str],
    authority: &Authority,
    clients: Option<&Authority>,
) -> (SocketAddr, Gateway) {
    let gateway = Gateway::new(|_| Ok(accept()));
    let address = tls::serve(gateway.clone(), runtime, names, authority, clients);
    (address, gateway)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

/// A home before such a gateway, with this authority's certificate in control/ca.pem.
fn home(address: SocketAddr, authority: &Authority, tls: &str) -> Home {
    let home = Home::before(&format!("'https://{address}'"), "");
    fs::write(home.path("control/ca.pem"), authority.pem()).unwrap();
    home.rule(&format!("[tls]\nca = 'control/ca.pem'\n{tls}"));
    home
}

#[test]
fn a_gateway_whose_certificate_is_believed_is_asked() {
    let (runtime, authority) = (runtime(), Authority::new());
    let (address, gateway) = serve(&runtime, &["127.0.0.1"], &authority, None);
    let home = home(address, &authority, "");
    let large = vec![b'x'; 3 << 20];
    for mail in [MAIL, &large] {
        let code = home.call(Caller::Network, mail, ENVELOPE);
        assert_eq!(code, 0, "{}", home.log());
    }
    assert_eq!(home.count(), 2);
    let asked = gateway.asked();
    assert!(asked[0].1 == MAIL && asked[1].1 == large);
}

#[test]
fn a_gateway_is_known_by_the_name_that_was_given() {
    let (runtime, authority) = (runtime(), Authority::new());
    let (address, _) = serve(&runtime, &["gateway.example"], &authority, None);
    let named = home(address, &authority, "server-name = 'gateway.example'\n");
    assert_eq!(
        named.call(Caller::Network, MAIL, ENVELOPE),
        0,
        "{}",
        named.log()
    );
    for tls in ["", "server-name = 'other.example'\n"] {
        let home = home(address, &authority, tls);
        assert_eq!(home.call(Caller::Network, MAIL, ENVELOPE), 71);
        assert!(home.log().contains("certificate"), "{}", home.log());
    }
}

#[test]
fn a_gateway_of_another_authority_is_not_told_the_message() {
    let (runtime, authority) = (runtime(), Authority::new());
    let (address, gateway) = serve(&runtime, &["127.0.0.1"], &Authority::new(), None);
    let home = home(address, &authority, "");
    assert_eq!(home.call(Caller::Network, MAIL, ENVELOPE), 71);
    assert!(home.log().contains("certificate"), "{}", home.log());
    assert_eq!((home.files(), gateway.asked().len()), (0, 0));
}

#[test]
fn a_gateway_that_wants_to_know_its_clients_is_shown_a_certificate() {
    let (runtime, authority) = (runtime(), Authority::new());
    let (address, _) = serve(&runtime, &["127.0.0.1"], &authority, Some(&authority));
    let nameless = home(address, &authority, "");
    assert_eq!(nameless.call(Caller::Network, MAIL, ENVELOPE), 71);

    let home = home(
        address,
        &authority,
        "certificate = 'control/cert.pem'\nkey = 'control/key.pem'\n",
    );
    let (certificate, key) = authority.signs(&["qmail.example"]);
    fs::write(home.path("control/cert.pem"), certificate).unwrap();
    fs::write(home.path("control/key.pem"), key).unwrap();
    assert_eq!(
        home.call(Caller::Network, MAIL, ENVELOPE),
        0,
        "{}",
        home.log()
    );
    fs::write(home.path("control/key.pem"), "no key").unwrap();
    assert_eq!(home.call(Caller::Network, MAIL, ENVELOPE), 55);
}
