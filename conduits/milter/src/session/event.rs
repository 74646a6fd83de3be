//! What a session tells its caller.

use bytes::Bytes;
use millrace_proto::Stage;

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What the mail server told.
    pub event: Event,
    /// Whether it waits for an answer.
    pub reply_due: bool,
    /// Whether a message that had begun is given up by it: its content and
    /// envelope are gone.
    pub withdrew: bool,
}

/// What the mail server told. What came with it is in the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The options are negotiated; the reply to the offer is written already.
    Negotiated,
    /// Macros came.
    Macros,
    /// An SMTP client connected.
    Connect,
    /// It said HELO or EHLO; also again, after STARTTLS for example.
    Helo,
    /// A message begins.
    Mail,
    /// A recipient: the envelope's last one, unless the mail server itself
    /// refuses it.
    Rcpt {
        /// The mail server refuses it; it is told only because that was asked
        /// for, and is not in the envelope.
        rejected: bool,
    },
    /// DATA.
    Data,
    /// A header came into the content.
    Header,
    /// The headers are complete.
    EndOfHeaders,
    /// A piece of the body came into the content, unless the body is not
    /// needed.
    Body,
    /// The message is complete: [`finish`](super::Session::finish) is due.
    EndOfMessage,
    /// The message is given up, if there was one.
    Abort,
    /// A command that the mail server does not know.
    Unknown(Bytes),
    /// A command at a place where it means nothing; libmilter overlooks it as
    /// well.
    Ignored,
    /// The mail server takes its leave; the connection is to be closed.
    Quit,
    /// This SMTP connection is over, and another one follows.
    QuitNewConnection,
}

impl Step {
    /// A step that is not answered and gives nothing up.
    pub(super) fn quiet(event: Event) -> Self {
        Self {
            event,
            reply_due: false,
            withdrew: false,
        }
    }
}

impl Event {
    /// The stage at which a policy may have to say something.
    #[must_use]
    pub fn stage(&self) -> Option<Stage> {
        match self {
            Self::Connect => Some(Stage::Connect),
            Self::Helo => Some(Stage::Helo),
            Self::Mail => Some(Stage::Mail),
            Self::Rcpt { rejected: false } => Some(Stage::Rcpt),
            Self::Data => Some(Stage::Data),
            Self::EndOfMessage => Some(Stage::EndOfMessage),
            _ => None,
        }
    }
}
