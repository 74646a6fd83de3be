//! Where a queued message came from: nothing but its Received lines tells that, and of them the one that qmail-queue
//! wrote says which others can be believed.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use millrace_proto::{Connection, Direction, Peer};

use crate::received::Received;

/// Where a message came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) direction: Direction,
    pub(super) connection: Connection,
}

/// Of a message so much is looked at.
pub(super) const LONGEST: usize = 64 << 10;

/// How qmail-queue was called, as it writes into its own line (`received.c` of qmail-queue):
/// `Received: (qmail 123 invoked from network)`.
enum Stamp {
    Network,
    /// By the user `alias`, who forwards what came in otherwise.
    Alias,
    /// By a user, or by qmail-send for a bounce.
    Local,
}

impl Origin {
    /// Reads the header at the beginning of a message.
    ///
    /// qmail-queue's line is always on top. Only where it says that mail came from the network the next Received line
    /// is qmail-smtpd's; below a user's it may be a forgery.
    pub(super) fn read(beginning: &[u8]) -> Self {
        let mut from_network = false;
        for field in received(beginning) {
            match stamp(field) {
                Some(Stamp::Local) => {
                    return Self {
                        direction: Direction::Local,
                        connection: Connection {
                            peer: Peer::Unix(Bytes::new()),
                            ..Connection::default()
                        },
                    };
                }
                Some(Stamp::Alias) => {}
                Some(Stamp::Network) => from_network = true,
                None if from_network => return Self::network(Received::read(field)),
                None => break,
            }
        }
        Self::network(None)
    }

    fn network(received: Option<Received>) -> Self {
        let received = received.unwrap_or_default();
        let ip: Option<IpAddr> = received
            .ip
            .and_then(|ip| String::from_utf8(ip.to_vec()).ok())
            .and_then(|ip| ip.trim_matches(['[', ']']).parse().ok());
        Self {
            direction: Direction::Inbound,
            connection: Connection {
                peer: ip.map_or(Peer::Unknown, |ip| Peer::Ip(SocketAddr::new(ip, 0))),
                ptr: received.host,
                helo: received.helo,
                ..Connection::default()
            },
        }
    }
}

/// What begins with each Received field of the header, from the top.
fn received(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = &header[at..];
            let end = memchr::memchr(b'\n', rest)?;
            if end == 0 {
                return None;
            }
            at += end + 1;
            let name = rest.get(..9).unwrap_or_default();
            if name.eq_ignore_ascii_case(b"received:") {
                return Some(rest);
            }
        }
    })
}

fn stamp(field: &[u8]) -> Option<Stamp> {
    let rest = field.strip_prefix(b"Received: (qmail ")?;
    let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let how = line[digits..].strip_prefix(b" invoked ")?;
    Some(if how.starts_with(b"from network)") {
        Stamp::Network
    } else if how.starts_with(b"by alias)") {
        Stamp::Alias
    } else {
        Stamp::Local
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMTP: &str = "Received: from mx.example (HELO me) (192.0.2.1)\n  by us with SMTP; now\n";
    const FORGED: &str = "Received: from bank.example (203.0.113.1)\n  by us with SMTP; then\n";
    const NETWORK: &str = "Received: (qmail 12 invoked from network); now\n";
    const ALIAS: &str = "Received: (qmail 13 invoked by alias); now\n";
    const USER: &str = "Received: (qmail 14 invoked by uid 1000); now\n";
    const BOUNCE: &str = "Received: (qmail 15 invoked for bounce); now\n";

    #[test]
    fn the_client_is_believed_only_below_a_line_of_qmail_queue_that_says_network() {
        let ours = "X-Added-By-A-Conduit: 1\n folded\n";
        let delivered = "Delivered-To: alias-x@h\n";
        for (lines, direction, peer) in [
            (vec![NETWORK, SMTP], Direction::Inbound, "192.0.2.1"),
            (vec![NETWORK, ours, SMTP], Direction::Inbound, "192.0.2.1"),
            (vec![NETWORK, SMTP, FORGED], Direction::Inbound, "192.0.2.1"),
            (
                vec![ALIAS, delivered, NETWORK, SMTP],
                Direction::Inbound,
                "192.0.2.1",
            ),
            (vec![USER, FORGED], Direction::Local, "local"),
            (vec![USER, NETWORK, FORGED], Direction::Local, "local"),
            (vec![ALIAS, USER, FORGED], Direction::Local, "local"),
            (vec![BOUNCE, FORGED], Direction::Local, "local"),
            (
                vec![NETWORK, "Received: by x\n", SMTP],
                Direction::Inbound,
                "unknown",
            ),
            (
                vec![NETWORK, "Subject: x\n\n", SMTP],
                Direction::Inbound,
                "unknown",
            ),
            (vec![FORGED, NETWORK, SMTP], Direction::Inbound, "unknown"),
            (vec![], Direction::Inbound, "unknown"),
        ] {
            let origin = Origin::read(lines.concat().as_bytes());
            assert_eq!(origin.direction, direction, "{lines:?}");
            assert_eq!(origin.connection.peer.to_string(), peer, "{lines:?}");
        }
        let origin = Origin::read([NETWORK, SMTP].concat().as_bytes());
        assert_eq!(origin.connection.helo.as_deref(), Some(&b"me"[..]));
        assert_eq!(origin.connection.ptr.as_deref(), Some(&b"mx.example"[..]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Origin::read(&bytes);
            let mut after = NETWORK.as_bytes().to_vec();
            after.extend(bytes);
            let _ = Origin::read(&after);
        }
    }
}
