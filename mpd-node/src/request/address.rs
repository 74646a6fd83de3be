//! Mailboxes in address fields (RFC 5322, 3.4), read as leniently as mail programs do.

use super::encoded_word;

/// Mailboxes kept of one field.
const MAX_MAILBOXES: usize = 1000;

/// One mailbox of a From, Sender or Reply-To field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// What a mail program shows beside or instead of the address; empty where there is nothing.
    pub display: String,
    /// The address without angle brackets.
    pub address: Vec<u8>,
}

/// All mailboxes in `field`, those inside groups too. Junk between them is left out.
pub(super) fn parse(field: &[u8]) -> Vec<Mailbox> {
    let mut parser = Parser::default();
    let mut bytes = field.iter().copied();
    while let Some(byte) = bytes.next() {
        if parser.mailboxes.len() >= MAX_MAILBOXES {
            return parser.mailboxes;
        }
        parser.step(byte, &mut bytes);
    }
    parser.finish();
    parser.mailboxes
}

#[derive(Default)]
struct Parser {
    mailboxes: Vec<Mailbox>,
    phrase: Vec<u8>,
    /// The phrase with its quotes: an address, where none in angle brackets follows.
    quoted: Vec<u8>,
    address: Option<Vec<u8>>,
    comment: Vec<u8>,
    comment_depth: usize,
    in_quotes: bool,
    in_angle: bool,
}

impl Parser {
    fn step(&mut self, byte: u8, rest: &mut impl Iterator<Item = u8>) {
        if matches!(byte, b'\r' | b'\n') {
            return;
        }
        if self.comment_depth > 0 {
            match byte {
                b'(' => self.comment_depth += 1,
                b')' => self.comment_depth -= 1,
                b'\\' => self.comment.extend(rest.next()),
                _ => self.comment.push(byte),
            }
            return;
        }
        if self.in_quotes {
            match byte {
                b'"' => {
                    self.in_quotes = false;
                    self.quote();
                }
                b'\\' => {
                    if let Some(next) = rest.next() {
                        self.push(next);
                    }
                }
                _ => self.push(byte),
            }
            return;
        }
        match byte {
            b'"' => {
                self.in_quotes = true;
                self.quote();
            }
            b'(' => self.comment_depth = 1,
            b'<' => {
                self.in_angle = true;
                self.address = Some(Vec::new());
            }
            b'>' => self.in_angle = false,
            b',' | b';' if !self.in_angle => self.finish(),
            // A group's name (RFC 5322, 3.4), or the source route of an address (4.4).
            b':' => match &mut self.address {
                Some(address) if self.in_angle => address.clear(),
                _ => {
                    self.phrase.clear();
                    self.quoted.clear();
                }
            },
            b' ' | b'\t' if self.in_angle => {}
            _ => self.push(byte),
        }
    }

    fn push(&mut self, byte: u8) {
        match &mut self.address {
            Some(address) if self.in_angle => address.push(byte),
            _ => {
                self.phrase.push(byte);
                self.quoted.push(byte);
            }
        }
    }

    /// An address keeps its quotes, a display name does not.
    fn quote(&mut self) {
        match &mut self.address {
            Some(address) if self.in_angle => address.push(b'"'),
            _ => self.quoted.push(b'"'),
        }
    }

    fn finish(&mut self) {
        let phrase = std::mem::take(&mut self.phrase);
        let quoted = std::mem::take(&mut self.quoted);
        let comment = std::mem::take(&mut self.comment);
        let phrase = phrase.trim_ascii();
        self.in_angle = false;
        let (display, address) = match self.address.take() {
            Some(address) => (
                if phrase.is_empty() {
                    comment.as_slice()
                } else {
                    phrase
                },
                address,
            ),
            None if phrase.contains(&b'@') => (comment.as_slice(), quoted.trim_ascii().to_vec()),
            None => return,
        };
        if address.is_empty() && display.is_empty() {
            return;
        }
        self.mailboxes.push(Mailbox {
            display: encoded_word::decode(display).text,
            address,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes() {
        let cases: [(&str, &[(&str, &str)]); 17] = [
            (" a@b.example", &[("", "a@b.example")]),
            ("A B <a@b.example>", &[("A B", "a@b.example")]),
            ("\"B, A\" <a@b.example>", &[("B, A", "a@b.example")]),
            ("a@b.example (A. B.)", &[("A. B.", "a@b.example")]),
            (
                "=?utf-8?Q?J=C3=BCrgen?= <j@x.example>",
                &[("Jürgen", "j@x.example")],
            ),
            (
                "a@x.example, B <b@y.example>",
                &[("", "a@x.example"), ("B", "b@y.example")],
            ),
            (
                "Team: a@x.example, b@x.example;",
                &[("", "a@x.example"), ("", "b@x.example")],
            ),
            ("undisclosed-recipients:;", &[]),
            ("<@relay.example:a@b.example>", &[("", "a@b.example")]),
            (
                "\"a@bank.example\" <evil@x.example>",
                &[("a@bank.example", "evil@x.example")],
            ),
            (
                "<\"odd local\"@b.example>",
                &[("", "\"odd local\"@b.example")],
            ),
            ("\"a@b\"@c.example", &[("", "\"a@b\"@c.example")]),
            ("A\r\n B <a@b.example>", &[("A B", "a@b.example")]),
            ("never <closed@b.example", &[("never", "closed@b.example")]),
            ("just a name", &[]),
            ("", &[]),
            ("<>", &[]),
        ];
        for (field, expected) in cases {
            let expected: Vec<_> = expected
                .iter()
                .map(|(display, address)| Mailbox {
                    display: (*display).to_owned(),
                    address: address.as_bytes().to_vec(),
                })
                .collect();
            assert_eq!(parse(field.as_bytes()), expected, "{field}");
        }
    }
}
