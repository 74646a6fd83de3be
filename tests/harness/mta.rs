//! What the two mail servers have in common, so that one test can be run with both.

use std::path::PathBuf;
use std::time::Duration;

use crate::postfix::Postfix;
use crate::sendmail::Sendmail;
use crate::sink::Sink;

/// Which mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Debian's Postfix.
    Postfix,
    /// Debian's Sendmail.
    Sendmail,
}

/// Where a filter listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Socket {
    /// A port of 127.0.0.1.
    Tcp(u16),
    /// A unix socket.
    Unix(PathBuf),
}

/// What a test wants of its mail server. The default is one that has no filter and relays
/// everything to a sink.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The filter, if any.
    pub milter: Option<Socket>,
    /// How long the server waits for each answer of the filter. Whole seconds, and 4 at least:
    /// Sendmail counts by the wall clock's seconds.
    pub reply_timeout: Duration,
    /// Offer STARTTLS.
    pub starttls: bool,
    /// Offer AUTH PLAIN to the user of [`crate::sasl`].
    pub auth: bool,
    /// Chroot what serves clients, as Debian does for Postfix; Sendmail has no such thing.
    pub chroot: bool,
    /// Lines of the server's own configuration language; see [`Wanted::configured`].
    pub extra: Vec<String>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            milter: None,
            reply_timeout: Duration::from_secs(60),
            starttls: false,
            auth: false,
            chroot: false,
            extra: Vec::new(),
        }
    }
}

impl Wanted {
    /// A server that asks the filter at this port of 127.0.0.1 about everything, and answers its
    /// clients with a temporary failure when the filter cannot be asked.
    pub fn filtered_by(port: u16) -> Self {
        Self {
            milter: Some(Socket::Tcp(port)),
            ..Self::default()
        }
    }

    /// As [`Wanted::filtered_by`], through a unix socket.
    pub fn filtered_through(socket: impl Into<PathBuf>) -> Self {
        Self {
            milter: Some(Socket::Unix(socket.into())),
            ..Self::default()
        }
    }

    /// Sets how long the server waits for each answer of the filter.
    pub fn reply_timeout(mut self, timeout: Duration) -> Self {
        self.reply_timeout = timeout;
        self
    }

    /// Offers STARTTLS.
    pub fn starttls(mut self) -> Self {
        self.starttls = true;
        self
    }

    /// Offers AUTH PLAIN.
    pub fn auth(mut self) -> Self {
        self.auth = true;
        self
    }

    /// Chroots Postfix's smtpd to its queue folder.
    pub fn chrooted(mut self) -> Self {
        self.chroot = true;
        self
    }

    /// Adds a line of the server's own configuration language: `main.cf`, or the m4 of
    /// `sendmail.mc` before the mailers.
    pub fn configured(mut self, line: &str) -> Self {
        self.extra.push(line.to_owned());
        self
    }
}

/// A running mail server of either kind.
#[derive(Debug)]
pub enum Mta {
    /// Postfix.
    Postfix(Box<Postfix>),
    /// Sendmail.
    Sendmail(Box<Sendmail>),
}

impl Mta {
    /// Starts a server that relays everything to the sink.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start(kind: Kind, sink: &Sink, wanted: &Wanted) -> Self {
        match kind {
            Kind::Postfix => Self::Postfix(Box::new(Postfix::start(sink.port(), wanted))),
            Kind::Sendmail => Self::Sendmail(Box::new(Sendmail::start(sink.port(), wanted))),
        }
    }

    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Postfix(_) => Kind::Postfix,
            Self::Sendmail(_) => Kind::Sendmail,
        }
    }

    /// Its SMTP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        match self {
            Self::Postfix(postfix) => postfix.port(),
            Self::Sendmail(sendmail) => sendmail.port(),
        }
    }

    /// The queue IDs of the messages that it holds at a filter's word.
    pub fn held(&self) -> Vec<String> {
        match self {
            Self::Postfix(postfix) => postfix.held(),
            Self::Sendmail(sendmail) => sendmail.held(),
        }
    }

    /// How many messages are in its queue in any state.
    pub fn queued(&self) -> usize {
        match self {
            Self::Postfix(postfix) => postfix.queued(),
            Self::Sendmail(sendmail) => sendmail.queued(),
        }
    }

    /// Its log, with all that was logged before this call.
    ///
    /// # Panics
    /// When the log cannot be had.
    pub fn log(&self) -> String {
        match self {
            Self::Postfix(postfix) => postfix.log_up_to_now(),
            // Its processes write their own lines.
            Self::Sendmail(sendmail) => sendmail.log(),
        }
    }

    /// The lines of its log in which it complains of the filter's manners: replies that the
    /// protocol does not allow, edits that were not asked for, lost connections.
    pub fn complaints(&self) -> Vec<String> {
        const SIGNS: &[&str] = &[
            "bogus response",
            "lied about",
            "unexpected filter response",
            "unreasonable packet length",
            "can't read SMFIC",
            "to error state",
            "unknown reply",
        ];
        self.log()
            .lines()
            .filter(|line| SIGNS.iter().any(|sign| line.contains(sign)))
            .map(str::to_owned)
            .collect()
    }
}
