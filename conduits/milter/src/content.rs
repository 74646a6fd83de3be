//! The message's bytes, put together again.

use bytes::{BufMut, Bytes, BytesMut};

/// A message as the SMTP client sent it, as far as the milter protocol tells:
/// headers, the empty line, body, lines ending in CR LF.
#[derive(Debug, Default)]
pub struct Content {
    pieces: Vec<Bytes>,
    held_in_pieces: usize,
    tail: BytesMut,
    total: u64,
    in_body: bool,
}

impl Content {
    /// Room made for the headers at once.
    const HEAD: usize = 8 << 10;
    /// Smaller chunks are copied behind what is there, so that a small message
    /// is one piece; larger ones stay slices of the read buffer.
    const COPIED: usize = 16 << 10;

    /// Bytes seen of this message.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes held in memory: those that were not yet taken.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held_in_pieces + self.tail.len()
    }

    /// Takes what is held, in order; for a caller that writes large messages to
    /// a file. What follows comes later.
    pub fn take(&mut self) -> Vec<Bytes> {
        self.flush_tail();
        self.held_in_pieces = 0;
        std::mem::take(&mut self.pieces)
    }

    /// Takes what is held as one piece. Costs a copy if it is more than one.
    pub fn take_whole(&mut self) -> Bytes {
        if self.pieces.is_empty() {
            return self.tail.split().freeze();
        }
        let mut whole = BytesMut::with_capacity(self.held());
        for piece in self.take() {
            whole.put_slice(&piece);
        }
        whole.freeze()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Appends a header. `bare_value` says that the mail server took the blank
    /// after the colon away.
    pub(crate) fn push_header(&mut self, name: &[u8], value: &[u8], bare_value: bool) {
        // A line end at most doubles; folds are few.
        let need = name.len() + value.len() + 4;
        if self.tail.capacity() - self.tail.len() < need {
            self.tail.reserve(need.max(Self::HEAD));
        }
        let before = self.tail.len();
        self.tail.put_slice(name);
        self.tail.put_slice(if bare_value { b": " } else { b":" });
        put_crlf(&mut self.tail, value);
        self.tail.put_slice(b"\r\n");
        self.total += (self.tail.len() - before) as u64;
    }

    /// The empty line, once.
    pub(crate) fn end_headers(&mut self) {
        if !self.in_body {
            self.in_body = true;
            self.tail.put_slice(b"\r\n");
            self.total += 2;
        }
    }

    pub(crate) fn push_body(&mut self, piece: Bytes) {
        self.end_headers();
        self.total += piece.len() as u64;
        if piece.len() <= Self::COPIED {
            self.tail.put_slice(&piece);
            return;
        }
        self.flush_tail();
        self.held_in_pieces += piece.len();
        self.pieces.push(piece);
    }

    fn flush_tail(&mut self) {
        if !self.tail.is_empty() {
            self.held_in_pieces += self.tail.len();
            self.pieces.push(self.tail.split().freeze());
        }
    }
}

/// Appends text whose line ends are LF (or CR LF already) with CR LF.
fn put_crlf(out: &mut BytesMut, text: &[u8]) {
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', text) {
        out.put_slice(&text[start..end]);
        if end == 0 || text[end - 1] != b'\r' {
            out.put_u8(b'\r');
        }
        out.put_u8(b'\n');
        start = end + 1;
    }
    out.put_slice(&text[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_out_byte_for_byte() {
        for (value, bare, line) in [
            (&b" two"[..], false, &b"X: two\r\n"[..]),
            (b"  two", false, b"X:  two\r\n"),
            (b"v", false, b"X:v\r\n"),
            (b"two", true, b"X: two\r\n"),
            (b" one\n\ttwo", false, b"X: one\r\n\ttwo\r\n"),
            (b" one\r\n two", false, b"X: one\r\n two\r\n"),
            (b"\n two", false, b"X:\r\n two\r\n"),
            (b"", false, b"X:\r\n"),
            (b" caf\xe9 \r x", false, b"X: caf\xe9 \r x\r\n"),
        ] {
            let mut content = Content::default();
            content.push_header(b"X", value, bare);
            assert_eq!(content.total(), line.len() as u64);
            assert_eq!(content.take_whole(), line);
        }
    }

    #[test]
    fn a_small_message_is_one_piece_and_a_large_chunk_is_not_copied() {
        let mut content = Content::default();
        content.push_header(b"X", b" y", false);
        content.push_body(Bytes::from_static(b"hello\r\n"));
        assert_eq!(content.take().len(), 1);

        let large = Bytes::from(vec![b'x'; 65_535]);
        content.push_body(large.clone());
        content.push_body(Bytes::from_static(b"end"));
        assert_eq!(content.held(), 65_538);
        let pieces = content.take();
        assert_eq!(pieces.len(), 2);
        assert_eq!(pieces[0].as_ptr(), large.as_ptr());
        assert_eq!(content.held(), 0);
        assert_eq!(content.total(), 6 + 2 + 7 + 65_538);
    }

    #[test]
    fn a_message_with_no_body_still_ends_its_headers() {
        let mut content = Content::default();
        content.push_header(b"X", b" y", false);
        content.end_headers();
        content.end_headers();
        assert_eq!(content.take_whole(), &b"X: y\r\n\r\n"[..]);
    }
}
