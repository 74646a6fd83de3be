//! The complaint: somebody points a web client, or clamd's, at the filter's port, and the log says
//! "unreasonable packet length 1347375955". It takes a web search to learn that this spells POST.
//!
//! Here: the log says who it was and what it seemed to speak.

use millrace_tests::milter::{Sender, Wire};
use millrace_tests::patience::until;
use millrace_tests::servers::{Gateway, Upstream};

use crate::support::{counted, ordinary};

#[test]
fn in_the_log_with_the_peer() {
    let gateway = Gateway::start(&Upstream::Embedded(None));
    let foreigners: [(&[u8], &str); 9] = [
        (b"POST /checkv2 HTTP/1.1\r\nHost: filter\r\n\r\n", "HTTP"),
        (b"GET / HTTP/1.0\r\n\r\n", "HTTP"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2"),
        (b"EHLO mx.example\r\n", "SMTP"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"),
        (b"zINSTREAM\0", "clamd"),
        (b"UNKNOWN COMMAND\n", "clamd"),
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "the PROXY protocol",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH"),
    ];
    for (n, (said, name)) in foreigners.into_iter().enumerate() {
        let mut wire = Wire::connect(gateway.port());
        wire.write(said);
        assert_eq!(
            wire.rest(),
            [],
            "nothing is answered to what is not understood"
        );
        until("it is logged", || {
            let named = format!("the peer speaks {name}, not the milter protocol");
            gateway.log().matches("not the milter protocol").count() == n + 1
                && gateway.log().lines().last().is_some_and(|line| {
                    line.contains(&named)
                        && line.contains("peer=127.0.0.1:")
                        && line.contains(" WARN ")
                })
        });
    }
    let metric =
        "millrace_gateway_connections_broken_total{client=\"default\",reason=\"wrong-protocol\"}";
    counted(&gateway, metric, 9.0);
    assert_eq!(
        Sender::connect(gateway.port()).send(ordinary()).answer(),
        "accept"
    );
}
