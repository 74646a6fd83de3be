//! The filter's side of one milter connection.

use bytes::{Bytes, BytesMut};
use millrace_proto::{Connection, Disposition, Envelope, Macro, Path, Verdict};

use crate::answer::Answer;
use crate::command::{Command, RawPath};
use crate::content::Content;
use crate::edits::{self, EditError};
use crate::flags::{Actions, Steps};
use crate::frame::{Frame, FrameDecoder};
use crate::macros::MacroStore;
use crate::negotiate::{Agreement, Wanted};
use crate::reply::Response;

mod error;
mod event;
mod phase;
#[cfg(test)]
mod tests;

pub use error::{AnswerError, SessionError};
pub use event::{Event, Step};

use phase::{Kind, Phase};

/// One milter connection: commands in, events out, answers checked against what
/// the protocol allows. It opens no socket.
///
/// Each [`Step`] says whether the mail server now waits; then nothing else is to
/// be taken from the session until [`answer`](Session::answer) or
/// [`finish`](Session::finish) has written the answer.
#[derive(Debug)]
pub struct Session {
    wanted: Wanted,
    decoder: FrameDecoder,
    agreement: Agreement,
    phase: Phase,
    due: Option<Due>,
    macros: MacroStore,
    connection: Connection,
    envelope: Envelope,
    raw_recipients: Vec<Bytes>,
    content: Content,
    skipping: bool,
}

/// The command that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Step(Kind),
    Recipient { counted: bool },
    Verdict,
}

impl Session {
    /// A session that will negotiate for what is wanted.
    #[must_use]
    pub fn new(wanted: Wanted) -> Self {
        let agreement = Agreement::default();
        Self {
            wanted,
            decoder: FrameDecoder::new(agreement.frame_limit()),
            agreement,
            phase: Phase::Start,
            due: None,
            macros: MacroStore::default(),
            connection: Connection::default(),
            envelope: Envelope::default(),
            raw_recipients: Vec::new(),
            content: Content::default(),
            skipping: false,
        }
    }

    /// The buffer that is to be read into.
    pub fn space(&mut self) -> &mut BytesMut {
        self.decoder.space()
    }

    /// Gives memory back that an idle connection does not need.
    pub fn release(&mut self) {
        self.decoder.release();
    }

    /// Bytes that were read and not yet used: something more came.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.decoder.buffered()
    }

    /// Takes the next command from what was read; `None` when more must be
    /// read. The reply to an offer is appended to `out`, nothing else.
    ///
    /// # Errors
    /// The connection cannot go on.
    pub fn next_step(&mut self, out: &mut BytesMut) -> Result<Option<Step>, SessionError> {
        match self.decoder.next_frame()? {
            Some(frame) => self.feed(frame, out).map(Some),
            None => Ok(None),
        }
    }

    /// Takes a command. As [`next_step`](Session::next_step), for a caller that
    /// has frames.
    ///
    /// # Errors
    /// The connection cannot go on.
    pub fn feed(&mut self, mut frame: Frame, out: &mut BytesMut) -> Result<Step, SessionError> {
        let letter = frame.command;
        if matches!(letter, b'C' | b'H' | b'M' | b'R' | b'U') {
            // A copy: what is kept for the connection or the message must not
            // keep the read buffer.
            frame.data = Bytes::copy_from_slice(&frame.data);
        }
        let command = Command::parse(frame)?;
        self.check_turn(&command, letter)?;
        Ok(match command {
            Command::Offer(offer) => {
                if self.phase != Phase::Start {
                    return Ok(self.ignored(Kind::Offer));
                }
                self.agreement = self.wanted.agree(&offer)?;
                self.decoder.set_limit(self.agreement.frame_limit());
                self.agreement.response().encode(out);
                self.phase = Phase::Negotiated;
                Step::quiet(Event::Negotiated)
            }
            Command::Macros(block) => {
                self.macros.store(&block);
                Step::quiet(Event::Macros)
            }
            Command::Connect { host, peer } => match self.enter(Kind::Connect) {
                Ok(withdrew) => {
                    self.connection = Connection {
                        ptr: resolved_name(host),
                        peer,
                        ..Connection::default()
                    };
                    self.learn();
                    self.step(Event::Connect, Kind::Connect, withdrew)
                }
                Err(ignored) => ignored,
            },
            Command::Helo(name) => match self.enter(Kind::Helo) {
                Ok(withdrew) => {
                    self.connection.helo = Some(name);
                    self.learn();
                    self.step(Event::Helo, Kind::Helo, withdrew)
                }
                Err(ignored) => ignored,
            },
            Command::Mail(path) => match self.enter(Kind::Mail) {
                Ok(withdrew) => {
                    self.macros.begin_message();
                    self.forget_message();
                    self.learn();
                    self.envelope.sender = Some(domain_path(path));
                    self.step(Event::Mail, Kind::Mail, withdrew)
                }
                Err(ignored) => ignored,
            },
            Command::Rcpt(path) => match self.enter(Kind::Rcpt) {
                Ok(withdrew) => self.recipient(path, withdrew),
                Err(ignored) => ignored,
            },
            Command::Data => self.plain(Event::Data, Kind::Data),
            Command::Header { name, value } => match self.enter(Kind::Header) {
                Ok(withdrew) => {
                    let bare = !self.agreement.steps.contains(Steps::LEADING_SPACE);
                    self.content.push_header(&name, &value, bare);
                    self.step(Event::Header, Kind::Header, withdrew)
                }
                Err(ignored) => ignored,
            },
            Command::EndOfHeaders => match self.enter(Kind::EndOfHeaders) {
                Ok(withdrew) => {
                    self.content.end_headers();
                    self.step(Event::EndOfHeaders, Kind::EndOfHeaders, withdrew)
                }
                Err(ignored) => ignored,
            },
            Command::Body(piece) => match self.enter(Kind::Body) {
                Ok(withdrew) => {
                    self.body(piece);
                    self.step(Event::Body, Kind::Body, withdrew)
                }
                Err(ignored) => ignored,
            },
            Command::EndOfBody(piece) => match self.enter(Kind::EndOfMessage) {
                Ok(withdrew) => {
                    self.body(piece);
                    self.due = Some(Due::Verdict);
                    Step {
                        event: Event::EndOfMessage,
                        reply_due: true,
                        withdrew,
                    }
                }
                Err(ignored) => ignored,
            },
            Command::Abort => {
                let withdrew = self.withdraw();
                Step {
                    event: Event::Abort,
                    reply_due: false,
                    withdrew,
                }
            }
            Command::Unknown(line) => self.step(Event::Unknown(line), Kind::Unknown, false),
            Command::Quit => {
                let withdrew = self.withdraw();
                self.phase = Phase::Closed;
                Step {
                    event: Event::Quit,
                    reply_due: false,
                    withdrew,
                }
            }
            Command::QuitNewConnection => {
                let withdrew = self.withdraw();
                self.connection = Connection::default();
                self.macros.clear();
                if self.phase != Phase::Start {
                    self.phase = Phase::Negotiated;
                }
                Step {
                    event: Event::QuitNewConnection,
                    reply_due: false,
                    withdrew,
                }
            }
        })
    }

    /// Answers the command that waits.
    ///
    /// A skip that the mail server does not understand becomes a continue; what
    /// else comes of the body is then dropped here.
    ///
    /// # Errors
    /// No answer is due, or the protocol does not have this one there.
    pub fn answer(&mut self, answer: &Answer, out: &mut BytesMut) -> Result<(), AnswerError> {
        let due = self.due.ok_or(AnswerError::NotDue)?;
        let kind = due.kind();
        match answer {
            Answer::Discard if matches!(kind, Kind::Connect | Kind::Helo | Kind::Unknown) => {
                return Err(AnswerError::NotAllowed {
                    answer: "DISCARD",
                    command: kind.name(),
                });
            }
            Answer::Skip if kind != Kind::Body => {
                return Err(AnswerError::NotAllowed {
                    answer: "SKIP",
                    command: kind.name(),
                });
            }
            Answer::Skip if !self.agreement.steps.contains(Steps::SKIP) => {
                Response::Continue.encode(out);
                self.skip_body();
            }
            Answer::Skip => {
                answer.response().encode(out);
                self.skip_body();
            }
            _ => answer.response().encode(out),
        }
        self.due = None;
        self.settle(due, answer);
        Ok(())
    }

    /// Tells the mail server that the verdict still takes time. Only between
    /// the end of the message and [`finish`](Session::finish).
    ///
    /// # Errors
    /// The mail server does not wait for a verdict.
    pub fn progress(&mut self, out: &mut BytesMut) -> Result<(), AnswerError> {
        if self.due != Some(Due::Verdict) {
            return Err(AnswerError::NotDue);
        }
        Response::Progress.encode(out);
        Ok(())
    }

    /// Carries a verdict on the message out: all edits and the last answer,
    /// appended to `out` in one go, so that no mail server is left in the
    /// middle of a new body.
    ///
    /// # Errors
    /// No verdict is due, or the verdict has an edit or a hold that was not
    /// negotiated. Then nothing was written.
    pub fn finish(&mut self, verdict: &Verdict, out: &mut BytesMut) -> Result<(), AnswerError> {
        if self.due != Some(Due::Verdict) {
            return Err(AnswerError::NotDue);
        }
        let answer = match verdict.disposition {
            Disposition::Accept | Disposition::Hold => Answer::Accept,
            Disposition::Discard => Answer::Discard,
            refused @ (Disposition::Reject | Disposition::Tempfail) => {
                Answer::refusal(refused, verdict.reply.as_ref())
            }
        };
        let mut responses = Vec::new();
        if answer == Answer::Accept {
            responses =
                edits::in_wire_order(&verdict.edits, &self.agreement, &self.raw_recipients)?;
        }
        if verdict.disposition == Disposition::Hold {
            if !self.agreement.actions.contains(Actions::QUARANTINE) {
                return Err(EditError::NotNegotiated("hold").into());
            }
            responses.push(Response::Quarantine(edits::hold_reason(
                &verdict.hold_reason,
            )));
        }
        responses.push(answer.response());
        out.reserve(responses.iter().map(Response::wire_size).sum());
        for response in &responses {
            response.encode(out);
        }
        self.due = None;
        self.settle(Due::Verdict, &answer);
        Ok(())
    }

    /// Says that the rest of this message's body is not needed: it is dropped
    /// as it comes. To keep the mail server from sending it, answer
    /// [`Answer::Skip`] where an answer is due.
    pub fn skip_body(&mut self) {
        self.skipping = true;
    }

    /// What was negotiated. Before that: the least there is.
    #[must_use]
    pub fn agreement(&self) -> &Agreement {
        &self.agreement
    }

    /// Whether the mail server waits for an answer.
    #[must_use]
    pub fn reply_due(&self) -> bool {
        self.due.is_some()
    }

    /// The SMTP connection as far as it is known.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The envelope of the message in progress. Recipients that were refused,
    /// by us or by the mail server, are not in it.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The mail server's identifier of the message. Postfix has none before
    /// the first recipient is accepted.
    #[must_use]
    pub fn queue_id(&self) -> Option<Bytes> {
        self.macro_value("i").filter(|id| !id.is_empty())
    }

    /// The last value told of a macro; longer names are in braces.
    #[must_use]
    pub fn macro_value(&self, name: &str) -> Option<Bytes> {
        self.macros.value(name.as_bytes())
    }

    /// All macros told of the connection and the message.
    #[must_use]
    pub fn macros(&self) -> Vec<Macro> {
        self.macros.all()
    }

    /// The message's bytes so far.
    pub fn content(&mut self) -> &mut Content {
        &mut self.content
    }

    fn check_turn(&mut self, command: &Command, letter: u8) -> Result<(), SessionError> {
        let letter = char::from(letter);
        if self.phase == Phase::Closed {
            return Err(SessionError::AfterQuit(letter));
        }
        let anywhere = matches!(
            command,
            Command::Macros(_) | Command::Abort | Command::Quit | Command::QuitNewConnection
        );
        if anywhere {
            return Ok(());
        }
        if self.phase == Phase::Start && !matches!(command, Command::Offer(_)) {
            return Err(SessionError::BeforeNegotiation(letter));
        }
        if self.due.is_some() {
            return Err(SessionError::OutOfTurn(letter));
        }
        Ok(())
    }

    /// Goes to the phase of a command. libmilter's rule: if it is not allowed,
    /// the message is given up and it is tried again as if after HELO; if that
    /// is not allowed either, it is overlooked.
    fn enter(&mut self, kind: Kind) -> Result<bool, Step> {
        if let Some(next) = self.phase.after(kind, self.agreement.steps) {
            self.phase = next;
            return Ok(false);
        }
        let withdrew = self.withdraw();
        match self.phase.after(kind, self.agreement.steps) {
            Some(next) => {
                self.phase = next;
                Ok(withdrew)
            }
            None => Err(Step {
                withdrew,
                ..Step::quiet(Event::Ignored)
            }),
        }
    }

    fn ignored(&mut self, kind: Kind) -> Step {
        self.enter(kind)
            .err()
            .unwrap_or_else(|| Step::quiet(Event::Ignored))
    }

    fn plain(&mut self, event: Event, kind: Kind) -> Step {
        match self.enter(kind) {
            Ok(withdrew) => self.step(event, kind, withdrew),
            Err(ignored) => ignored,
        }
    }

    fn step(&mut self, event: Event, kind: Kind, withdrew: bool) -> Step {
        let reply_due = !self.agreement.steps.contains(kind.quiet());
        self.due = reply_due.then_some(Due::Step(kind));
        Step {
            event,
            reply_due,
            withdrew,
        }
    }

    fn recipient(&mut self, path: RawPath, withdrew: bool) -> Step {
        let rejected = self.agreement.steps.contains(Steps::REJECTED_RCPT)
            && self
                .macros
                .value(b"{rcpt_mailer}")
                .is_some_and(|mailer| mailer == "error");
        if !rejected {
            self.raw_recipients.push(path.address.clone());
            self.envelope.recipients.push(domain_path(path));
        }
        let mut step = self.step(Event::Rcpt { rejected }, Kind::Rcpt, withdrew);
        step.withdrew = withdrew;
        self.due = step
            .reply_due
            .then_some(Due::Recipient { counted: !rejected });
        step
    }

    fn body(&mut self, piece: Bytes) {
        self.content.end_headers();
        if !piece.is_empty() && !self.skipping {
            self.content.push_body(piece);
        }
    }

    /// What an answer changes on our side.
    fn settle(&mut self, due: Due, answer: &Answer) {
        if let Due::Recipient { counted } = due
            && matches!(answer, Answer::Reject | Answer::Tempfail | Answer::Reply(_))
        {
            if counted {
                self.envelope.recipients.pop();
                self.raw_recipients.pop();
            }
            return;
        }
        // What is said of an unknown command is said of that command alone.
        let of_message = due != Due::Step(Kind::Unknown) && self.phase.in_message();
        if of_message && answer.is_last() || due == Due::Verdict {
            self.phase = Phase::Idle;
            self.forget_message();
        }
    }

    /// Gives the message in progress up; whether there was one.
    fn withdraw(&mut self) -> bool {
        self.due = None;
        let had = self.phase.in_message();
        if had {
            self.phase = Phase::Idle;
            self.forget_message();
        }
        had
    }

    fn forget_message(&mut self) {
        self.envelope.sender = None;
        self.envelope.recipients.clear();
        self.raw_recipients.clear();
        self.content.clear();
        self.skipping = false;
    }

    fn learn(&mut self) {
        let known = self.macros.known();
        self.connection.tls = known.tls;
        self.connection.authentication = known.authentication;
    }
}

impl Due {
    fn kind(self) -> Kind {
        match self {
            Self::Step(kind) => kind,
            Self::Recipient { .. } => Kind::Rcpt,
            Self::Verdict => Kind::EndOfMessage,
        }
    }
}

fn domain_path(raw: RawPath) -> Path {
    let mut path = Path::new(raw.address);
    path.parameters = raw.parameters;
    path
}

/// A name that did not resolve comes as the address in brackets, or, from
/// Postfix, as `unknown`.
fn resolved_name(host: Bytes) -> Option<Bytes> {
    let none = host.is_empty() || host[0] == b'[' || host.eq_ignore_ascii_case(b"unknown");
    (!none).then_some(host)
}
