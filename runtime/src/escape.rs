//! Bytes from the network as text that is safe in a terminal and in a log line, and back again without loss.
//!
//! Printable UTF-8 stays as it is. A backslash is doubled; newline, carriage return and tab are `\n`, `\r`,
//! `\t`; every byte of anything else (invalid UTF-8, control characters, characters that reorder or hide text)
//! is `\xNN`. A caller may name further ASCII punctuation that gets a backslash, so that lists can be split again.

/// `bytes` as printable text: no control character can reach a terminal, no newline can forge a log line.
#[must_use]
pub fn printable(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    push_printable(&mut out, bytes, "");
    out
}

/// Appends `bytes` to `out` as [`printable`] does, with a backslash before each character of `special`.
pub(crate) fn push_printable(out: &mut String, bytes: &[u8], special: &str) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if special.contains(c) => {
                    out.push('\\');
                    out.push(c);
                }
                c if is_hazardous(c) => push_hex(out, c.encode_utf8(&mut [0; 4]).as_bytes()),
                c => out.push(c),
            }
        }
        push_hex(out, chunk.invalid());
    }
}

/// Undoes [`push_printable`]. What was never escaped text (a lone backslash at the end) is taken literally.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some(&escaped) = bytes.get(at) else {
            out.push(byte);
            break;
        };
        at += 1;
        match escaped {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'x' => {
                let value = text
                    .get(at..at + 2)
                    .and_then(|hex| u8::from_str_radix(hex, 16).ok());
                match value {
                    Some(value) => {
                        out.push(value);
                        at += 2;
                    }
                    None => out.extend_from_slice(b"\\x"),
                }
            }
            other => out.push(other),
        }
    }
    out
}

/// Appends already printable text to `out` as a JSON string, quotes included.
pub(crate) fn push_json_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => push_json_control(out, c),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn push_json_control(out: &mut String, c: char) {
    use std::fmt::Write as _;
    // Control characters are all below U+00A0, so one UTF-16 unit is enough.
    let _ = write!(out, "\\u{:04x}", u32::from(c));
}

fn push_hex(out: &mut String, bytes: &[u8]) {
    use std::fmt::Write as _;
    for byte in bytes {
        let _ = write!(out, "\\x{byte:02X}");
    }
}

/// Characters that move the cursor, change the direction of text, break a line, or cannot be seen.
#[must_use]
pub fn is_hazardous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hazardous_bytes_are_escaped_and_the_rest_is_readable() {
        for (bytes, text) in [
            (&b"user@example.org"[..], "user@example.org"),
            (b"two\nlines\r\n\tend", "two\\nlines\\r\\n\\tend"),
            (b"\x1b[31mred", "\\x1B[31mred"),
            (b"C:\\mail", "C:\\\\mail"),
            (b"\xff\xfe", "\\xFF\\xFE"),
            ("grüße".as_bytes(), "grüße"),
            ("a\u{202e}b".as_bytes(), "a\\xE2\\x80\\xAEb"),
            (b"\0\x7f", "\\x00\\x7F"),
        ] {
            assert_eq!(printable(bytes), text);
        }
    }

    #[test]
    fn text_that_is_no_escape_stays_literal() {
        for (text, bytes) in [
            ("\\", &b"\\"[..]),
            ("\\xG0", b"\\xG0"),
            ("\\x4", b"\\x4"),
            ("\\é", "é".as_bytes()),
        ] {
            assert_eq!(unescape(text), bytes, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_byte_string_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut text = String::new();
            push_printable(&mut text, &bytes, ",(){}[]\"");
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert_eq!(unescape(&text), bytes);
        }

        #[test]
        fn json_strings_are_what_a_json_parser_reads(text in any::<String>()) {
            let mut json = String::new();
            push_json_string(&mut json, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
