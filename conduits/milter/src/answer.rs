//! Answers to a command.

use millrace_proto::{Disposition, Reply, Stage};

use crate::reply::Response;

/// What the filter answers to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    Continue,
    /// Let it pass with no more questions: at CONNECT and HELO the whole
    /// connection, later the message. (At RCPT the message too.)
    Accept,
    /// Refuse for good, in the mail server's words. At RCPT that recipient.
    Reject,
    /// Refuse for now, in the mail server's words. At RCPT that recipient.
    Tempfail,
    /// Refuse with this reply. Sendmail puts its own text at CONNECT.
    Reply(Reply),
    /// Take the message and drop it; not at CONNECT, HELO and unknown commands.
    Discard,
    /// Send no more of the body.
    Skip,
    /// Reply 421 and close the SMTP connection.
    Shutdown,
}

impl Answer {
    /// What a verdict's disposition is at a stage before the end of the
    /// message. `None` when the protocol has nothing for it: a discard before
    /// MAIL (Postfix fails the filter for it, Sendmail passes the mail), a
    /// hold before there is a message.
    #[must_use]
    pub fn screening(
        stage: Stage,
        disposition: Disposition,
        reply: Option<&Reply>,
    ) -> Option<Self> {
        match disposition {
            Disposition::Accept => Some(Self::Continue),
            Disposition::Reject | Disposition::Tempfail => Some(Self::refusal(disposition, reply)),
            Disposition::Discard => {
                (!matches!(stage, Stage::Connect | Stage::Helo)).then_some(Self::Discard)
            }
            Disposition::Hold => None,
        }
    }

    /// A reject or tempfail. A reply of the other class is left out.
    pub(crate) fn refusal(disposition: Disposition, reply: Option<&Reply>) -> Self {
        let permanent = disposition == Disposition::Reject;
        match reply {
            Some(reply) if reply.is_permanent() == permanent => Self::Reply(reply.clone()),
            _ if permanent => Self::Reject,
            _ => Self::Tempfail,
        }
    }

    /// Whether the message is over after it, at a step that is no RCPT.
    pub(crate) fn is_last(&self) -> bool {
        !matches!(self, Self::Continue | Self::Skip)
    }

    pub(crate) fn response(&self) -> Response {
        match self {
            Self::Continue => Response::Continue,
            Self::Accept => Response::Accept,
            Self::Reject => Response::Reject,
            Self::Tempfail => Response::Tempfail,
            Self::Reply(reply) => Response::reply(reply),
            Self::Discard => Response::Discard,
            Self::Skip => Response::Skip,
            // Understood by every mail server, unlike the response made for it.
            Self::Shutdown => {
                Response::ReplyCode("421 4.3.2 Service shutting down, try again later".into())
            }
        }
    }
}
