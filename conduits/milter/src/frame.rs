//! Frames: a 32-bit big-endian length, a letter, data.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes of the length in front of a frame.
pub(crate) const LENGTH_BYTES: usize = 4;

/// One frame of either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The letter that says what it is.
    pub command: u8,
    /// All that follows the letter; a slice of the read buffer.
    pub data: Bytes,
}

/// Cuts a stream of bytes into frames, with no copy.
///
/// The caller reads from its socket into [`space`](FrameDecoder::space), then
/// takes frames with [`next_frame`](FrameDecoder::next_frame) until there is
/// none.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: BytesMut,
    limit: usize,
    checked_first: bool,
}

/// Why a stream is not one of milter frames. The connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first bytes give a length that no frame has; they look like text of
    /// another protocol.
    #[error("the peer speaks {seemed}, not the milter protocol: it began with \"{beginning}\"")]
    WrongProtocol {
        /// What it looks like, as `HTTP`.
        seemed: &'static str,
        /// What came first, other bytes than printable ASCII escaped.
        beginning: String,
    },
    /// A frame is larger than what was negotiated.
    #[error("a frame of {length} bytes is above the limit of {limit}")]
    TooLong {
        /// The length that the frame claims.
        length: usize,
        /// The largest that is taken.
        limit: usize,
    },
    /// A frame has not even a letter.
    #[error("a frame of length 0")]
    Empty,
}

impl Frame {
    /// Appends the frame as it stands on the wire.
    pub fn encode(&self, out: &mut BytesMut) {
        put_head(out, self.command, self.data.len());
        out.put_slice(&self.data);
    }
}

impl FrameDecoder {
    /// Least room given to a read.
    const READ: usize = 4096;
    /// Beginning bytes kept for the message about a wrong protocol.
    const SHOWN: usize = 24;

    /// A decoder that takes frames with at most `limit` bytes of data.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            limit,
            checked_first: false,
        }
    }

    /// Changes the limit, once it is negotiated.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The buffer to read into, with room for the rest of a frame that has
    /// begun, and for 4 KiB at least.
    pub fn space(&mut self) -> &mut BytesMut {
        let missing = self
            .frame_length()
            .filter(|&length| length <= self.limit + 1)
            .map_or(0, |length| {
                (LENGTH_BYTES + length).saturating_sub(self.buffer.len())
            });
        self.buffer.reserve(missing.max(Self::READ));
        &mut self.buffer
    }

    /// Bytes that have come and are not yet taken.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Gives the buffer's memory back while nothing is in it: for a connection
    /// that waits.
    pub fn release(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// The next whole frame; `None` when more must be read first.
    ///
    /// # Errors
    /// The stream is not one of milter frames, or a frame is above the limit.
    /// All later calls give an error too.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(length) = self.frame_length() else {
            return Ok(None);
        };
        if length == 0 {
            return Err(FrameError::Empty);
        }
        if length - 1 > self.limit {
            return Err(self.too_long(length));
        }
        self.checked_first = true;
        if self.buffer.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(LENGTH_BYTES);
        let command = self.buffer[0];
        let mut data = self.buffer.split_to(length);
        data.advance(1);
        Ok(Some(Frame {
            command,
            data: data.freeze(),
        }))
    }

    fn frame_length(&self) -> Option<usize> {
        let head: [u8; LENGTH_BYTES] = self.buffer.get(..LENGTH_BYTES)?.try_into().ok()?;
        Some(u32::from_be_bytes(head) as usize)
    }

    /// A peer of another protocol shows in its very first bytes as a silly
    /// length.
    fn too_long(&self, length: usize) -> FrameError {
        let seemed = if self.checked_first {
            None
        } else {
            foreign(&self.buffer)
        };
        match seemed {
            Some(seemed) => FrameError::WrongProtocol {
                seemed,
                beginning: self.buffer[..self.buffer.len().min(Self::SHOWN)]
                    .escape_ascii()
                    .to_string(),
            },
            None => FrameError::TooLong {
                length,
                limit: self.limit,
            },
        }
    }
}

/// Appends the length and the letter of a frame whose data follow.
pub(crate) fn put_head(out: &mut BytesMut, command: u8, data: usize) {
    // No frame that this crate builds comes near 4 GiB.
    out.put_u32(u32::try_from(data + 1).unwrap_or(u32::MAX));
    out.put_u8(command);
}

fn foreign(beginning: &[u8]) -> Option<&'static str> {
    const TELLING: [(&[u8], &str); 22] = [
        (b"GET ", "HTTP"),
        (b"POST", "HTTP"),
        (b"HEAD", "HTTP"),
        (b"PUT ", "HTTP"),
        (b"OPTI", "HTTP"),
        (b"CONN", "HTTP"),
        (b"PRI ", "HTTP/2"),
        (b"EHLO", "SMTP"),
        (b"HELO", "SMTP"),
        (b"LHLO", "LMTP"),
        (b"220 ", "SMTP"),
        (b"220-", "SMTP"),
        (b"QUIT", "SMTP"),
        (b"zINS", "clamd"),
        (b"nINS", "clamd"),
        (b"zPIN", "clamd"),
        (b"PING", "clamd"),
        (b"UNKN", "clamd"),
        (b"SSH-", "SSH"),
        (b"PROX", "the PROXY protocol"),
        (b"\r\n\r\n", "the PROXY protocol"),
        (b"SYMB", "spamd"),
    ];
    if let Some((_, name)) = TELLING
        .iter()
        .find(|(start, _)| beginning.starts_with(start))
    {
        return Some(name);
    }
    if beginning.starts_with(&[0x16, 0x03]) {
        return Some("TLS");
    }
    let text = beginning
        .iter()
        .take(LENGTH_BYTES)
        .all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t'));
    text.then_some("a text protocol")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8], limit: usize) -> Result<Option<Frame>, FrameError> {
        let mut decoder = FrameDecoder::new(limit);
        decoder.space().put_slice(bytes);
        decoder.next_frame()
    }

    #[test]
    fn a_full_chunk_of_65535_bytes_fits_its_limit_and_one_more_byte_does_not() {
        let mut wire = BytesMut::new();
        put_head(&mut wire, b'B', 65_535);
        assert_eq!(decode(&wire, 65_535), Ok(None));
        wire.resize(LENGTH_BYTES + 65_536, b'x');
        let frame = decode(&wire, 65_535).expect("a frame").expect("whole");
        assert_eq!((frame.command, frame.data.len()), (b'B', 65_535));
        let mut wire = BytesMut::new();
        put_head(&mut wire, b'B', 65_536);
        assert_eq!(
            decode(&wire, 65_535),
            Err(FrameError::TooLong {
                length: 65_537,
                limit: 65_535
            })
        );
    }

    #[test]
    fn a_frame_with_no_letter_is_an_error() {
        assert_eq!(decode(&[0, 0, 0, 0], 100), Err(FrameError::Empty));
        assert_eq!(decode(&[0, 0, 0], 100), Ok(None));
        assert_eq!(decode(&[], 100), Ok(None));
    }

    #[test]
    fn another_protocol_on_the_port_is_named() {
        for (bytes, expected) in [
            (&b"POST /checkv2 HTTP/1.1\r\n"[..], "HTTP"),
            (b"UNKNOWN COMMAND\n", "clamd"),
            (b"EHLO mx.example\r\n", "SMTP"),
            (b"\x16\x03\x01\x02\x00\x01", "TLS"),
            (b"hello there", "a text protocol"),
        ] {
            match decode(bytes, 1 << 20) {
                Err(FrameError::WrongProtocol { seemed, beginning }) => {
                    assert_eq!(seemed, expected);
                    assert!(beginning.is_ascii() && !beginning.contains('\n'));
                }
                other => panic!("{expected}: {other:?}"),
            }
        }
    }

    #[test]
    fn after_a_good_frame_a_silly_length_is_only_too_long() {
        let mut decoder = FrameDecoder::new(100);
        decoder.space().put_slice(b"\0\0\0\x01TPOST");
        assert!(decoder.next_frame().expect("a frame").is_some());
        assert!(matches!(
            decoder.next_frame(),
            Err(FrameError::TooLong { .. })
        ));
    }

    #[test]
    fn room_is_made_for_the_rest_of_a_frame() {
        let mut decoder = FrameDecoder::new(65_535);
        decoder.space().put_slice(b"\0\x01\0\0B");
        let space = decoder.space();
        assert!(space.capacity() - space.len() >= 65_535);
    }
}
