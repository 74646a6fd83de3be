//! Who called: told by the real uid alone, for a local user can set any variable.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStringExt;

use bytes::Bytes;
use millrace_proto::{Authentication, Connection, Direction, Peer};

use crate::received::Received;

/// Who called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallerKind {
    /// qmail-smtpd and its like: mail from the network, an empty sender or not.
    Network,
    /// qmail-send, with a bounce: never refused, never delayed.
    Bounce,
    /// A user of this machine, or a program on a user's behalf.
    Local,
}

/// Which uids are whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Users {
    /// qmail-smtpd runs as these: `qmaild`.
    pub network: Vec<u32>,
    /// qmail-send runs as these: `qmails`.
    pub bounce: Vec<u32>,
}

/// Who called, and what is known of the SMTP connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub kind: CallerKind,
    /// Which way the mail goes.
    pub direction: Direction,
    /// The SMTP connection; for all but the network, the calling user's.
    pub connection: Connection,
    /// The real uid.
    pub uid: u32,
}

impl CallerKind {
    /// The name used in configuration and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Bounce => "bounce",
            Self::Local => "local",
        }
    }
}

impl Users {
    /// The kind of a real uid.
    #[must_use]
    pub fn kind(&self, uid: u32) -> CallerKind {
        if self.bounce.contains(&uid) {
            CallerKind::Bounce
        } else if self.network.contains(&uid) {
            CallerKind::Network
        } else {
            CallerKind::Local
        }
    }

    /// The uid of a user, from `/etc/passwd`: the C library's own look-up loads libraries, for which there is no room.
    #[must_use]
    pub fn uid_of(user: &str) -> Option<u32> {
        let file = BufReader::new(fs::File::open("/etc/passwd").ok()?);
        file.lines().map_while(Result::ok).find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == user).then(|| fields.nth(1)?.parse().ok())?
        })
    }
}

impl Caller {
    /// From the real uid, the environment, and the beginning of the message.
    #[must_use]
    pub fn new(
        uid: u32,
        users: &Users,
        variable: impl Fn(&str) -> Option<Bytes>,
        beginning: &[u8],
    ) -> Self {
        let kind = users.kind(uid);
        if kind != CallerKind::Network {
            let authentication = Authentication {
                mechanism: Bytes::from_static(b"uid"),
                user: uid.to_string().into(),
                author: Bytes::new(),
            };
            return Self {
                kind,
                direction: Direction::Local,
                connection: Connection {
                    peer: Peer::Unix(Bytes::new()),
                    authentication: (kind == CallerKind::Local).then_some(authentication),
                    ..Connection::default()
                },
                uid,
            };
        }
        let received = Received::read(beginning).unwrap_or_default();
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).ok();
        let ip: Option<IpAddr> = variable("TCPREMOTEIP")
            .or(received.ip)
            .and_then(text)
            .and_then(|ip| ip.trim_matches(['[', ']']).parse().ok());
        let port = variable("TCPREMOTEPORT")
            .and_then(text)
            .and_then(|port| port.parse().ok());
        let host = variable("TCPREMOTEHOST").or(received.host);
        let relays = variable("RELAYCLIENT").is_some();
        let info = variable("TCPREMOTEINFO").or(received.info);
        Self {
            kind,
            direction: if relays {
                Direction::Outbound
            } else {
                Direction::Inbound
            },
            connection: Connection {
                peer: ip.map_or(Peer::Unknown, |ip| {
                    Peer::Ip(SocketAddr::new(ip, port.unwrap_or(0)))
                }),
                ptr: host.filter(|host| !host.is_empty() && host != "unknown"),
                helo: received.helo,
                tls: None,
                // ident says what its client likes; of a relay client it is the name that SMTP AUTH's patches put there.
                authentication: info.filter(|info| relays && !info.is_empty()).map(|user| {
                    Authentication {
                        user,
                        ..Authentication::default()
                    }
                }),
            },
            uid,
        }
    }
}

/// A variable of the process's environment.
pub(crate) fn variable(name: &str) -> Option<Bytes> {
    std::env::var_os(name).map(|value| value.into_vec().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIVED: &[u8] = b"Received: from unknown (HELO evil) (203.0.113.9)\n  by us\n\nx\n";

    fn users() -> Users {
        Users {
            network: vec![7770],
            bounce: vec![7772],
        }
    }

    fn called(uid: u32, environment: &[(&str, &'static str)]) -> Caller {
        let variable = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name)?;
            Some(Bytes::from_static(found.1.as_bytes()))
        };
        Caller::new(uid, &users(), variable, RECEIVED)
    }

    #[test]
    fn the_environment_is_believed_only_of_qmaild() {
        let claims = [
            ("TCPREMOTEIP", "192.0.2.1"),
            ("TCPREMOTEHOST", "mx.example"),
            ("RELAYCLIENT", ""),
        ];
        let network = called(7770, &claims);
        assert_eq!(network.kind, CallerKind::Network);
        assert_eq!(network.connection.peer.to_string(), "192.0.2.1");
        assert_eq!(network.connection.ptr.as_deref(), Some(&b"mx.example"[..]));
        assert_eq!(network.connection.helo.as_deref(), Some(&b"evil"[..]));
        for uid in [7772, 1000, 0] {
            let other = called(uid, &claims);
            assert_eq!(other.connection.peer.to_string(), "local", "{uid}");
            assert_eq!(
                (other.connection.ptr, other.connection.helo),
                (None, None),
                "{uid}"
            );
            assert_eq!(other.direction, Direction::Local, "{uid}");
        }
        assert_eq!(called(7772, &[]).kind, CallerKind::Bounce);
        assert_eq!(called(1000, &[]).kind, CallerKind::Local);
    }

    #[test]
    fn a_relay_client_is_one_whose_variable_is_there_even_empty() {
        assert_eq!(
            called(7770, &[("RELAYCLIENT", "")]).direction,
            Direction::Outbound
        );
        assert_eq!(called(7770, &[]).direction, Direction::Inbound);
    }

    #[test]
    fn without_tcpserver_the_received_line_tells_the_client() {
        assert_eq!(called(7770, &[]).connection.peer.to_string(), "203.0.113.9");
    }
}
