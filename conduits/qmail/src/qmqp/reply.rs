//! What a QMQP server answers.

use std::fmt;

use bytes::BytesMut;

use super::netstring::{self, Malformed};

/// The first letter of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// `K`: the message was taken.
    Taken,
    /// `Z`: not now.
    Deferred,
    /// `D`: never.
    Refused,
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// What was done.
    pub answer: Answer,
    /// What people may read of it: printable ASCII, one line.
    text: String,
}

/// Reads a reply as it comes.
#[derive(Debug, Default)]
pub struct ReplyDecoder {
    buffer: BytesMut,
    length: Option<usize>,
}

/// A reply longer than this is none; the part that is kept of one.
const LONGEST: u64 = 64 << 10;
const LONGEST_TEXT: usize = 900;

impl Answer {
    fn letter(self) -> u8 {
        match self {
            Self::Taken => b'K',
            Self::Deferred => b'Z',
            Self::Refused => b'D',
        }
    }
}

impl Reply {
    /// A reply with this text, in which all that is not printable ASCII is `?` and line ends are blanks.
    #[must_use]
    pub fn new(answer: Answer, text: &[u8]) -> Self {
        let text = text.iter().take(LONGEST_TEXT).map(|&byte| match byte {
            b' '..=b'~' => char::from(byte),
            b'\r' | b'\n' | b'\t' => ' ',
            _ => '?',
        });
        Self {
            answer,
            text: text.collect::<String>().trim().to_owned(),
        }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As it is sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut inner = vec![self.answer.letter()];
        inner.extend_from_slice(self.text.as_bytes());
        let mut wire = Vec::with_capacity(inner.len() + 8);
        netstring::write(&inner, &mut wire);
        wire
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", char::from(self.answer.letter()), self.text)
    }
}

impl ReplyDecoder {
    /// Where the bytes go that come.
    pub fn space(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The reply; `None` when more has to come.
    ///
    /// # Errors
    /// It is no reply.
    pub fn reply(&mut self) -> Result<Option<Reply>, Malformed> {
        let length = match self.length {
            Some(length) => length,
            None => match netstring::length(&mut self.buffer)? {
                None => return Ok(None),
                Some((length, _)) if length > LONGEST => return Err(Malformed::TooLarge),
                Some((length, _)) => usize::try_from(length).map_err(|_| Malformed::TooLarge)?,
            },
        };
        self.length = Some(length);
        // Its comma included.
        if self.buffer.len() <= length {
            return Ok(None);
        }
        if self.buffer[length] != b',' {
            return Err(Malformed::Comma);
        }
        let answer = match self.buffer[..length].first() {
            Some(b'K') => Answer::Taken,
            Some(b'Z') => Answer::Deferred,
            Some(b'D') => Answer::Refused,
            _ => return Err(Malformed::Reply),
        };
        Ok(Some(Reply::new(answer, &self.buffer[1..length])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8], piece: usize) -> Result<Option<Reply>, Malformed> {
        let mut decoder = ReplyDecoder::default();
        for piece in bytes.chunks(piece) {
            decoder.space().extend_from_slice(piece);
            if let Some(reply) = decoder.reply()? {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    #[test]
    fn replies_are_read_as_servers_write_them() {
        for (wire, answer, text) in [
            (
                "21:Kok 1577836800 qp 123,",
                Answer::Taken,
                "ok 1577836800 qp 123",
            ),
            ("1:K,", Answer::Taken, ""),
            ("11:Dno (5.7.1),", Answer::Refused, "no (5.7.1)"),
            ("6:Zlater,after", Answer::Deferred, "later"),
            ("6:Da\r\nb\u{1},", Answer::Refused, "a  b?"),
        ] {
            for piece in [1, 100] {
                let reply = read(wire.as_bytes(), piece).unwrap().expect(wire);
                assert_eq!((reply.answer, reply.text()), (answer, text), "{wire}");
            }
        }
        for (wire, expected) in [
            ("0:,", Malformed::Reply),
            ("2:ok,", Malformed::Reply),
            ("1:Kx", Malformed::Comma),
            ("220 x ESMTP", Malformed::Length),
            ("99999:K", Malformed::TooLarge),
        ] {
            assert_eq!(read(wire.as_bytes(), 100), Err(expected), "{wire}");
        }
        assert_eq!(read(b"5:Kok", 2), Ok(None));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(text in "[ -~]{0,50}", piece in 1usize..20) {
            let reply = Reply::new(Answer::Deferred, text.as_bytes());
            prop_assert_eq!(read(&reply.encode(), piece), Ok(Some(reply)));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&bytes, 3);
        }
    }
}
