//! Encoded words in header fields (RFC 2047), as mail programs show them.

use std::borrow::Cow;

use memchr::memmem;

use super::{charset, content_type::hex, decode::decode_base64};

/// RFC 2047 allows 75 bytes; mailers exceed it, hostile ones without end.
const MAX_WORD: usize = 4096;

/// A field value as text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) text: String,
    /// Some encoded word has an unknown charset or encoding, or does not decode.
    pub(super) bad: bool,
}

/// Unfolds `value` and decodes its encoded words. Adjacent words of one charset are decoded as one, so that a character
/// that was split between two words is whole again.
pub(super) fn decode(value: &[u8]) -> Decoded {
    let unfolded: Cow<'_, [u8]> = if memchr::memchr2(b'\r', b'\n', value).is_some() {
        value
            .iter()
            .copied()
            .filter(|b| !matches!(b, b'\r' | b'\n'))
            .collect::<Vec<_>>()
            .into()
    } else {
        value.into()
    };
    let mut rest: &[u8] = unfolded.trim_ascii();
    let mut output = Output::default();
    while let Some(at) = memmem::find(rest, b"=?") {
        let Some(word) = Word::parse(&rest[at..]) else {
            output.plain(&rest[..at + 2]);
            rest = &rest[at + 2..];
            continue;
        };
        output.plain(&rest[..at]);
        rest = &rest[at + word.len..];
        output.word(&word);
    }
    output.plain(rest);
    output.flush();
    Decoded {
        text: output.text,
        bad: output.bad,
    }
}

struct Word<'a> {
    charset: &'a [u8],
    encoding: u8,
    content: &'a [u8],
    len: usize,
}

#[derive(Default)]
struct Output {
    text: String,
    bad: bool,
    /// Charset and bytes of the encoded words since the last plain text.
    pending: Option<(String, Vec<u8>)>,
    after_word: bool,
}

impl<'a> Word<'a> {
    /// An encoded word at the beginning of `bytes`.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let window = &bytes[..bytes.len().min(MAX_WORD)];
        let body = window.strip_prefix(b"=?")?;
        let mut fields = body.splitn(3, |b| *b == b'?');
        let (charset, encoding, tail) = (fields.next()?, fields.next()?, fields.next()?);
        let &[encoding] = encoding else {
            return None;
        };
        if charset.is_empty() || charset.len() > 64 || !charset.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let content = &tail[..memmem::find(tail, b"?=")?];
        Some(Word {
            // RFC 2231, 5: a language may follow the charset.
            charset: charset.split(|b| *b == b'*').next().unwrap_or(charset),
            encoding: encoding.to_ascii_lowercase(),
            content,
            len: 2 + charset.len() + 1 + 1 + 1 + content.len() + 2,
        })
    }
}

impl Output {
    fn plain(&mut self, bytes: &[u8]) {
        // White space between two encoded words is not shown (RFC 2047, 6.2).
        if bytes.is_empty() || (self.after_word && bytes.iter().all(u8::is_ascii_whitespace)) {
            return;
        }
        self.flush();
        self.after_word = false;
        self.text.push_str(&charset::decode(bytes, None).0);
    }

    fn word(&mut self, word: &Word<'_>) {
        let content = match word.encoding {
            b'b' => {
                let (content, bad) = decode_base64(word.content, usize::MAX);
                self.bad |= bad;
                content
            }
            b'q' => self.q(word.content),
            _ => {
                self.bad = true;
                word.content.to_vec()
            }
        };
        let label = String::from_utf8_lossy(word.charset).to_ascii_lowercase();
        self.after_word = true;
        match &mut self.pending {
            Some((charset, bytes)) if *charset == label && !is_stateful(&label) => {
                bytes.extend_from_slice(&content);
            }
            _ => {
                self.flush();
                self.pending = Some((label, content));
            }
        }
    }

    /// The Q encoding (RFC 2047, 4.2).
    fn q(&mut self, content: &[u8]) -> Vec<u8> {
        let mut decoded = Vec::with_capacity(content.len());
        let mut rest = content;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            match (byte, tail) {
                (b'_', _) => decoded.push(b' '),
                (b'=', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                    decoded
                        .push(hex(*high).unwrap_or_default() << 4 | hex(*low).unwrap_or_default());
                    rest = after;
                }
                _ => {
                    self.bad |= byte == b'=';
                    decoded.push(byte);
                }
            }
        }
        decoded
    }

    fn flush(&mut self) {
        let Some((label, bytes)) = self.pending.take() else {
            return;
        };
        let (text, known) = charset::decode(&bytes, Some(&label));
        self.bad |= !known;
        self.text.push_str(&text);
    }
}

/// Whether each word begins anew in a state of the charset: such words cannot be joined.
fn is_stateful(label: &str) -> bool {
    label.starts_with("iso-2022") || matches!(label, "utf-7" | "hz-gb-2312" | "utf-16")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words() {
        let cases = [
            ("plain text", "plain text", false),
            (" folded\r\n  text", "folded  text", false),
            ("=?utf-8?Q?caf=C3=A9?=", "café", false),
            ("=?ISO-8859-1?q?a_b=E9?= tail", "a bé tail", false),
            ("=?utf-8?B?Y2Fmw6k=?=", "café", false),
            ("=?utf-8?B?Y2Fmw6k?=", "café", false),
            ("=?utf-8?Q?one?=\r\n =?utf-8?Q?two?=", "onetwo", false),
            ("=?utf-8?Q?one?= and =?utf-8?Q?two?=", "one and two", false),
            ("=?utf-8?Q?=E2=82?= =?utf-8?Q?=AC?=", "€", false),
            (
                "=?iso-2022-jp?B?GyRCJTklUSVgGyhC?= =?iso-2022-jp?B?GyRCJWEhPCVrGyhC?=",
                "スパムメール",
                false,
            ),
            ("=?utf-8*en?Q?lang?=", "lang", false),
            ("head=?utf-8?Q?mid?=tail", "headmidtail", false),
            ("=?utf-8?X?what?=", "what", true),
            ("=?no-such?Q?x?=", "x", true),
            ("=?utf-8?Q?bad=ZZ?=", "bad=ZZ", true),
            ("=?utf-8?Q?never ends", "=?utf-8?Q?never ends", false),
            ("=? ?=", "=? ?=", false),
            ("", "", false),
        ];
        for (value, text, bad) in cases {
            let decoded = decode(value.as_bytes());
            assert_eq!((decoded.text.as_str(), decoded.bad), (text, bad), "{value}");
        }
    }

    #[test]
    fn many_unfinished_words_are_read_in_linear_time() {
        let value = b"=?aa?q?x ".repeat(100_000);
        assert_eq!(decode(&value).text.len(), value.len() - 1);
    }
}
