//! What a gateway is told: its clients and where they connect, its limits, and what is done when something
//! fails.
//!
//! [`Document`] is the file as it is written, [`Config`] what was understood of it.

mod document;
mod remote;
mod resolve;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use millrace_proto::{ClientName, Direction};
use millrace_runtime::grpc::ConnectionAge;

use crate::address::ListenAddress;
use crate::failure::FailureTable;
use crate::queue::QueueBounds;

pub use document::{Document, Section};
pub use remote::Remote;
pub use resolve::Origin;

/// A gateway's configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// At least one, with names of their own.
    pub clients: Vec<ClientConfig>,
    /// What is done without a verdict.
    pub failures: FailureTable,
    /// What all clients share.
    pub limits: Limits,
    /// How long things may take.
    pub times: Times,
}

/// A mail server, or several that are treated alike: the tenant.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Its name in policies, metrics and logs.
    pub name: ClientName,
    /// Which way its mail goes.
    pub direction: Direction,
    /// What is spoken on its listeners.
    pub protocol: Protocol,
    /// What waits on the other side.
    pub mta: Mta,
    /// Where it connects; at least one.
    pub listen: Vec<ListenAddress>,
    /// Mode of its unix sockets.
    pub socket_mode: u32,
    /// Group of its unix sockets; the process's own when `None`.
    pub socket_group: Option<String>,
    /// Who may connect over TCP. Empty for a listener that only this machine can reach.
    pub allow: Vec<IpNet>,
    /// Whether its TCP listeners speak TLS; when `None`, they do where the process has a certificate. Only where the
    /// contract is spoken.
    pub tls: Option<bool>,
    /// Connections at once.
    pub connections: usize,
    /// Bytes of message content in memory at once.
    pub memory: u64,
    /// Its share of what is judged while messages have to wait, against others of 1.
    pub weight: u32,
    /// Largest message, in bytes; the policy's own limit counts as well.
    pub message_size: Option<u64>,
    /// From the end of a message to its verdict; never above what the mail server waits.
    pub deadline: Duration,
}

/// What is spoken on a client's listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// The milter protocol: a mail server connects.
    Milter,
    /// QMQP: a qmail connects, and the mail is passed on to another.
    Qmqp(Arc<Qmqp>),
    /// The contract itself: a conduit connects.
    Contract {
        /// Whose word counts on the way that mail goes.
        direction: DirectionFrom,
    },
}

/// What becomes of mail that comes by QMQP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qmqp {
    /// Servers that it is passed on to, by QMQP, in turn until one takes the connection; at least one.
    pub downstream: Vec<SocketAddr>,
    /// Whether the line that qmail-smtpd puts on top is believed about the SMTP client.
    pub believe_received: bool,
}

/// Whose word counts on the way that a conduit's mail goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectionFrom {
    /// The listener's: it was configured.
    Listener,
    /// The conduit's, for each message: one qmail-queue takes mail of all ways.
    Conduit,
}

/// What kind of mail server connects: it decides how long there is for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mta {
    /// Not told: the shortest patience of all.
    Any,
    /// Waits 10 s for an answer and 5 min for a verdict (`T=R:10s;E:5m`).
    Sendmail,
    /// Waits 30 s for an answer; for a verdict as long as there is progress, and then the SMTP client is gone.
    Postfix,
}

/// What all clients share.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Bytes of message content in memory at once.
    pub memory: u64,
    /// A message above this many bytes goes to an unlinked file.
    pub spool_above: u64,
    /// Bytes in such files at once.
    pub spool: u64,
    /// Where they are.
    pub spool_folder: PathBuf,
    /// Messages judged at once; `None` for as many as those who judge admit.
    pub in_flight: Option<usize>,
    /// What bounds the wait for that.
    pub queue: QueueBounds,
}

/// How long things may take.
#[derive(Debug, Clone)]
pub struct Times {
    /// A connection on which nothing comes is closed after this.
    pub idle: Duration,
    /// Between two signs of life while a verdict is awaited.
    pub progress: Duration,
    /// How old the connections of conduits may grow.
    pub connection_age: ConnectionAge,
}

impl Mta {
    /// The time for an answer before the end of a message.
    #[must_use]
    pub fn answer_deadline(self) -> Duration {
        match self {
            Self::Any | Self::Sendmail => Duration::from_secs(8),
            Self::Postfix => Duration::from_secs(25),
        }
    }

    /// The longest that a verdict may take.
    #[must_use]
    pub fn verdict_deadline(self) -> Duration {
        match self {
            Self::Any | Self::Sendmail => Duration::from_secs(270),
            Self::Postfix => Duration::from_secs(460),
        }
    }
}

impl Config {
    /// The configuration of a gateway with one client, named `default`, inbound.
    #[must_use]
    pub fn simple(listen: Vec<ListenAddress>, allow: Vec<IpNet>) -> Self {
        Self {
            clients: vec![ClientConfig::new(listen, allow)],
            failures: FailureTable::default(),
            limits: Limits::default(),
            times: Times::default(),
        }
    }
}

impl ClientConfig {
    /// The name of the client that listeners given as flags belong to.
    pub const DEFAULT_NAME: &'static str = "default";

    /// A client named `default`, inbound, with all limits at their defaults.
    #[must_use]
    pub fn new(listen: Vec<ListenAddress>, allow: Vec<IpNet>) -> Self {
        Self {
            name: Self::DEFAULT_NAME
                .parse()
                .expect("a constant that is a name"),
            direction: Direction::Inbound,
            protocol: Protocol::Milter,
            mta: Mta::Any,
            listen,
            socket_mode: 0o660,
            socket_group: None,
            allow,
            tls: None,
            connections: Limits::default().connections,
            memory: Limits::default().memory,
            weight: 1,
            message_size: None,
            deadline: DEFAULT_DEADLINE,
        }
    }
}

/// Long enough for a slow check, short enough that an SMTP client is still there.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(120);

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            memory: 512 << 20,
            spool_above: 8 << 20,
            spool: 4 << 30,
            spool_folder: std::env::temp_dir(),
            in_flight: None,
            queue: QueueBounds::default(),
        }
    }
}

impl Default for Times {
    fn default() -> Self {
        Self {
            // libmilter's own; Postfix keeps a connection for as long as its SMTP client stays.
            idle: Duration::from_secs(7210),
            // Sendmail gives up 10 s after the last sign of life.
            progress: Duration::from_secs(4),
            connection_age: ConnectionAge::default(),
        }
    }
}
