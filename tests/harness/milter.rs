//! A mail server's end of a milter connection, without the mail server: a test says what is sent,
//! down to the byte, and sees each answer.

use std::fmt;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use bytes::BytesMut;
use millrace_milter::mta::{Client, Flavour, Message, Mta, Outcome, Received};
use millrace_milter::{Actions, Command, FrameDecoder, Offer, Response, Steps};

use crate::patience::PATIENCE;

/// Plays whole messages, strictly by the protocol.
#[derive(Debug)]
pub struct Sender {
    mta: Mta,
    socket: TcpStream,
}

/// What became of one message.
#[derive(Debug)]
pub struct Mail {
    /// The answer, the edits and the recipients that were refused.
    pub outcome: Outcome,
    /// How often the filter said that it was still at work.
    pub progress: usize,
}

/// The connection was closed where an answer was due.
#[derive(Debug)]
pub struct Closed;

/// Speaks the protocol frame by frame, or whatever a test wants it to speak.
pub struct Wire {
    socket: TcpStream,
    decoder: FrameDecoder,
}

impl Sender {
    /// Connects as a Postfix.
    ///
    /// # Panics
    /// When nobody listens on this port of 127.0.0.1.
    pub fn connect(port: u16) -> Self {
        Self::connect_as(port, Flavour::Postfix, Client::default())
    }

    /// Connects as this kind of mail server, for this SMTP client.
    ///
    /// # Panics
    /// When nobody listens on this port of 127.0.0.1.
    pub fn connect_as(port: u16, flavour: Flavour, client: Client) -> Self {
        Self {
            mta: Mta::new(flavour, client),
            socket: connect(port),
        }
    }

    /// Plays a message to its end.
    ///
    /// # Panics
    /// When the filter breaks the protocol, or the connection.
    #[track_caller]
    pub fn send(&mut self, message: Message) -> Mail {
        match self.try_send(message) {
            Ok(mail) => mail,
            Err(Closed) => panic!("the filter closed the connection instead of an answer"),
        }
    }

    /// Plays a message to its end, or to the connection's.
    ///
    /// # Errors
    /// The filter closed the connection before it answered.
    ///
    /// # Panics
    /// When the filter breaks the protocol, or says nothing for [`PATIENCE`].
    #[track_caller]
    pub fn try_send(&mut self, message: Message) -> Result<Mail, Closed> {
        self.mta.send(message);
        let mut progress = 0;
        loop {
            while let Some(received) = self.receive() {
                match received {
                    Received::Finished(outcome) => return Ok(Mail { outcome, progress }),
                    Received::Progress => progress += 1,
                    Received::Negotiated | Received::Continue | Received::Edit => {}
                }
            }
            self.advance();
            if !read(&mut self.socket, self.mta.space()) {
                return Err(Closed);
            }
        }
    }

    /// Sends a message up to the point where its verdict is due.
    ///
    /// # Panics
    /// When the filter answers before that, or closes the connection.
    #[track_caller]
    pub fn leave_waiting(&mut self, message: Message) {
        if self.mta.agreement().is_none() {
            self.advance();
            while self.receive() != Some(Received::Negotiated) {
                assert!(
                    read(&mut self.socket, self.mta.space()),
                    "no answer to the offer"
                );
            }
        }
        self.mta.send(message);
        self.advance();
    }

    /// Gives the message in progress up.
    pub fn abort(&mut self) {
        let mut out = BytesMut::new();
        self.mta.abort(&mut out);
        self.socket.write_all(&out).expect("the filter is there");
    }

    fn advance(&mut self) {
        let mut out = BytesMut::new();
        self.mta.advance(&mut out);
        // The filter may have closed already: what it said before counts.
        let _ = self.socket.write_all(&out);
    }

    #[track_caller]
    fn receive(&mut self) -> Option<Received> {
        self.mta
            .receive()
            .unwrap_or_else(|error| panic!("the filter breaks the protocol: {error}"))
    }
}

impl Mail {
    /// The text of the SMTP reply, `accept`, or the name of another answer.
    pub fn answer(&self) -> String {
        match &self.outcome.answer {
            None | Some(Response::Continue | Response::Accept) => "accept".to_owned(),
            Some(Response::ReplyCode(text)) => String::from_utf8_lossy(text).into_owned(),
            Some(other) => format!("{other:?}"),
        }
    }

    /// The values of the headers of this name that were added or inserted.
    pub fn added(&self, wanted: &str) -> Vec<String> {
        self.outcome
            .edits
            .iter()
            .filter_map(|edit| match edit {
                Response::AddHeader { name, value }
                | Response::InsertHeader { name, value, .. }
                    if name.eq_ignore_ascii_case(wanted.as_bytes()) =>
                {
                    Some(String::from_utf8_lossy(value).trim_start().to_owned())
                }
                _ => None,
            })
            .collect()
    }
}

impl Wire {
    /// Connects, and says nothing.
    ///
    /// # Panics
    /// When nobody listens on this port of 127.0.0.1.
    pub fn connect(port: u16) -> Self {
        Self {
            socket: connect(port),
            decoder: FrameDecoder::new(2 << 20),
        }
    }

    /// Connects, and agrees on options.
    ///
    /// # Panics
    /// When the offer is refused.
    #[track_caller]
    pub fn negotiated(port: u16, version: u32, actions: Actions, steps: Steps) -> (Self, Response) {
        let mut wire = Self::connect(port);
        let offer = Offer {
            version,
            actions,
            steps,
        };
        wire.send(&[Command::Offer(offer)]);
        let agreed = wire.response();
        assert!(
            matches!(agreed, Response::Negotiate { .. }),
            "{agreed:?} to an offer"
        );
        (wire, agreed)
    }

    /// Sends frames.
    ///
    /// # Panics
    /// When the filter has closed the connection.
    pub fn send(&mut self, commands: &[Command]) {
        let mut out = BytesMut::new();
        for command in commands {
            command.encode(&mut out);
        }
        self.socket.write_all(&out).expect("the filter is there");
    }

    /// Sends a command that is answered, and gives the answer.
    ///
    /// # Panics
    /// When the connection is closed instead.
    #[track_caller]
    pub fn ask(&mut self, command: Command) -> Response {
        self.send(&[command]);
        self.response()
    }

    /// Sends bytes as they are, as far as the filter takes them.
    pub fn write(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes);
    }

    /// Sends nothing any more.
    pub fn finish_writing(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// The next answer.
    ///
    /// # Panics
    /// When the connection is closed instead, or what comes is no answer of the protocol.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.try_response().expect("an answer, and not the end")
    }

    /// The next answer; `None` at the connection's end.
    ///
    /// # Panics
    /// When what comes is no answer of the protocol, or nothing comes for [`PATIENCE`].
    #[track_caller]
    pub fn try_response(&mut self) -> Option<Response> {
        loop {
            let frame = self.decoder.next_frame().expect("the filter sends frames");
            if let Some(frame) = frame {
                return Some(Response::parse(frame).expect("the filter's frames are answers"));
            }
            if !read(&mut self.socket, self.decoder.space()) {
                assert_eq!(self.decoder.buffered(), 0, "an answer was cut short");
                return None;
            }
        }
    }

    /// All answers up to the connection's end.
    ///
    /// # Panics
    /// As [`Wire::try_response`].
    #[track_caller]
    pub fn rest(&mut self) -> Vec<Response> {
        std::iter::from_fn(|| self.try_response()).collect()
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Wire").field(&self.socket).finish()
    }
}

fn connect(port: u16) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", port)).expect("the gateway listens");
    for set in [TcpStream::set_read_timeout, TcpStream::set_write_timeout] {
        set(&socket, Some(PATIENCE)).expect("a timeout can be set");
    }
    socket.set_nodelay(true).expect("an option can be set");
    socket
}

/// Appends what has come; `false` at the end of the connection, however it ends.
fn read(socket: &mut TcpStream, into: &mut BytesMut) -> bool {
    let mut buffer = [0; 16 << 10];
    match socket.read(&mut buffer) {
        Ok(0) => false,
        Ok(count) => {
            into.extend_from_slice(&buffer[..count]);
            true
        }
        Err(error) => {
            let hung = matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            );
            assert!(!hung, "nothing came for {PATIENCE:?}");
            false
        }
    }
}
