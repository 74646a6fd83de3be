//! Netstrings: a length in decimal digits, a colon, so many bytes, a comma.

use bytes::{Buf, BytesMut};

/// Why bytes are no QMQP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A byte that is no digit stands in a length, or there is none before the colon.
    #[error("a length is not a decimal number")]
    Length,
    /// A length has more digits than anything that could be taken.
    #[error("a length is too large")]
    TooLarge,
    /// A netstring does not end with a comma.
    #[error("a netstring does not end with a comma")]
    Comma,
    /// A netstring is longer than the one that it stands in.
    #[error("a netstring is longer than the one that holds it")]
    Overrun,
    /// A reply begins with none of `K`, `Z` and `D`.
    #[error("a reply is none of K, Z and D")]
    Reply,
}

/// More digits than this are no length: 99 GB.
const DIGITS: usize = 11;

/// Takes a length and its colon off the buffer, and how many bytes they were; `None` when they have not come whole.
pub(super) fn length(buffer: &mut BytesMut) -> Result<Option<(u64, u64)>, Malformed> {
    let window = &buffer[..buffer.len().min(DIGITS + 1)];
    let Some(colon) = window.iter().position(|&byte| byte == b':') else {
        if window.iter().any(|byte| !byte.is_ascii_digit()) {
            return Err(Malformed::Length);
        }
        return if window.len() > DIGITS {
            Err(Malformed::TooLarge)
        } else {
            Ok(None)
        };
    };
    let digits = &window[..colon];
    if digits.is_empty() || digits.iter().any(|byte| !byte.is_ascii_digit()) {
        return Err(Malformed::Length);
    }
    let number = digits
        .iter()
        .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    let used = colon + 1;
    buffer.advance(used);
    Ok(Some((number, used as u64)))
}

/// Takes a comma off the buffer; whether it has come.
pub(super) fn comma(buffer: &mut BytesMut) -> Result<bool, Malformed> {
    match buffer.first() {
        None => Ok(false),
        Some(b',') => {
            buffer.advance(1);
            Ok(true)
        }
        Some(_) => Err(Malformed::Comma),
    }
}

/// Writes one.
pub(super) fn write(bytes: &[u8], to: &mut Vec<u8>) {
    to.extend_from_slice(bytes.len().to_string().as_bytes());
    to.push(b':');
    to.extend_from_slice(bytes);
    to.push(b',');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_digits_and_a_colon() {
        for (text, expected) in [
            ("5:hello", Ok(Some((5, 2)))),
            ("0:,", Ok(Some((0, 2)))),
            ("007:", Ok(Some((7, 4)))),
            ("12", Ok(None)),
            ("", Ok(None)),
            (":", Err(Malformed::Length)),
            ("-1:", Err(Malformed::Length)),
            ("1 :", Err(Malformed::Length)),
            ("GET / HTTP/1.1", Err(Malformed::Length)),
            ("99999999999:", Ok(Some((99_999_999_999, 12)))),
            ("999999999999", Err(Malformed::TooLarge)),
            ("999999999999:", Err(Malformed::TooLarge)),
        ] {
            assert_eq!(length(&mut BytesMut::from(text)), expected, "{text}");
        }
    }
}
