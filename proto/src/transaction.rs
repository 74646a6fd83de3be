//! The mail transaction as the conduit saw it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;

use crate::address::Path;

/// One mail transaction: who connects, the envelope, and what the mail system
/// behind the conduit can carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The same on every try of the same transaction.
    pub id: TransactionId,
    /// The kind of conduit that carries the verdict out.
    pub conduit: ConduitKind,
    /// The tenant: the configured name of the mail server or listener.
    pub client: ClientName,
    /// Which way the mail goes, as the client's configuration says.
    pub direction: Direction,
    /// What the conduit, with this mail server, can carry out.
    pub capabilities: Capabilities,
    /// The SMTP connection.
    pub connection: Connection,
    /// Sender and recipients.
    pub envelope: Envelope,
    /// The mail server's identifier of the message, once it has given one.
    pub queue_id: Option<Bytes>,
    /// What else the mail server told, by milter name.
    pub macros: Vec<Macro>,
    /// How the content's lines end.
    pub line_ending: LineEnding,
    /// The policy revision that the transaction is pinned to.
    pub revision: Option<Revision>,
}

/// A transaction's identifier: UUID version 7 (RFC 9562 §5.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionId(uuid::Uuid);

/// The configured name of a mail server or listener: the tenant. Letters,
/// digits, `.`, `_` and `-`, 1 to 64 of them, so that it can stand in metrics,
/// logs, file names and certificates.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientName(Arc<str>);

/// Why a text is no client name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a client name: 1 to 64 letters, digits, '.', '_' and '-'")]
pub struct InvalidClientName(pub String);

/// A policy revision: the hash of its manifest.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(Arc<str>);

/// The kind of conduit that carries a verdict out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConduitKind {
    /// The milter protocol: Sendmail, Postfix.
    Milter,
    /// The program in front of qmail's qmail-queue.
    QmailQueue,
    /// A program line in a `.qmail` file.
    DotQmail,
    /// A QMQP client.
    Qmqp,
    /// The COM sink of Exchange and IIS SMTP.
    Exchange,
    /// Somebody who asks for a verdict that nobody carries out.
    Scan,
}

/// Which way mail goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the outside to ours.
    Inbound,
    /// From ours to the outside.
    Outbound,
    /// From ours to ours.
    Local,
}

/// How the content's lines end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnding {
    /// CR LF, as on the SMTP wire.
    Crlf,
    /// Bare LF, as in qmail's queue and on Unix disks.
    Lf,
}

/// What a conduit, with the mail server behind it, can carry out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // eleven independent abilities
pub struct Capabilities {
    /// Add and insert headers.
    pub add_header: bool,
    /// Change and delete headers.
    pub change_header: bool,
    /// Replace the body.
    pub replace_body: bool,
    /// Change the envelope sender.
    pub change_sender: bool,
    /// Add recipients.
    pub add_recipient: bool,
    /// Remove recipients.
    pub delete_recipient: bool,
    /// The mail server's own hold.
    pub hold: bool,
    /// A refusal reaches the sender.
    pub reject: bool,
    /// The refusal carries our own text.
    pub reply_text: bool,
    /// A temporary failure makes the sender, or the queue, try again.
    pub tempfail: bool,
    /// Take the message and drop it.
    pub discard: bool,
}

/// The SMTP connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connection {
    /// Who connects.
    pub peer: Peer,
    /// The peer's name as the mail server resolved it.
    pub ptr: Option<Bytes>,
    /// The argument of HELO or EHLO.
    pub helo: Option<Bytes>,
    /// The TLS session; `None` for plain text.
    pub tls: Option<Tls>,
    /// SMTP AUTH; `None` when the peer did not authenticate.
    pub authentication: Option<Authentication>,
}

/// Who connects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Peer {
    /// Over IP; port 0 when it is not known.
    Ip(SocketAddr),
    /// On the same host, over a socket of this path (may be empty).
    Unix(Bytes),
    /// The mail server did not tell.
    #[default]
    Unknown,
}

/// The TLS session of an SMTP connection, in the mail server's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// As `TLSv1.3`.
    pub version: Bytes,
    /// As `TLS_AES_256_GCM_SHA384`.
    pub cipher: Bytes,
    /// Effective key length.
    pub cipher_bits: u32,
    /// Subject of the peer's certificate, or empty.
    pub certificate_subject: Bytes,
    /// Issuer of the peer's certificate, or empty.
    pub certificate_issuer: Bytes,
    /// The mail server's word on the certificate: `OK`, `NO`, `FAIL`.
    pub verified: Bytes,
}

/// SMTP AUTH (RFC 4954).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authentication {
    /// As `PLAIN`.
    pub mechanism: Bytes,
    /// The authenticated user.
    pub user: Bytes,
    /// The `AUTH=` parameter of MAIL, or empty.
    pub author: Bytes,
}

/// Sender and recipients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// `None` before MAIL.
    pub sender: Option<Path>,
    /// In the order of their RCPT commands; refused ones are not here.
    pub recipients: Vec<Path>,
}

/// A value that the mail server told about itself, the connection or the
/// message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Macro {
    /// With braces where it has more than one letter: `j`, `{daemon_name}`.
    pub name: Bytes,
    /// May be empty.
    pub value: Bytes,
}

impl Transaction {
    /// The value of a macro; the last one told, if it was told twice.
    #[must_use]
    pub fn macro_value(&self, name: &str) -> Option<&Bytes> {
        self.macros
            .iter()
            .rev()
            .find(|entry| entry.name == name.as_bytes())
            .map(|entry| &entry.value)
    }
}

impl TransactionId {
    /// A new identifier, of now.
    #[must_use]
    pub fn new() -> Self {
        Self(uuid::Uuid::now_v7())
    }

    /// The 16 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// From its 16 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }
}

impl Default for TransactionId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for ClientName {
    type Err = InvalidClientName;

    fn from_str(text: &str) -> Result<Self, InvalidClientName> {
        let valid = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !valid {
            return Err(InvalidClientName(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

impl ClientName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Revision {
    /// From the hash's hexadecimal form; `None` when it is empty or has other
    /// characters.
    #[must_use]
    pub fn new(hash: &str) -> Option<Self> {
        let valid = !hash.is_empty() && hash.len() <= 64;
        (valid && hash.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| Self(hash.into()))
    }

    /// The whole hash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 characters, as people see it.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..self.0.len().min(12)]
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl ConduitKind {
    /// The name used in logs, metrics and the conformance table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Milter => "milter",
            Self::QmailQueue => "qmail-queue",
            Self::DotQmail => "dot-qmail",
            Self::Qmqp => "qmqp",
            Self::Exchange => "exchange",
            Self::Scan => "scan",
        }
    }
}

impl ConduitKind {
    /// The most that a conduit of this kind can carry out; what a mail server
    /// then allows may be less.
    #[must_use]
    pub fn capabilities(self) -> Capabilities {
        match self {
            Self::Milter | Self::Scan => Capabilities::ALL,
            // There is no hold in qmail's queue.
            Self::QmailQueue | Self::Qmqp => Capabilities {
                hold: false,
                ..Capabilities::ALL
            },
            // The message is a read-only file. There is no SMTP left to refuse
            // in: the line says whether a refusal is a bounce, and has a
            // maildir of its own to hold mail in; by default it has neither.
            Self::DotQmail => Capabilities {
                hold: true,
                reject: true,
                reply_text: true,
                tempfail: true,
                discard: true,
                ..Capabilities::NONE
            },
            // The sender has had its 250 long since.
            Self::Exchange => Capabilities {
                change_sender: false,
                hold: false,
                reject: false,
                reply_text: false,
                ..Capabilities::ALL
            },
        }
    }
}

impl fmt::Display for ConduitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Direction {
    /// The name used in configuration, logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Local => "local",
        }
    }
}

impl FromStr for ConduitKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [
            Self::Milter,
            Self::QmailQueue,
            Self::DotQmail,
            Self::Qmqp,
            Self::Exchange,
            Self::Scan,
        ]
        .into_iter()
        .find(|kind| kind.name() == text)
        .ok_or_else(|| format!("'{text}' is not a kind of conduit"))
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Direction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Inbound, Self::Outbound, Self::Local]
            .into_iter()
            .find(|direction| direction.name() == text)
            .ok_or_else(|| format!("'{text}' is not a direction: inbound, outbound or local"))
    }
}

impl Capabilities {
    /// Everything can be carried out.
    pub const ALL: Self = Self {
        add_header: true,
        change_header: true,
        replace_body: true,
        change_sender: true,
        add_recipient: true,
        delete_recipient: true,
        hold: true,
        reject: true,
        reply_text: true,
        tempfail: true,
        discard: true,
    };

    /// Nothing can be.
    pub const NONE: Self = Self {
        add_header: false,
        change_header: false,
        replace_body: false,
        change_sender: false,
        add_recipient: false,
        delete_recipient: false,
        hold: false,
        reject: false,
        reply_text: false,
        tempfail: false,
        discard: false,
    };
}

impl Peer {
    /// The IP address, if the peer has one. An IPv4-mapped IPv6 address
    /// (RFC 4291 §2.5.5.2) is given as the IPv4 address that it is.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip().to_canonical()),
            Self::Unix(_) | Self::Unknown => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{}", address.ip()),
            Self::Unix(_) => f.write_str("local"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}
