//! Mail to send, and the header of mail that arrived, both as bytes.

/// One header field as it stands in a message, folds and line end included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The field's bytes.
    pub raw: Vec<u8>,
}

impl Field {
    /// The fields of a message's header, in order.
    pub fn parse_all(content: &[u8]) -> Vec<Self> {
        let mut fields: Vec<Self> = Vec::new();
        for line in content[..Self::header_len(content)].split_inclusive(|byte| *byte == b'\n') {
            match fields.last_mut() {
                Some(last) if line.starts_with(b" ") || line.starts_with(b"\t") => {
                    last.raw.extend_from_slice(line);
                }
                _ => fields.push(Self { raw: line.to_vec() }),
            }
        }
        fields
    }

    /// How many bytes of the content are header, without the empty line.
    pub fn header_len(content: &[u8]) -> usize {
        if content.starts_with(b"\r\n") {
            return 0;
        }
        content
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .map_or(content.len(), |end| end + 2)
    }

    /// Is this the field's name? Case does not count.
    pub fn is_named(&self, name: &str) -> bool {
        let end = self.raw.iter().position(|byte| *byte == b':').unwrap_or(0);
        self.raw[..end]
            .trim_ascii_end()
            .eq_ignore_ascii_case(name.as_bytes())
    }

    /// The field without its last line end, for a person's eye.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.raw)
            .trim_end_matches("\r\n")
            .to_owned()
    }
}

/// The header that every test message has; a mail server finds nothing to add to it.
pub const HEADER: &str = "Date: Thu, 5 Nov 2026 09:30:00 +0000\r\n\
    From: Sender <sender@origin.example>\r\n\
    To: rcpt@dest.example\r\n\
    Message-ID: <m1@origin.example>\r\n";

/// A plain message with this subject and a body of two lines.
pub fn simple(subject: &str) -> Vec<u8> {
    with_fields(&format!("Subject: {subject}\r\n"))
}

/// A plain message with these fields after the usual ones.
pub fn with_fields(fields: &str) -> Vec<u8> {
    format!("{HEADER}{fields}\r\nHello,\r\nthis is a test.\r\n").into_bytes()
}

/// A plain message with this subject and body.
pub fn with_body(subject: &str, body: &str) -> Vec<u8> {
    format!("{HEADER}Subject: {subject}\r\n\r\n{body}").into_bytes()
}

/// A message of exactly `size` bytes, made of numbered lines.
///
/// # Panics
/// When `size` is smaller than the header.
pub fn of_size(size: usize) -> Vec<u8> {
    let mut message = format!("{HEADER}Subject: of {size} bytes\r\n\r\n").into_bytes();
    assert!(
        message.len() + 2 <= size,
        "{size} bytes do not hold a header"
    );
    message.reserve(size);
    let mut number = 0_usize;
    while size - message.len() >= 80 {
        let line = format!(
            "{number:010} the quick brown fox jumps over the lazy dog, again and again ----\r\n"
        );
        message.extend_from_slice(line.as_bytes());
        number += 1;
    }
    message.resize(size - 2, b'.');
    message.extend_from_slice(b"\r\n");
    message
}

/// A multipart message whose second part is an attachment of this name, type and content.
pub fn with_attachment(name: &str, media_type: &str, content: &[u8]) -> Vec<u8> {
    let mut message = format!(
        "{HEADER}Subject: with an attachment\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n\
         --=_b\r\nContent-Type: text/plain\r\n\r\nSee the attachment.\r\n\
         --=_b\r\nContent-Type: {media_type}; name=\"{name}\"\r\n\
         Content-Disposition: attachment; filename=\"{name}\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n"
    )
    .into_bytes();
    for line in base64(content).as_bytes().chunks(76) {
        message.extend_from_slice(line);
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"--=_b--\r\n");
    message
}

/// A message whose header and body hold what careless programs spoil: odd blanks around the colon,
/// folds with tabs, a tab alone, empty values, 8-bit text, lines that begin with a dot.
pub fn awkward() -> Vec<u8> {
    let mut message = HEADER.as_bytes().to_vec();
    message.extend_from_slice(
        b"Subject:  two blanks and\r\n\ta fold with a tab\r\nX-NoBlank:value\r\nX-Tab:\tvalue\r\n\
          X-Trailing: value  \r\nX-Empty:\r\nX-Dup: one\r\nx-dup: two\r\nX-DUP:  three\r\n\
          X-Eight: caf\xe9 \xff\xfe\r\nMIME-Version: 1.0\r\n\
          Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
          caf\xe9 au lait\r\n.\r\n..two dots\r\n \r\n\r\nthe end \t\r\n\r\n",
    );
    message
}

/// The standard base64 of some bytes, with padding (RFC 4648, section 4).
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = group
            .iter()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        for place in 0..4 {
            let index = (word >> (18 - 6 * place)) & 63;
            text.push(if place <= group.len() {
                char::from(ALPHABET[index as usize])
            } else {
                '='
            });
        }
    }
    text
}
