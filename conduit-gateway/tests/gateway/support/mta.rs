//! The mail server's side, over a real socket.

use bytes::{Bytes, BytesMut};
use conduit_gateway::ListenAddress;
use millrace_milter::mta::{Client, Flavour, Message, Mta, Outcome, Received};
use millrace_milter::{RawPath, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::soon;

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

/// A mail server that is connected.
pub struct MailServer {
    pub mta: Mta,
    socket: Box<dyn Socket>,
}

/// What became of one message.
#[derive(Debug)]
pub struct Mail {
    pub outcome: Outcome,
    /// PROGRESS frames that came.
    pub progress: usize,
}

/// A message with this body.
pub fn message(body: &str) -> Message {
    Message::parse(format!("From: a@example.org\r\nSubject:  two blanks\r\n\r\n{body}").as_bytes())
}

impl MailServer {
    pub async fn connect(address: &ListenAddress) -> Self {
        Self::connect_as(address, Flavour::Postfix).await
    }

    pub async fn connect_as(address: &ListenAddress, flavour: Flavour) -> Self {
        let socket: Box<dyn Socket> = match address {
            ListenAddress::Tcp(address) => Box::new(TcpStream::connect(address).await.unwrap()),
            ListenAddress::Unix(path) => Box::new(UnixStream::connect(path).await.unwrap()),
            ListenAddress::Systemd(_) => panic!("nothing to connect to"),
        };
        Self {
            mta: Mta::new(flavour, Client::default()),
            socket,
        }
    }

    /// Plays a message to its end; `None` when the gateway closed the connection first.
    pub async fn send(&mut self, message: Message) -> Option<Mail> {
        self.mta.send(message);
        soon("an outcome", self.outcome()).await
    }

    /// Goes on until a message is over.
    pub async fn outcome(&mut self) -> Option<Mail> {
        let mut progress = 0;
        loop {
            while let Some(received) = self.mta.receive().unwrap() {
                match received {
                    Received::Finished(outcome) => return Some(Mail { outcome, progress }),
                    Received::Progress => progress += 1,
                    Received::Negotiated | Received::Continue | Received::Edit => {}
                }
            }
            let mut out = BytesMut::new();
            self.mta.advance(&mut out);
            // The gateway may have closed already: what it has said before counts.
            let _ = self.socket.write_all(&out).await;
            if !matches!(self.socket.read_buf(self.mta.space()).await, Ok(1..)) {
                return None;
            }
        }
    }

    /// Writes bytes as they are.
    pub async fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// Writes what needs no answer yet, up to the first command that does.
    pub async fn advance(&mut self) {
        let mut out = BytesMut::new();
        self.mta.advance(&mut out);
        self.write(&out).await;
    }

    /// Gives the message in progress up.
    pub async fn abort(&mut self) {
        let mut out = BytesMut::new();
        self.mta.abort(&mut out);
        self.write(&out).await;
    }

    /// Reads replies up to one that is no progress and no edit.
    pub async fn reply(&mut self) -> Option<Received> {
        let wait = async {
            loop {
                if let Some(received) = self.mta.receive().unwrap() {
                    return Some(received);
                }
                if !matches!(self.socket.read_buf(self.mta.space()).await, Ok(1..)) {
                    return None;
                }
            }
        };
        soon("a reply", wait).await
    }

    /// Reads all that comes until the gateway closes the connection.
    pub async fn read_to_end(&mut self, end: &mut Vec<u8>) {
        let _ = self.socket.read_to_end(end).await;
    }

    /// Waits until the gateway closes the connection.
    pub async fn closed(&mut self) {
        let mut rest = Vec::new();
        let _ = soon("the connection's end", self.socket.read_to_end(&mut rest)).await;
    }
}

impl Mail {
    /// The SMTP reply's text, or the letter of the answer.
    pub fn answer(&self) -> String {
        text(self.outcome.answer.as_ref())
    }

    /// Values of headers that were inserted, by name.
    pub fn inserted(&self, wanted: &str) -> Vec<String> {
        let edits = self.outcome.edits.iter();
        edits
            .filter_map(|edit| match edit {
                Response::InsertHeader { name, value, .. } if name == wanted => {
                    Some(String::from_utf8(value.to_vec()).unwrap())
                }
                _ => None,
            })
            .collect()
    }
}

fn text(answer: Option<&Response>) -> String {
    match answer {
        None | Some(Response::Continue | Response::Accept) => "accept".to_owned(),
        Some(Response::ReplyCode(text)) => String::from_utf8(text.to_vec()).unwrap(),
        Some(other) => format!("{other:?}"),
    }
}

impl Mail {
    /// How recipients were refused, by index.
    pub fn refused(&self) -> Vec<(usize, String)> {
        self.outcome
            .refused
            .iter()
            .map(|(index, answer)| (*index, text(Some(answer))))
            .collect()
    }
}

/// A path with ESMTP words.
pub fn path(address: &'static str, words: &[&'static str]) -> RawPath {
    RawPath {
        address: Bytes::from(address),
        parameters: words.iter().map(|word| Bytes::from(*word)).collect(),
    }
}
