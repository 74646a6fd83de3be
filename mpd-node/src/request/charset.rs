//! Bytes in some character set become text.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use mail_parser::decoders::charsets::map::charset_decoder;

/// Decodes `bytes` named to be in `label`; malformed sequences become U+FFFD. The flag is false for an unknown label.
///
/// Without a label, and where US-ASCII holds 8-bit bytes, UTF-8 is taken if it is valid, else Windows-1252: what mail
/// programs do.
pub(super) fn decode(bytes: &[u8], label: Option<&str>) -> (String, bool) {
    let label = label.map(str::trim).filter(|label| !label.is_empty());
    let Some(label) = label else {
        return (guess(bytes), true);
    };
    if bytes.is_ascii() && is_ascii_superset(label) {
        return (ascii(bytes), true);
    }
    if matches!(
        label,
        "us-ascii" | "ascii" | "ansi_x3.4-1968" | "unknown-8bit" | "x-unknown" | "default"
    ) {
        return (guess(bytes), true);
    }
    // encoding_rs knows "utf-16" as little-endian and some labels only as "replacement"; mail-parser fills the gaps.
    if let Some(encoding) = Encoding::for_label_no_replacement(label.as_bytes()) {
        return (owned(encoding.decode(bytes).0), true);
    }
    if let Some(decoder) = charset_decoder(label.as_bytes()) {
        return (decoder(bytes), true);
    }
    (guess(bytes), false)
}

fn is_ascii_superset(label: &str) -> bool {
    matches!(label, "us-ascii" | "ascii" | "utf-8" | "utf8")
        || label.starts_with("iso-8859")
        || label.starts_with("windows-")
}

fn guess(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        // Cut in the middle of a character by a size limit, it is still UTF-8.
        Err(error) if error.error_len().is_none() => {
            owned(UTF_8.decode_without_bom_handling(bytes).0)
        }
        Err(_) => owned(WINDOWS_1252.decode_without_bom_handling(bytes).0),
    }
}

fn ascii(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn owned(text: Cow<'_, str>) -> String {
    text.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_mail_are_decoded() {
        let cases: [(&[u8], Option<&str>, &str, bool); 12] = [
            (b"plain", None, "plain", true),
            (b"na\xc3\xafve", None, "naïve", true),
            (b"na\xefve", None, "naïve", true),
            (b"na\xefve", Some("us-ascii"), "naïve", true),
            (b"na\xefve", Some("iso-8859-1"), "naïve", true),
            (b"\xf0\xd2\xc9", Some("koi8-r"), "При", true),
            (b"\x1b$B%O%m!<\x1b(B", Some("iso-2022-jp"), "ハロー", true),
            (b"+AOQ-", Some("utf-7"), "ä", true),
            (b"\x9b", Some("ibm850"), "ø", true),
            (b"\xff\xfeA\0", Some("utf-16"), "A", true),
            (b"\xff", Some("utf-8"), "\u{fffd}", true),
            (b"x", Some("no-such-charset"), "x", false),
        ];
        for (bytes, label, text, known) in cases {
            assert_eq!(decode(bytes, label), (text.to_owned(), known), "{label:?}");
        }
    }
}
