use std::time::Duration;

use bytes::Bytes;
use millrace_client::{CallOptions, Client, Content};
use millrace_proto::{CallError, Disposition};
use millrace_runtime::tls::{Links, TlsConfig};
use millrace_tests::certs::Certs;
use millrace_tests::ports::Port;
use millrace_tests::servers::{Gateway, Upstream};
use millrace_tests::transaction;

use crate::tier::peer;

const GATEWAY_HERE: &str = "gateway-1.example,127.0.0.1";
const CONDUIT: &str = "qmail-1.example";
const OTHER: &str = "qmail-2.example";

/// What a gateway answers to a message of whoever has this certificate.
async fn ask(certs: &Certs, address: &str, name: Option<&str>) -> Result<Disposition, CallError> {
    let tls = TlsConfig {
        certificate: name.map(|name| certs.file(&format!("{name}.pem"))),
        key: name.map(|name| certs.file(&format!("{name}-key.pem"))),
        ca: Some(certs.file("ca.pem")),
        server_name: None,
    };
    let connector = Links::client(&tls).expect("the certificates are good");
    let client = Client::over(address, connector).expect("an address");
    let content = Content::Memory(Bytes::from_static(b"Subject: x\r\n\r\nx\r\n"));
    let options = CallOptions::deadline(Duration::from_secs(60));
    let verdict = client
        .process(&transaction::from(b"a@example.org"), &content, options)
        .await?;
    Ok(verdict.disposition)
}

#[tokio::test]
async fn a_conduit_speaks_for_the_clients_of_its_row_and_no_others() {
    let certs = Certs::of(&[GATEWAY_HERE, CONDUIT, OTHER]);
    let (secure, plain) = (Port::reserve(), Port::reserve());
    let text = format!(
        "[[conduit]]\nclient = 'qmail-1'\nlisten = ['tcp://127.0.0.1:{}']\n\
         [[conduit]]\nclient = 'here'\ntls = false\nlisten = ['tcp://127.0.0.1:{}']\n{}{}{}",
        secure.number(),
        plain.number(),
        peer(CONDUIT, &["qmail-1"], &["process"]),
        peer(OTHER, &["qmail-2"], &["process"]),
        certs.table("gateway-1.example"),
    );
    let mut gateway = Gateway::launch(&Upstream::Embedded(None), &[], &text);
    gateway.wait_until_ready();
    let address = format!("https://127.0.0.1:{}", secure.number());

    let permitted = ask(&certs, &address, Some(CONDUIT)).await;
    assert_eq!(permitted, Ok(Disposition::Accept));
    let denied = ask(&certs, &address, Some(OTHER)).await;
    assert!(
        matches!(&denied, Err(CallError::Denied(told)) if told.contains("client qmail-1")),
        "{denied:?}"
    );
    gateway.process.wait_for_line(OTHER);
    let nobody = ask(&certs, &address, None).await;
    assert!(
        matches!(
            &nobody,
            Err(CallError::Unavailable(_) | CallError::Lost(_) | CallError::Cancelled)
        ),
        "{nobody:?}"
    );
    gateway.process.wait_for_line("no-certificate");

    let local = ask(
        &certs,
        &format!("http://127.0.0.1:{}", plain.number()),
        None,
    )
    .await;
    assert_eq!(local, Ok(Disposition::Accept));
}
