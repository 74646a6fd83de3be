//! Content transfer encodings (RFC 2045, 6), decoded as far as asked for.

use bytes::Bytes;
use mail_parser::decoders::quoted_printable::quoted_printable_decode_char;
use memchr::{memchr, memchr2};

/// A part's Content-Transfer-Encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// 7bit, 8bit or binary: the content is as it stands.
    Identity,
    /// Base64 (RFC 2045, 6.8).
    Base64,
    /// Quoted-printable (RFC 2045, 6.7).
    QuotedPrintable,
    /// Something else: the content is taken as it stands, and is a defect.
    Unknown,
}

/// Decoded content.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) bytes: Bytes,
    /// The encoding was violated; what could be decoded was.
    pub(super) bad: bool,
}

impl Encoding {
    pub(super) fn parse(field: &[u8]) -> Self {
        // A comment or a stray semicolon after the token is a thing that mailers write.
        let token = field
            .trim_ascii()
            .split(|b| b.is_ascii_whitespace() || matches!(b, b'(' | b';'))
            .next();
        let is = |name: &[u8]| token.is_some_and(|token| token.eq_ignore_ascii_case(name));
        if is(b"base64") {
            return Encoding::Base64;
        }
        if is(b"quoted-printable") {
            return Encoding::QuotedPrintable;
        }
        if is(b"7bit") || is(b"8bit") || is(b"binary") || is(b"") {
            return Encoding::Identity;
        }
        Encoding::Unknown
    }

    /// Decodes `raw` to at most `max` bytes.
    pub(super) fn decode(self, raw: &Bytes, max: usize) -> Content {
        match self {
            Encoding::Identity | Encoding::Unknown => Content {
                bytes: raw.slice(..raw.len().min(max)),
                bad: false,
            },
            Encoding::Base64 => {
                let (bytes, bad) = decode_base64(raw, max);
                Content {
                    bytes: bytes.into(),
                    bad,
                }
            }
            Encoding::QuotedPrintable => {
                let (bytes, bad) = decode_quoted_printable(raw, max);
                Content {
                    bytes: bytes.into(),
                    bad,
                }
            }
        }
    }

    /// The most that `raw` bytes can decode to, where decoding allocates.
    pub(super) fn decoded_bound(self, raw: usize) -> usize {
        match self {
            Encoding::Identity | Encoding::Unknown => 0,
            Encoding::Base64 => raw / 4 * 3 + 3,
            Encoding::QuotedPrintable => raw,
        }
    }
}

/// Decodes base64 to at most `max` bytes; the flag tells of foreign characters or broken padding.
pub(super) fn decode_base64(raw: &[u8], max: usize) -> (Vec<u8>, bool) {
    if max >= raw.len()
        && let Ok(decoded) = base64_simd::forgiving_decode_to_vec(raw)
    {
        return (decoded, false);
    }
    decode_base64_leniently(raw, max)
}

/// RFC 2045, 6.8: characters outside the alphabet are ignored. Padding ends a group, not the content: mailers join
/// encoded pieces.
fn decode_base64_leniently(input: &[u8], max: usize) -> (Vec<u8>, bool) {
    let mut decoded = Vec::with_capacity((input.len() / 4 * 3 + 3).min(max.saturating_add(3)));
    let (mut group, mut digits, mut bad) = (0u32, 0u8, false);
    for &byte in input {
        let value = BASE64[usize::from(byte)];
        if value < 64 {
            group = group << 6 | u32::from(value);
            digits += 1;
            if digits == 4 {
                decoded.extend_from_slice(&group.to_be_bytes()[1..]);
                (group, digits) = (0, 0);
                if decoded.len() >= max {
                    break;
                }
            }
            continue;
        }
        if byte == b'=' {
            flush_group(&mut decoded, group, digits);
            bad |= digits == 1;
            (group, digits) = (0, 0);
            continue;
        }
        bad |= !byte.is_ascii_whitespace();
    }
    flush_group(&mut decoded, group, digits);
    bad |= digits == 1;
    decoded.truncate(max);
    (decoded, bad)
}

fn flush_group(decoded: &mut Vec<u8>, group: u32, digits: u8) {
    match digits {
        2 => decoded.push((group >> 4) as u8),
        3 => decoded.extend_from_slice(&((group >> 2) as u16).to_be_bytes()),
        _ => {}
    }
}

const BASE64: [u8; 256] = {
    let mut table = [64u8; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut at = 0;
    while at < 64 {
        table[alphabet[at] as usize] = at as u8;
        at += 1;
    }
    table
};

/// Decodes quoted-printable to at most `max` bytes; a broken escape is kept as it stands, and flagged.
pub(super) fn decode_quoted_printable(raw: &[u8], max: usize) -> (Vec<u8>, bool) {
    let mut decoded = Vec::with_capacity(raw.len().min(max));
    let mut bad = false;
    let mut rest = raw;
    while !rest.is_empty() && decoded.len() < max {
        let line_end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, tail) = rest.split_at(line_end);
        rest = tail;
        let ending = if line.ends_with(b"\r\n") {
            2
        } else {
            usize::from(line.ends_with(b"\n"))
        };
        // White space at the end of a line was added on the way (RFC 2045, 6.7, rule 3).
        let (text, ending) = line.split_at(line.len() - ending);
        let text = text.trim_ascii_end();
        let (text, soft) = match text.strip_suffix(b"=") {
            Some(text) => (text, true),
            None => (text, false),
        };
        bad |= decode_line(text, &mut decoded);
        if !soft {
            decoded.extend_from_slice(ending);
        }
    }
    decoded.truncate(max);
    (decoded, bad)
}

fn decode_line(mut text: &[u8], decoded: &mut Vec<u8>) -> bool {
    let mut bad = false;
    while let Some(at) = memchr(b'=', text) {
        decoded.extend_from_slice(&text[..at]);
        match &text[at + 1..] {
            [high, low, after @ ..]
                if let Some(byte) = quoted_printable_decode_char(*high, *low) =>
            {
                decoded.push(byte);
                text = after;
            }
            after => {
                bad = true;
                decoded.push(b'=');
                text = after;
            }
        }
    }
    decoded.extend_from_slice(text);
    bad
}

/// `text` with each CRLF and bare CR turned into LF.
pub(super) fn to_lf(text: String) -> String {
    if memchr2(b'\r', b'\0', text.as_bytes()).is_none() {
        return text;
    }
    text.replace("\r\n", "\n").replace('\r', "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64() {
        let cases: [(&str, &str, bool); 10] = [
            ("SGVsbG8=", "Hello", false),
            ("SGVs\r\nbG8=\r\n", "Hello", false),
            ("SGVsbG8", "Hello", false),
            ("SGVs bG8= ", "Hello", false),
            ("SGVs!bG8=", "Hello", true),
            ("SGVsbG8=SGVsbG8=", "HelloHello", false),
            ("SGVsb", "Hel", true),
            ("", "", false),
            ("====", "", false),
            ("\u{e9}QQ==", "A", true),
        ];
        for (raw, expected, bad) in cases {
            let (decoded, is_bad) = decode_base64(raw.as_bytes(), usize::MAX);
            assert_eq!(
                (String::from_utf8_lossy(&decoded).as_ref(), is_bad),
                (expected, bad),
                "{raw}"
            );
        }
        let long = "QUJD".repeat(1000);
        assert_eq!(decode_base64(long.as_bytes(), 10).0, b"ABCABCABCA");
    }

    #[test]
    fn quoted_printable() {
        let cases: [(&str, &str, bool); 9] = [
            ("plain", "plain", false),
            ("caf=C3=A9", "café", false),
            ("soft=\r\nbreak", "softbreak", false),
            ("soft= \nbreak", "softbreak", false),
            ("trailing  \r\nspace", "trailing\r\nspace", false),
            ("lower=c3=a9", "loweré", false),
            ("bad=G1", "bad=G1", true),
            ("end=4", "end=4", true),
            ("a==\r\nb", "a=b", true),
        ];
        for (raw, expected, bad) in cases {
            let (decoded, is_bad) = decode_quoted_printable(raw.as_bytes(), usize::MAX);
            assert_eq!(
                (String::from_utf8_lossy(&decoded).as_ref(), is_bad),
                (expected, bad),
                "{raw}"
            );
        }
        assert_eq!(decode_quoted_printable(b"=41=42=43", 2).0, b"AB");
    }

    #[test]
    fn encodings_are_read_in_any_case_and_with_trimmings() {
        let cases: [(&[u8], Encoding); 7] = [
            (b" BASE64", Encoding::Base64),
            (b"base64;", Encoding::Base64),
            (b"Quoted-Printable (x)", Encoding::QuotedPrintable),
            (b" 8bit\r\n", Encoding::Identity),
            (b"", Encoding::Identity),
            (b"x-uuencode", Encoding::Unknown),
            (b"base 64", Encoding::Unknown),
        ];
        for (field, expected) in cases {
            assert_eq!(Encoding::parse(field), expected, "{field:?}");
        }
    }
}
