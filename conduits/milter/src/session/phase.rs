//! Where in an SMTP session the mail server is, and what may follow.

use crate::flags::Steps;

/// What was last told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing.
    Start,
    /// The options.
    Negotiated,
    /// The connection.
    Connected,
    /// HELO; or a message is over.
    Idle,
    /// The sender.
    Mail,
    /// A recipient.
    Rcpt,
    /// DATA.
    Data,
    /// A header.
    Headers,
    /// The end of the headers.
    EndOfHeaders,
    /// A piece of the body.
    Body,
    /// The end of the message: a verdict is due.
    EndOfMessage,
    /// QUIT.
    Closed,
}

/// A command that has its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Offer,
    Connect,
    Helo,
    Mail,
    Rcpt,
    Data,
    Header,
    EndOfHeaders,
    Body,
    EndOfMessage,
    Unknown,
}

impl Phase {
    /// The phase after a command; `None` if it has no place here.
    ///
    /// libmilter's table, with the places that it opens for steps that the
    /// filter switched off.
    pub(super) fn after(self, kind: Kind, steps: Steps) -> Option<Self> {
        let before_message = matches!(self, Self::Negotiated | Self::Connected | Self::Idle);
        let sender = self == Self::Mail || (before_message && steps.contains(Steps::NO_MAIL));
        let recipient = self == Self::Rcpt || (sender && steps.contains(Steps::NO_RCPT));
        let content = recipient || self == Self::Data;
        match kind {
            Kind::Connect => (self == Self::Negotiated).then_some(Self::Connected),
            Kind::Helo => before_message.then_some(Self::Idle),
            Kind::Mail => before_message.then_some(Self::Mail),
            Kind::Rcpt => (sender || recipient).then_some(Self::Rcpt),
            Kind::Data => recipient.then_some(Self::Data),
            Kind::Header => (content || self == Self::Headers).then_some(Self::Headers),
            Kind::EndOfHeaders => (content || self == Self::Headers).then_some(Self::EndOfHeaders),
            Kind::Body | Kind::EndOfMessage => {
                let here =
                    content || matches!(self, Self::Headers | Self::EndOfHeaders | Self::Body);
                let next = if kind == Kind::Body {
                    Self::Body
                } else {
                    Self::EndOfMessage
                };
                here.then_some(next)
            }
            Kind::Offer => None,
            Kind::Unknown => Some(self),
        }
    }

    /// Whether a message has begun and is not over.
    pub(super) fn in_message(self) -> bool {
        match self {
            Self::Start | Self::Negotiated | Self::Connected | Self::Idle | Self::Closed => false,
            Self::Mail
            | Self::Rcpt
            | Self::Data
            | Self::Headers
            | Self::EndOfHeaders
            | Self::Body
            | Self::EndOfMessage => true,
        }
    }
}

impl Kind {
    /// The bit by which it is not answered.
    pub(super) fn quiet(self) -> Steps {
        match self {
            Self::Connect => Steps::QUIET_CONNECT,
            Self::Helo => Steps::QUIET_HELO,
            Self::Mail => Steps::QUIET_MAIL,
            Self::Rcpt => Steps::QUIET_RCPT,
            Self::Data => Steps::QUIET_DATA,
            Self::Header => Steps::QUIET_HEADER,
            Self::EndOfHeaders => Steps::QUIET_END_OF_HEADERS,
            Self::Body => Steps::QUIET_BODY,
            Self::Unknown => Steps::QUIET_UNKNOWN,
            // There is no such bit: a mask that nobody agreed on.
            Self::Offer | Self::EndOfMessage => Steps(u32::MAX),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Offer => "OPTNEG",
            Self::Connect => "CONNECT",
            Self::Helo => "HELO",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Header => "HEADER",
            Self::EndOfHeaders => "EOH",
            Self::Body => "BODY",
            Self::EndOfMessage => "BODYEOB",
            Self::Unknown => "UNKNOWN",
        }
    }
}
