//! Transactions.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::{non_empty, required};
use crate::error::InvalidMessage;
use crate::transaction::{
    Authentication, Capabilities, ConduitKind, Connection, Direction, Envelope, LineEnding, Macro,
    Peer, Revision, Tls, Transaction, TransactionId,
};
use crate::{Path, pb};

impl TryFrom<pb::Transaction> for Transaction {
    type Error = InvalidMessage;

    fn try_from(raw: pb::Transaction) -> Result<Self, InvalidMessage> {
        Ok(Self {
            id: transaction_id(&raw.id)?,
            conduit: raw.conduit().try_into()?,
            direction: raw.direction().try_into()?,
            line_ending: raw.line_ending().try_into()?,
            client: raw.client.parse()?,
            capabilities: required("capabilities", raw.capabilities)?.into(),
            connection: required("connection", raw.connection)?.try_into()?,
            envelope: required("envelope", raw.envelope)?.into(),
            queue_id: non_empty(raw.queue_id),
            macros: raw.macros.into_iter().map(Macro::from).collect(),
            revision: revision("revision", &raw.revision)?,
        })
    }
}

impl From<Transaction> for pb::Transaction {
    fn from(transaction: Transaction) -> Self {
        Self {
            id: Bytes::copy_from_slice(transaction.id.as_bytes()),
            conduit: pb::ConduitKind::from(transaction.conduit).into(),
            client: transaction.client.as_str().to_owned(),
            direction: pb::Direction::from(transaction.direction).into(),
            capabilities: Some(transaction.capabilities.into()),
            connection: Some(transaction.connection.into()),
            envelope: Some(transaction.envelope.into()),
            queue_id: transaction.queue_id.unwrap_or_default(),
            macros: transaction
                .macros
                .into_iter()
                .map(pb::Macro::from)
                .collect(),
            line_ending: pb::LineEnding::from(transaction.line_ending).into(),
            revision: revision_text(transaction.revision.as_ref()),
        }
    }
}

pub(super) fn transaction_id(raw: &[u8]) -> Result<TransactionId, InvalidMessage> {
    let bytes = raw.try_into().map_err(|_| InvalidMessage::Malformed {
        field: "transaction.id",
        problem: "a transaction's id has 16 bytes",
    })?;
    Ok(TransactionId::from_bytes(bytes))
}

pub(super) fn revision(field: &'static str, raw: &str) -> Result<Option<Revision>, InvalidMessage> {
    if raw.is_empty() {
        return Ok(None);
    }
    Revision::new(raw)
        .map(Some)
        .ok_or(InvalidMessage::Malformed {
            field,
            problem: "a revision is 1 to 64 hexadecimal digits",
        })
}

pub(super) fn revision_text(revision: Option<&Revision>) -> String {
    revision
        .map(|revision| revision.as_str().to_owned())
        .unwrap_or_default()
}

/// A closed set on both sides, whose zero value says that the field is absent.
macro_rules! enumeration {
    ($domain:ident, $field:literal, $($name:ident),+) => {
        impl TryFrom<pb::$domain> for $domain {
            type Error = InvalidMessage;

            fn try_from(raw: pb::$domain) -> Result<Self, InvalidMessage> {
                match raw {
                    pb::$domain::Unspecified => Err(InvalidMessage::Missing($field)),
                    $(pb::$domain::$name => Ok(Self::$name),)+
                }
            }
        }

        impl From<$domain> for pb::$domain {
            fn from(value: $domain) -> Self {
                match value {
                    $($domain::$name => Self::$name,)+
                }
            }
        }
    };
}
pub(super) use enumeration;

enumeration!(
    ConduitKind,
    "conduit",
    Milter,
    QmailQueue,
    DotQmail,
    Qmqp,
    Exchange,
    Scan
);
enumeration!(Direction, "direction", Inbound, Outbound, Local);
enumeration!(LineEnding, "line_ending", Crlf, Lf);

impl From<pb::Capabilities> for Capabilities {
    fn from(raw: pb::Capabilities) -> Self {
        Self {
            add_header: raw.add_header,
            change_header: raw.change_header,
            replace_body: raw.replace_body,
            change_sender: raw.change_sender,
            add_recipient: raw.add_recipient,
            delete_recipient: raw.delete_recipient,
            hold: raw.hold,
            reject: raw.reject,
            reply_text: raw.reply_text,
            tempfail: raw.tempfail,
            discard: raw.discard,
        }
    }
}

impl From<Capabilities> for pb::Capabilities {
    fn from(can: Capabilities) -> Self {
        Self {
            add_header: can.add_header,
            change_header: can.change_header,
            replace_body: can.replace_body,
            change_sender: can.change_sender,
            add_recipient: can.add_recipient,
            delete_recipient: can.delete_recipient,
            hold: can.hold,
            reject: can.reject,
            reply_text: can.reply_text,
            tempfail: can.tempfail,
            discard: can.discard,
        }
    }
}

impl TryFrom<pb::Connection> for Connection {
    type Error = InvalidMessage;

    fn try_from(raw: pb::Connection) -> Result<Self, InvalidMessage> {
        let port = u16::try_from(raw.port).map_err(|_| InvalidMessage::Malformed {
            field: "connection.port",
            problem: "a port is at most 65535",
        })?;
        let peer = match raw.peer {
            None => Peer::Unknown,
            Some(pb::connection::Peer::Unix(path)) => Peer::Unix(path),
            Some(pb::connection::Peer::Ip(address)) => {
                Peer::Ip(SocketAddr::new(ip(&address)?, port))
            }
        };
        Ok(Self {
            peer,
            ptr: non_empty(raw.ptr),
            helo: non_empty(raw.helo),
            tls: raw.tls.map(Tls::from),
            authentication: raw.authentication.map(Authentication::from),
        })
    }
}

fn ip(raw: &[u8]) -> Result<IpAddr, InvalidMessage> {
    if let Ok(octets) = <[u8; 4]>::try_from(raw) {
        return Ok(octets.into());
    }
    let octets = <[u8; 16]>::try_from(raw).map_err(|_| InvalidMessage::Malformed {
        field: "connection.ip",
        problem: "an IP address has 4 or 16 bytes",
    })?;
    Ok(octets.into())
}

impl From<Connection> for pb::Connection {
    fn from(connection: Connection) -> Self {
        let (peer, port) = match connection.peer {
            Peer::Unknown => (None, 0),
            Peer::Unix(path) => (Some(pb::connection::Peer::Unix(path)), 0),
            Peer::Ip(address) => {
                let octets = match address.ip() {
                    IpAddr::V4(v4) => Bytes::copy_from_slice(&v4.octets()),
                    IpAddr::V6(v6) => Bytes::copy_from_slice(&v6.octets()),
                };
                (
                    Some(pb::connection::Peer::Ip(octets)),
                    address.port().into(),
                )
            }
        };
        Self {
            peer,
            port,
            ptr: connection.ptr.unwrap_or_default(),
            helo: connection.helo.unwrap_or_default(),
            tls: connection.tls.map(pb::Tls::from),
            authentication: connection.authentication.map(pb::Authentication::from),
        }
    }
}

impl From<pb::Tls> for Tls {
    fn from(raw: pb::Tls) -> Self {
        Self {
            version: raw.version,
            cipher: raw.cipher,
            cipher_bits: raw.cipher_bits,
            certificate_subject: raw.certificate_subject,
            certificate_issuer: raw.certificate_issuer,
            verified: raw.verified,
        }
    }
}

impl From<Tls> for pb::Tls {
    fn from(tls: Tls) -> Self {
        Self {
            version: tls.version,
            cipher: tls.cipher,
            cipher_bits: tls.cipher_bits,
            certificate_subject: tls.certificate_subject,
            certificate_issuer: tls.certificate_issuer,
            verified: tls.verified,
        }
    }
}

impl From<pb::Authentication> for Authentication {
    fn from(raw: pb::Authentication) -> Self {
        Self {
            mechanism: raw.mechanism,
            user: raw.user,
            author: raw.author,
        }
    }
}

impl From<Authentication> for pb::Authentication {
    fn from(authentication: Authentication) -> Self {
        Self {
            mechanism: authentication.mechanism,
            user: authentication.user,
            author: authentication.author,
        }
    }
}

impl From<pb::Envelope> for Envelope {
    fn from(raw: pb::Envelope) -> Self {
        Self {
            sender: raw.sender.map(Path::from),
            recipients: raw.recipients.into_iter().map(Path::from).collect(),
        }
    }
}

impl From<Envelope> for pb::Envelope {
    fn from(envelope: Envelope) -> Self {
        Self {
            sender: envelope.sender.map(pb::Path::from),
            recipients: envelope
                .recipients
                .into_iter()
                .map(pb::Path::from)
                .collect(),
        }
    }
}

impl From<pb::Path> for Path {
    fn from(raw: pb::Path) -> Self {
        Self {
            address: raw.address,
            parameters: raw.parameters,
        }
    }
}

impl From<Path> for pb::Path {
    fn from(path: Path) -> Self {
        Self {
            address: path.address,
            parameters: path.parameters,
        }
    }
}

impl From<pb::Macro> for Macro {
    fn from(raw: pb::Macro) -> Self {
        Self {
            name: raw.name,
            value: raw.value,
        }
    }
}

impl From<Macro> for pb::Macro {
    fn from(entry: Macro) -> Self {
        Self {
            name: entry.name,
            value: entry.value,
        }
    }
}
