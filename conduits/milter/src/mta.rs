//! The mail server's side of the protocol: plays SMTP sessions against a filter.
//!
//! Like a real mail server it sends all frames that need no reply in one go,
//! sends the macros that its kind sends, and is strict with the filter's
//! replies.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::command::{Command, CommandError, Offer};
use crate::flags::{Actions, Steps};
use crate::frame::{Frame, FrameDecoder, FrameError};
use crate::negotiate::{Agreement, OLDEST_VERSION};
use crate::reply::{Response, ResponseError};

mod apply;
mod fit;
mod flavour;
mod message;
mod recording;

pub use apply::apply_to_headers;
pub use flavour::Flavour;
pub use message::{Client, Message};
pub use recording::{Recording, RecordingError};

use fit::Fit;
use flavour::MacroSource;

/// A mail server's end of a milter connection.
///
/// ```
/// use bytes::{BufMut, BytesMut};
/// use millrace_milter::mta::{Client, Flavour, Message, Mta, Received};
/// use millrace_milter::{Answer, Session, Wanted};
///
/// let mut mta = Mta::new(Flavour::Postfix, Client::default());
/// mta.send(Message::parse(b"Subject: hi\r\n\r\nbody\r\n"));
/// mta.quit();
/// let mut filter = Session::new(Wanted::EVERYTHING);
/// let (mut to_filter, mut to_mta) = (BytesMut::new(), BytesMut::new());
/// let mut accepted = 0;
/// while mta.advance(&mut to_filter) {
///     filter.space().put_slice(&to_filter.split());
///     while let Some(step) = filter.next_step(&mut to_mta).expect("a sound stream") {
///         if step.reply_due {
///             filter.answer(&Answer::Continue, &mut to_mta).expect("due");
///         }
///     }
///     mta.space().put_slice(&to_mta.split());
///     while let Some(received) = mta.receive().expect("a sound filter") {
///         if let Received::Finished(outcome) = received {
///             assert!(outcome.is_accepted());
///             accepted += 1;
///         }
///     }
/// }
/// assert_eq!(accepted, 1);
/// ```
#[derive(Debug)]
pub struct Mta {
    flavour: Flavour,
    offer: Offer,
    client: Client,
    decoder: FrameDecoder,
    agreement: Option<Agreement>,
    macros: MacroSource,
    queue: VecDeque<Work>,
    commands: VecDeque<Command>,
    awaits: Option<u8>,
    connected: bool,
    in_message: bool,
    outcome: Outcome,
    rcpt: usize,
    good: usize,
}

/// What is still to be done.
#[derive(Debug)]
enum Work {
    Message(Message),
    Recorded {
        commands: Vec<Command>,
        leading_space: bool,
    },
    NewConnection(Client),
    Quit,
}

/// What a reply of the filter meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// The options are agreed on.
    Negotiated,
    /// On with it.
    Continue,
    /// The filter still works on its verdict.
    Progress,
    /// An edit; the last answer follows.
    Edit,
    /// A message is over, or (before MAIL) the whole connection.
    Finished(Outcome),
}

/// What became of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Letter of the command that was answered: `E` for the end of message.
    pub at: u8,
    /// The answer that decided; `None` for a continue at the end.
    pub answer: Option<Response>,
    /// The edits, as they came.
    pub edits: Vec<Response>,
    /// Recipients that were refused, by index, and how.
    pub refused: Vec<(usize, Response)>,
}

/// How a filter broke the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MtaError {
    /// The bytes are no frames.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame is no response.
    #[error(transparent)]
    Response(#[from] ResponseError),
    /// The negotiation reply is broken.
    #[error(transparent)]
    Negotiation(#[from] CommandError),
    /// A response came that was not due.
    #[error("response '{0}' with no reply due")]
    NotDue(char),
    /// A response that has no place at this command.
    #[error("response '{response}' to command '{command}'")]
    OutOfPlace {
        /// Letter of the response.
        response: char,
        /// Letter of the command.
        command: char,
    },
    /// The filter wants a version or bits that were not offered.
    #[error("the filter answers version {version}, {actions:?}, {steps:?}, which was not offered")]
    NotOffered {
        /// Its version.
        version: u32,
        /// Its actions.
        actions: Actions,
        /// Its steps.
        steps: Steps,
    },
    /// An edit that the filter did not ask for.
    #[error("edit '{0}' was not negotiated")]
    NotAgreed(char),
}

impl Outcome {
    /// Whether the message goes on.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(
            self.answer,
            None | Some(Response::Accept | Response::Continue)
        )
    }

    /// The reason of the hold that was asked for.
    #[must_use]
    pub fn held(&self) -> Option<&Bytes> {
        self.edits.iter().find_map(|edit| match edit {
            Response::Quarantine(reason) => Some(reason),
            _ => None,
        })
    }
}

impl Mta {
    /// A mail server for one SMTP client. It begins with the offer.
    #[must_use]
    pub fn new(flavour: Flavour, client: Client) -> Self {
        Self::with_offer(flavour, client, flavour.offer())
    }

    /// A mail server that sends again what another sent in a recorded connection, as far as this
    /// filter wants it: what it has refused is not gone on with, and steps that it does not take
    /// are left out. Ends with QUIT.
    #[must_use]
    pub fn replay(recording: &Recording) -> Self {
        // The recording brings its own macros.
        let mut mta = Self::with_offer(Flavour::Minimal, Client::default(), recording.offer);
        let leading_space = recording.leading_space;
        mta.queue
            .extend(recording.parts.iter().map(|commands| Work::Recorded {
                commands: commands.clone(),
                leading_space,
            }));
        let has_quit = recording
            .parts
            .back()
            .is_some_and(|last| last.last() == Some(&Command::Quit));
        if !has_quit {
            mta.quit();
        }
        mta
    }

    fn with_offer(flavour: Flavour, client: Client, offer: Offer) -> Self {
        let mut commands = VecDeque::new();
        commands.push_back(Command::Offer(offer));
        Self {
            flavour,
            offer,
            macros: MacroSource::new(flavour, &client),
            client,
            decoder: FrameDecoder::new(Agreement::default().frame_limit()),
            agreement: None,
            queue: VecDeque::new(),
            commands,
            awaits: None,
            connected: false,
            in_message: false,
            outcome: Outcome::default(),
            rcpt: 0,
            good: 0,
        }
    }

    /// Puts a message into the queue of what is to be sent.
    pub fn send(&mut self, message: Message) {
        self.queue.push_back(Work::Message(message));
    }

    /// Ends this SMTP connection and begins one of another client, on the same
    /// milter connection (`QUIT_NC`).
    pub fn reconnect(&mut self, client: Client) {
        self.queue.push_back(Work::NewConnection(client));
    }

    /// Ends the milter connection after what is in the queue.
    pub fn quit(&mut self) {
        self.queue.push_back(Work::Quit);
    }

    /// Gives the message in progress up. Frames that are written already stay
    /// written.
    pub fn abort(&mut self, out: &mut BytesMut) {
        self.commands.clear();
        self.awaits = None;
        self.in_message = false;
        Command::Abort.encode(out);
    }

    /// What was agreed on, once it was.
    #[must_use]
    pub fn agreement(&self) -> Option<&Agreement> {
        self.agreement.as_ref()
    }

    /// Appends all frames up to the first that needs a reply, that one
    /// included. `false` when there is nothing to write and nothing to wait
    /// for.
    pub fn advance(&mut self, out: &mut BytesMut) -> bool {
        if self.awaits.is_some() {
            return true;
        }
        loop {
            while let Some(command) = self.commands.pop_front() {
                self.put(&command, out);
                if self.awaits.is_some() {
                    return true;
                }
            }
            if !self.plan_next() {
                return false;
            }
        }
    }

    /// The buffer that the filter's bytes are to be read into.
    pub fn space(&mut self) -> &mut BytesMut {
        self.decoder.space()
    }

    /// Takes the next reply from what was read; `None` when more must be read,
    /// or [`advance`](Mta::advance) is due.
    ///
    /// # Errors
    /// The filter broke the protocol.
    pub fn receive(&mut self) -> Result<Option<Received>, MtaError> {
        match self.decoder.next_frame()? {
            Some(frame) => self.take(frame).map(Some),
            None => Ok(None),
        }
    }

    fn put(&mut self, command: &Command, out: &mut BytesMut) {
        let letter = command.letter();
        if let Command::Rcpt(path) = command {
            self.macros.recipient(path);
        }
        if let Some(block) = self.macros.block(letter, self.good) {
            Command::Macros(block).encode(out);
        }
        command.encode(out);
        match command {
            Command::Mail(_) => self.in_message = true,
            Command::Rcpt(_) => self.rcpt += 1,
            Command::QuitNewConnection => self.connected = false,
            _ => {}
        }
        let steps = self
            .agreement
            .as_ref()
            .map_or(Steps::NONE, |agreed| agreed.steps);
        if needs_reply(letter, steps) {
            self.awaits = Some(letter);
        } else if letter == b'R' {
            self.good += 1;
        }
    }

    /// Fills the commands of the next piece of work; `false` when there is none.
    fn plan_next(&mut self) -> bool {
        let Some(agreement) = &self.agreement else {
            return false;
        };
        let steps = agreement.steps;
        let chunk = agreement.max_chunk();
        let version = agreement.version;
        let Some(work) = self.queue.pop_front() else {
            return false;
        };
        match work {
            Work::Quit => self.commands.push_back(Command::Quit),
            Work::NewConnection(client) => {
                self.commands.push_back(Command::QuitNewConnection);
                let lists = self.macros.lists();
                self.macros = MacroSource::new(self.flavour, &client);
                self.macros.set_lists(lists);
                self.client = client;
            }
            Work::Recorded {
                commands,
                leading_space,
            } => {
                // The macros of a part's first command may come before it.
                let begins = commands
                    .iter()
                    .find(|command| !matches!(command, Command::Macros(_)));
                if matches!(begins, Some(Command::Mail(_))) {
                    self.outcome = Outcome::default();
                    self.rcpt = 0;
                    self.good = 0;
                }
                let fit = Fit {
                    add_space: steps.contains(Steps::LEADING_SPACE) && !leading_space,
                    strip_space: leading_space && !steps.contains(Steps::LEADING_SPACE),
                    chunk,
                };
                for command in commands {
                    fit.put(command, &mut self.commands);
                }
                self.commands.retain(|command| match command {
                    Command::Macros(block) => is_sent(block.command, steps, version),
                    _ => true,
                });
            }
            Work::Message(message) => {
                if !self.connected {
                    self.connected = true;
                    self.commands.push_back(Command::Connect {
                        host: self.client.host.clone(),
                        peer: self.client.peer.clone(),
                    });
                    self.commands
                        .push_back(Command::Helo(self.client.helo.clone()));
                }
                self.outcome = Outcome::default();
                self.rcpt = 0;
                self.good = 0;
                self.macros.message(&message);
                message.put_commands(
                    &mut self.commands,
                    steps.contains(Steps::LEADING_SPACE),
                    chunk,
                );
            }
        }
        self.commands
            .retain(|command| is_sent(command.letter(), steps, version));
        true
    }

    fn take(&mut self, frame: Frame) -> Result<Received, MtaError> {
        let response = Response::parse(frame)?;
        let Some(command) = self.awaits else {
            return Err(MtaError::NotDue(char::from(response.letter())));
        };
        let out_of_place = MtaError::OutOfPlace {
            response: char::from(response.letter()),
            command: char::from(command),
        };
        if let Response::Negotiate { .. } = response {
            if command != b'O' {
                return Err(out_of_place);
            }
            self.negotiated(response)?;
            self.awaits = None;
            return Ok(Received::Negotiated);
        }
        if command == b'O' {
            return Err(out_of_place);
        }
        if response.is_edit() {
            if command != b'E' {
                return Err(out_of_place);
            }
            self.check_agreed(&response)?;
            self.outcome.edits.push(response);
            return Ok(Received::Edit);
        }
        match response {
            Response::Progress if command == b'E' => return Ok(Received::Progress),
            Response::Progress => return Err(out_of_place),
            Response::Discard if matches!(command, b'C' | b'H' | b'U') => return Err(out_of_place),
            Response::Skip if command != b'B' => return Err(out_of_place),
            _ => {}
        }
        self.awaits = None;
        Ok(self.answered(command, response))
    }

    fn answered(&mut self, command: u8, response: Response) -> Received {
        if response == Response::Skip {
            self.commands
                .retain(|command| !matches!(command, Command::Body(_)));
            return Received::Continue;
        }
        if response == Response::Continue && command != b'E' {
            self.good += usize::from(command == b'R');
            return Received::Continue;
        }
        let refusal = matches!(
            response,
            Response::Reject | Response::Tempfail | Response::ReplyCode(_)
        );
        if command == b'R' && refusal {
            self.outcome.refused.push((self.rcpt - 1, response.clone()));
            let next = self
                .commands
                .iter()
                .find(|command| !matches!(command, Command::Macros(_)));
            let more = matches!(next, Some(Command::Rcpt(_)));
            if more || self.good > 0 {
                return Received::Continue;
            }
        }
        if command == b'U' {
            return Received::Continue;
        }
        // What is left of the message is not sent.
        self.commands.clear();
        if matches!(command, b'C' | b'H') {
            // All that the client tries is refused, or passes unseen.
            self.queue.clear();
            self.commands.push_back(Command::Quit);
        } else if self.next_part_aborts() {
            // The recorded mail server does it itself.
        } else if self.flavour.aborts_after(command) {
            self.commands.push_back(Command::Abort);
        }
        self.in_message = false;
        let mut outcome = std::mem::take(&mut self.outcome);
        outcome.at = command;
        outcome.answer = (response != Response::Continue).then_some(response);
        Received::Finished(outcome)
    }

    fn next_part_aborts(&self) -> bool {
        matches!(
            self.queue.front(),
            Some(Work::Recorded { commands, .. }) if commands.first() == Some(&Command::Abort)
        )
    }

    fn negotiated(&mut self, response: Response) -> Result<(), MtaError> {
        let Response::Negotiate {
            version,
            actions,
            steps,
            macros,
        } = response
        else {
            return Ok(());
        };
        let Offer {
            version: newest,
            actions: offered_actions,
            steps: offered_steps,
        } = self.offer;
        let sound = (OLDEST_VERSION..=newest).contains(&version)
            && offered_actions.contains(actions)
            && offered_steps.contains(steps);
        if !sound {
            return Err(MtaError::NotOffered {
                version,
                actions,
                steps,
            });
        }
        self.macros.ask(&macros);
        let agreement = Agreement {
            version,
            actions,
            steps,
            macros,
        };
        self.decoder.set_limit(agreement.frame_limit());
        self.agreement = Some(agreement);
        Ok(())
    }

    fn check_agreed(&self, edit: &Response) -> Result<(), MtaError> {
        let needed = match edit {
            Response::AddHeader { .. } | Response::InsertHeader { .. } => Actions::ADD_HEADERS,
            Response::ChangeHeader { .. } => Actions::CHANGE_HEADERS,
            Response::ReplaceBody(_) => Actions::CHANGE_BODY,
            Response::ChangeSender { .. } => Actions::CHANGE_SENDER,
            Response::AddRecipient(_) => Actions::ADD_RECIPIENT,
            Response::AddRecipientWithParameters { .. } => Actions::ADD_RECIPIENT_PARAMETERS,
            Response::DeleteRecipient(_) => Actions::DELETE_RECIPIENT,
            _ => Actions::QUARANTINE,
        };
        let agreed = self
            .agreement
            .as_ref()
            .is_some_and(|agreed| agreed.actions.contains(needed));
        if agreed {
            Ok(())
        } else {
            Err(MtaError::NotAgreed(char::from(edit.letter())))
        }
    }
}

fn needs_reply(letter: u8, steps: Steps) -> bool {
    let quiet = match letter {
        b'C' => Steps::QUIET_CONNECT,
        b'H' => Steps::QUIET_HELO,
        b'M' => Steps::QUIET_MAIL,
        b'R' => Steps::QUIET_RCPT,
        b'T' => Steps::QUIET_DATA,
        b'L' => Steps::QUIET_HEADER,
        b'N' => Steps::QUIET_END_OF_HEADERS,
        b'B' => Steps::QUIET_BODY,
        b'U' => Steps::QUIET_UNKNOWN,
        b'O' | b'E' => return true,
        _ => return false,
    };
    !steps.contains(quiet)
}

/// Whether a step is sent at all.
fn is_sent(letter: u8, steps: Steps, version: u32) -> bool {
    let left_out = match letter {
        b'C' => Steps::NO_CONNECT,
        b'H' => Steps::NO_HELO,
        b'M' => Steps::NO_MAIL,
        b'R' => Steps::NO_RCPT,
        b'L' => Steps::NO_HEADERS,
        b'N' => Steps::NO_END_OF_HEADERS,
        b'B' => Steps::NO_BODY,
        b'T' if version <= 3 => return false,
        b'T' => Steps::NO_DATA,
        b'U' if version <= 2 => return false,
        b'U' => Steps::NO_UNKNOWN,
        _ => return true,
    };
    !steps.contains(left_out)
}

#[cfg(test)]
mod tests;
