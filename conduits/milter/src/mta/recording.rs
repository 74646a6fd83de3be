//! What a mail server sent in a recorded connection, ready to be sent again.

use std::collections::VecDeque;

use crate::command::{Command, CommandError, Offer};
use crate::flags::Steps;
use crate::reply::Response;
use crate::transcript::{self, Direction, TranscriptError};

/// The mail server's side of a recorded connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    pub(super) offer: Offer,
    /// Header values of the recording begin with their blanks.
    pub(super) leading_space: bool,
    /// Each is one message from MAIL to its end, or what lies between messages.
    pub(super) parts: VecDeque<Vec<Command>>,
}

/// Why a transcript cannot be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// It is no transcript.
    #[error(transparent)]
    Transcript(#[from] TranscriptError),
    /// A frame of the mail server is no command.
    #[error("line {line}: {error}")]
    Command {
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        error: CommandError,
    },
    /// The mail server's first frame is no offer.
    #[error("line {line}: the connection does not begin with the mail server's offer")]
    NoOffer {
        /// Which line, from 1.
        line: usize,
    },
    /// A second offer.
    #[error("line {line}: a second offer")]
    SecondOffer {
        /// Which line, from 1.
        line: usize,
    },
}

impl Recording {
    /// Reads a transcript.
    ///
    /// # Errors
    /// The text is no transcript, or the mail server in it does not speak the protocol.
    pub fn parse(text: &[u8]) -> Result<Self, RecordingError> {
        let mut offer = None;
        let mut leading_space = false;
        let mut parts = Parts::default();
        let mut line = 1;
        for (at, entry) in transcript::parse(text)? {
            line = at;
            if entry.direction == Direction::FromFilter {
                if let Ok(Response::Negotiate { steps, .. }) = Response::parse(entry.frame) {
                    leading_space = steps.contains(Steps::LEADING_SPACE);
                }
                continue;
            }
            let command = Command::parse(entry.frame)
                .map_err(|error| RecordingError::Command { line, error })?;
            match command {
                Command::Offer(first) if offer.is_none() => offer = Some(first),
                Command::Offer(_) => return Err(RecordingError::SecondOffer { line }),
                _ if offer.is_none() => return Err(RecordingError::NoOffer { line }),
                command => parts.push(command),
            }
        }
        Ok(Self {
            offer: offer.ok_or(RecordingError::NoOffer { line })?,
            leading_space,
            parts: parts.finish(),
        })
    }

    /// How many messages were sent to their end.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.parts
            .iter()
            .filter(|part| matches!(part.last(), Some(Command::EndOfBody(_))))
            .count()
    }

    /// The same mail server, which negotiates and has nothing to send.
    #[must_use]
    pub fn greeting(&self) -> Self {
        Self {
            parts: VecDeque::new(),
            ..self.clone()
        }
    }
}

/// Cuts commands into parts.
#[derive(Debug, Default)]
struct Parts {
    done: VecDeque<Vec<Command>>,
    part: Vec<Command>,
    macros: Vec<Command>,
}

impl Parts {
    fn push(&mut self, command: Command) {
        match command {
            // Whose they are shows with the command that they belong to.
            Command::Macros(_) => return self.macros.push(command),
            Command::Mail(_)
            | Command::Abort
            | Command::Quit
            | Command::QuitNewConnection
            | Command::Connect { .. } => self.close(),
            _ => {}
        }
        let ends = matches!(command, Command::EndOfBody(_));
        self.part.append(&mut self.macros);
        self.part.push(command);
        if ends {
            self.close();
        }
    }

    fn close(&mut self) {
        if !self.part.is_empty() {
            self.done.push_back(std::mem::take(&mut self.part));
        }
    }

    fn finish(mut self) -> VecDeque<Vec<Command>> {
        self.close();
        self.done
    }
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};

    use super::*;
    use crate::mta::{Mta, Received};
    use crate::{Answer, Event, Session, Wanted};

    #[test]
    fn a_refused_message_is_not_gone_on_with_and_the_next_one_is() {
        let message = "0.1 -> M <a@b>\\x00\n0.1 -> D Ri\\x00q\\x00\n0.1 -> R <c@d>\\x00\n0.1 -> B x\n0.1 -> E\n";
        let text = format!(
            "{}\n0.1 -> O \\x00\\x00\\x00\\x06\\x00\\x00\\x01\\xff\\x00\\x1f\\xff\\xff\n0.1 -> H h\\x00\n{message}{message}",
            transcript::FIRST_LINE
        )
        .replace("0.1 ", "0.100000 ");
        let recording = Recording::parse(text.as_bytes()).unwrap();
        assert_eq!(recording.messages(), 2);
        let mut mta = Mta::replay(&recording);
        let mut filter = Session::new(Wanted::EVERYTHING);
        let (mut to_filter, mut to_mta) = (BytesMut::new(), BytesMut::new());
        let (mut outcomes, mut mails, mut ends) = (Vec::new(), 0, 0);
        while mta.advance(&mut to_filter) {
            filter.space().put_slice(&to_filter.split());
            while let Some(step) = filter.next_step(&mut to_mta).unwrap() {
                mails += usize::from(step.event == Event::Mail);
                ends += usize::from(step.event == Event::EndOfMessage);
                let refuse = step.event == Event::Mail && mails == 1;
                let answer = if refuse {
                    Answer::Tempfail
                } else {
                    Answer::Continue
                };
                if step.reply_due {
                    filter.answer(&answer, &mut to_mta).unwrap();
                }
            }
            mta.space().put_slice(&to_mta.split());
            while let Some(received) = mta.receive().unwrap() {
                if let Received::Finished(outcome) = received {
                    outcomes.push((char::from(outcome.at), outcome.is_accepted()));
                }
            }
        }
        assert_eq!(outcomes, [('M', false), ('E', true)]);
        assert_eq!((mails, ends), (2, 1));
    }
}
