//! What a QMQP client sends, read as it comes, and written.

use bytes::{Bytes, BytesMut};

use super::netstring::{self, Malformed};
use crate::envelope::Envelope;

/// Reads a request as it comes: what it holds is no more than an address, and what was read from the socket.
#[derive(Debug)]
pub struct RequestDecoder {
    buffer: BytesMut,
    state: State,
    /// Bytes of the outer netstring that have not come.
    left: u64,
    address_refused: bool,
}

/// A part of a request, in the order in which they come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The request has so many bytes; the message and its envelope are no larger together.
    Begin(u64),
    /// The next piece of the message.
    Content(Bytes),
    /// The sender; may be empty.
    Sender(Bytes),
    /// A recipient; there may be none.
    Recipient(Bytes),
    /// All has come.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Outer,
    MessageLength,
    Message(u64),
    MessageComma,
    AddressLength(Whose),
    Address(Whose, usize),
    /// An address that is too long, or has a NUL, is read over.
    Skipped(Whose, u64),
    AddressComma(Whose),
    OuterComma,
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Sender,
    Recipient,
}

/// Addresses of this length and longer are not taken (`getbuf()` of `qmail-qmqpd.c`).
const LONGEST_ADDRESS: u64 = 1000;

impl Default for RequestDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestDecoder {
    /// Before the first byte.
    #[must_use]
    pub fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            state: State::Outer,
            left: 0,
            address_refused: false,
        }
    }

    /// Where the bytes go that come.
    pub fn space(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether not one byte has come.
    #[must_use]
    pub fn untouched(&self) -> bool {
        self.state == State::Outer && self.buffer.is_empty()
    }

    /// Whether an address was left out that no qmail takes: 1000 bytes and more, or with a NUL.
    #[must_use]
    pub fn address_refused(&self) -> bool {
        self.address_refused
    }

    /// The next part; `None` when more has to come.
    ///
    /// # Errors
    /// It is no QMQP. Nothing can be read after that.
    pub fn next_part(&mut self) -> Result<Option<Part>, Malformed> {
        loop {
            match self.state {
                State::Outer => {
                    let Some((length, _)) = netstring::length(&mut self.buffer)? else {
                        return Ok(None);
                    };
                    self.left = length;
                    self.state = State::MessageLength;
                    return Ok(Some(Part::Begin(length)));
                }
                State::MessageLength => {
                    let Some(length) = self.inner_length()? else {
                        return Ok(None);
                    };
                    self.state = State::Message(length);
                }
                State::Message(0) => self.state = State::MessageComma,
                State::Message(length) => {
                    let piece = self.take(length);
                    if piece.is_empty() {
                        return Ok(None);
                    }
                    self.state = State::Message(length - piece.len() as u64);
                    return Ok(Some(Part::Content(piece)));
                }
                State::MessageComma => {
                    if !self.inner_comma()? {
                        return Ok(None);
                    }
                    self.state = State::AddressLength(Whose::Sender);
                }
                State::AddressLength(Whose::Recipient) if self.left == 0 => {
                    self.state = State::OuterComma;
                }
                State::AddressLength(whose) => {
                    let Some(length) = self.inner_length()? else {
                        return Ok(None);
                    };
                    self.state = match usize::try_from(length) {
                        Ok(short) if length < LONGEST_ADDRESS => State::Address(whose, short),
                        _ => State::Skipped(whose, length),
                    };
                }
                State::Address(whose, length) => {
                    if self.buffer.len() < length {
                        return Ok(None);
                    }
                    let address = self.take(length as u64);
                    self.state = State::AddressComma(whose);
                    if memchr::memchr(0, &address).is_some() {
                        self.address_refused = true;
                        continue;
                    }
                    return Ok(Some(match whose {
                        Whose::Sender => Part::Sender(address),
                        Whose::Recipient => Part::Recipient(address),
                    }));
                }
                State::Skipped(whose, 0) => {
                    self.address_refused = true;
                    self.state = State::AddressComma(whose);
                }
                State::Skipped(whose, length) => {
                    let piece = self.take(length);
                    if piece.is_empty() {
                        return Ok(None);
                    }
                    self.state = State::Skipped(whose, length - piece.len() as u64);
                }
                State::AddressComma(_) => {
                    if !self.inner_comma()? {
                        return Ok(None);
                    }
                    self.state = State::AddressLength(Whose::Recipient);
                }
                State::OuterComma => {
                    if !netstring::comma(&mut self.buffer)? {
                        return Ok(None);
                    }
                    self.state = State::Done;
                    return Ok(Some(Part::End));
                }
                State::Done => return Ok(None),
            }
        }
    }

    /// Of what has come, at most so much.
    fn take(&mut self, length: u64) -> Bytes {
        let ready = usize::try_from(length)
            .map_or(self.buffer.len(), |length| length.min(self.buffer.len()));
        self.left -= ready as u64;
        self.buffer.split_to(ready).freeze()
    }

    /// The length of a netstring inside the outer one, which has room for it and its comma.
    fn inner_length(&mut self) -> Result<Option<u64>, Malformed> {
        // Where the outer one ends, no length is looked for beyond it.
        let within = usize::try_from(self.left)
            .map_or(self.buffer.len(), |left| left.min(self.buffer.len()));
        let ends_here = within as u64 == self.left;
        let rest = self.buffer.split_off(within);
        let found = netstring::length(&mut self.buffer);
        self.buffer.unsplit(rest);
        match found? {
            Some((length, used)) => {
                self.left -= used;
                if length >= self.left {
                    return Err(Malformed::Overrun);
                }
                Ok(Some(length))
            }
            None if ends_here => Err(Malformed::Overrun),
            None => Ok(None),
        }
    }

    fn inner_comma(&mut self) -> Result<bool, Malformed> {
        let came = netstring::comma(&mut self.buffer)?;
        self.left -= u64::from(came);
        Ok(came)
    }
}

/// A request, but for its message: what goes before it, and what goes after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framed {
    /// Up to the first byte of the message.
    pub head: Vec<u8>,
    /// From the message's end on. Nothing is handed in before the last byte of this.
    pub tail: Vec<u8>,
}

/// Frames a message of so many bytes.
#[must_use]
pub fn frame(length: u64, envelope: &Envelope) -> Framed {
    let size: usize = envelope.recipients.iter().map(|to| to.len() + 8).sum();
    let mut tail = Vec::with_capacity(size + envelope.sender.len() + 16);
    tail.push(b',');
    netstring::write(&envelope.sender, &mut tail);
    for recipient in &envelope.recipients {
        netstring::write(recipient, &mut tail);
    }
    let inner = format!("{length}:");
    let outer = inner.len() as u64 + length + tail.len() as u64;
    tail.push(b',');
    Framed {
        head: format!("{outer}:{inner}").into_bytes(),
        tail,
    }
}

#[cfg(test)]
mod tests;
