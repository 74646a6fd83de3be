//! What can go wrong in a session.

use crate::command::CommandError;
use crate::edits::EditError;
use crate::frame::FrameError;
use crate::negotiate::NegotiationError;

/// Why a connection cannot go on. It is to be closed; the mail server then does
/// what it is configured to do without a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The bytes are no frames.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame is no command.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// There is no common protocol.
    #[error(transparent)]
    Negotiation(#[from] NegotiationError),
    /// A command came before the offer.
    #[error("command '{0}' before option negotiation")]
    BeforeNegotiation(char),
    /// A command came while the mail server was to wait for an answer.
    #[error("command '{0}' while an answer was due")]
    OutOfTurn(char),
    /// A command came after QUIT.
    #[error("command '{0}' after QUIT")]
    AfterQuit(char),
}

/// Why an answer cannot be given. Nothing was written, and what was due still
/// is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The mail server does not wait for an answer.
    #[error("no answer is due")]
    NotDue,
    /// The protocol has no such answer at this command.
    #[error("the protocol has no {answer} at {command}")]
    NotAllowed {
        /// The answer.
        answer: &'static str,
        /// The command, as `CONNECT`.
        command: &'static str,
    },
    /// An edit cannot be carried out.
    #[error(transparent)]
    Edit(#[from] EditError),
}
