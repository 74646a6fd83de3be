//! Takes people, places and contents out of frames, and leaves lengths and shapes.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use millrace_milter::Frame;
use millrace_milter::transcript::Direction;

/// Scrubs the frames of one connection: a name becomes the same pseudonym wherever it stands, and
/// nobody can tell which name it was, as the key is thrown away.
#[derive(Debug, Default)]
pub(super) struct Scrubber {
    key: RandomState,
}

/// Macros that tell about the mail server, the protocol or the queue, and not about people.
const KEPT_MACROS: [&[u8]; 19] = [
    b"i",
    b"v",
    b"{auth_type}",
    b"{auth_ssf}",
    b"{cipher}",
    b"{cipher_bits}",
    b"{client_connections}",
    b"{client_port}",
    b"{client_resolve}",
    b"{daemon_port}",
    b"{mail_mailer}",
    b"{msg_size}",
    b"{nbadrcpts}",
    b"{nrcpts}",
    b"{ntries}",
    b"{opMode}",
    b"{rcpt_mailer}",
    b"{tls_version}",
    b"{verify}",
];

/// ESMTP words whose value says nothing about people.
const KEPT_WORDS: [&[u8]; 4] = [b"SIZE", b"BODY", b"RET", b"NOTIFY"];

/// Parameters of Content-Type whose value is structure.
const KEPT_PARAMETERS: [&[u8]; 7] = [
    b"charset",
    b"delsp",
    b"format",
    b"micalg",
    b"protocol",
    b"report-type",
    b"type",
];

impl Scrubber {
    /// The frame without what it says about people; as long as it was.
    pub(super) fn frame(&self, direction: Direction, frame: &Frame) -> Frame {
        let data = &frame.data[..];
        let scrubbed = match (direction, frame.command) {
            (_, b'O') => data.to_vec(),
            (Direction::FromMta, b'D') => self.macros(data),
            (Direction::FromMta, b'C') => self.connect(data),
            (Direction::FromMta, b'H') => self.name(data),
            (Direction::FromMta, b'M' | b'R')
            | (Direction::FromFilter, b'e' | b'+' | b'2' | b'-') => self.path(data),
            (Direction::FromMta, b'L') | (Direction::FromFilter, b'h') => self.header(data),
            (Direction::FromFilter, b'i' | b'm') => {
                let (index, header) = data.split_at(data.len().min(4));
                [index.to_vec(), self.header(header)].concat()
            }
            (Direction::FromFilter, b'y') => reply(data),
            _ => plain(data),
        };
        Frame {
            command: frame.command,
            data: Bytes::from(scrubbed),
        }
    }

    fn macros(&self, data: &[u8]) -> Vec<u8> {
        let (command, pairs) = data.split_at(data.len().min(1));
        let mut name: &[u8] = b"";
        let pairs = joined(pairs, |number, string| {
            if number % 2 == 0 {
                name = string;
                return string.to_vec();
            }
            if KEPT_MACROS.contains(&name) {
                string.to_vec()
            } else {
                self.names(string)
            }
        });
        [command, &pairs[..]].concat()
    }

    fn connect(&self, data: &[u8]) -> Vec<u8> {
        let end = data.iter().position(|&byte| byte == 0);
        let Some(end) = end.filter(|end| data.len() >= end + 4) else {
            return self.names(data);
        };
        // NUL, the family's letter, the port.
        let (host, rest) = data.split_at(end);
        let (head, address) = rest.split_at(4);
        [&self.names(host)[..], head, &self.names(address)].concat()
    }

    fn path(&self, data: &[u8]) -> Vec<u8> {
        joined(data, |number, string| {
            let kept = number > 0
                && string
                    .split(|&byte| byte == b'=')
                    .next()
                    .is_some_and(|word| {
                        word.len() == string.len()
                            || KEPT_WORDS
                                .iter()
                                .any(|kept| word.eq_ignore_ascii_case(kept))
                    });
            match string.iter().position(|&byte| byte == b'=') {
                _ if kept => string.to_vec(),
                Some(at) if number > 0 => [&string[..=at], &self.names(&string[at + 1..])].concat(),
                _ => self.names(string),
            }
        })
    }

    fn header(&self, data: &[u8]) -> Vec<u8> {
        let mut name: &[u8] = b"";
        joined(data, |number, string| match number {
            0 => {
                name = string;
                string.to_vec()
            }
            _ if name.eq_ignore_ascii_case(b"Content-Type") => content_type(string),
            _ if name.eq_ignore_ascii_case(b"Content-Transfer-Encoding")
                || name.eq_ignore_ascii_case(b"MIME-Version") =>
            {
                before_comment(string)
            }
            _ => self.text(string),
        })
    }

    /// Free text: addresses become pseudonyms, IP addresses others, the rest loses its letters.
    fn text(&self, text: &[u8]) -> Vec<u8> {
        self.tokens(text, |scrubber, token| {
            if token.contains(&b'@') {
                scrubber.name(token)
            } else {
                plain(token)
            }
        })
    }

    /// Text that is names of people and machines, and addresses.
    fn names(&self, text: &[u8]) -> Vec<u8> {
        self.tokens(text, Self::name)
    }

    fn tokens(&self, text: &[u8], scrub: impl Fn(&Self, &[u8]) -> Vec<u8>) -> Vec<u8> {
        text.chunk_by(|&a, &b| in_token(a) == in_token(b))
            .flat_map(|token| {
                if in_token(token[0]) {
                    self.ip(token).unwrap_or_else(|| scrub(self, token))
                } else {
                    token.to_vec()
                }
            })
            .collect()
    }

    /// Each word of it as another of the same length, letters for letters, digits for digits.
    fn name(&self, name: &[u8]) -> Vec<u8> {
        name.chunk_by(|a, b| a.is_ascii_alphanumeric() == b.is_ascii_alphanumeric())
            .flat_map(|word| {
                let mut stream = Stream::new(self.key.hash_one(word.to_ascii_lowercase()));
                word.iter()
                    .map(move |&byte| match byte {
                        b'a'..=b'z' => b'a' + stream.below(26),
                        b'A'..=b'Z' => b'A' + stream.below(26),
                        b'0'..=b'9' => b'0' + stream.below(10),
                        other => plain_byte(other),
                    })
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    fn ip(&self, token: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(token).ok()?;
        let tag = text
            .get(..5)
            .filter(|tag| tag.eq_ignore_ascii_case("IPv6:"))
            .unwrap_or_default();
        let bare = text[tag.len()..].trim_end_matches('.');
        let tail = &text[tag.len() + bare.len()..];
        let mut stream = Stream::new(self.key.hash_one(bare));
        let substitute = if bare.parse::<Ipv4Addr>().is_ok() {
            ipv4
        } else if bare.parse::<Ipv6Addr>().is_ok() {
            ipv6
        } else {
            return None;
        };
        // Few are as short as some; the address itself is none of them, unless there is no other.
        let mut other = substitute(bare.len(), &mut stream);
        for _ in 0..64 {
            if other != bare {
                break;
            }
            other = substitute(bare.len(), &mut stream);
        }
        Some([tag, &other, tail].concat().into_bytes())
    }
}

/// Pseudo-random numbers (splitmix64).
struct Stream(u64);

impl Stream {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn below(&mut self, limit: u8) -> u8 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u8::try_from((mixed ^ (mixed >> 31)) % u64::from(limit)).unwrap_or(0)
    }
}

/// An address for documentation (RFC 5737). Where none is as long, one that is nobody's (RFC 6890).
fn ipv4(length: usize, stream: &mut Stream) -> String {
    let (prefix, digits) = match length {
        ..=8 => ("0.0.0.", length - 6),
        9..=11 => ("192.0.2.", length - 8),
        12..=14 => ("198.51.100.", length - 11),
        _ => ("100.100.100.", 3),
    };
    let number = match digits {
        1 => 1 + stream.below(9),
        2 => 10 + stream.below(90),
        _ => 100 + stream.below(155),
    };
    format!("{prefix}{number}")
}

/// An address for documentation (RFC 3849). One too short for that is as good as unspecified.
fn ipv6(length: usize, stream: &mut Stream) -> String {
    const FEWEST: usize = 10;
    let mut groups = |count: usize, digits: usize| -> String {
        (0..count)
            .map(|group| {
                let width = digits / count + usize::from(group < digits % count);
                (0..width)
                    .map(|_| char::from(b'1' + stream.below(9)))
                    .collect::<String>()
            })
            .collect::<Vec<_>>()
            .join(":")
    };
    // What follows "::": groups of up to four digits, colons between them.
    let tail = |length: usize| {
        let count = (length + 1).div_ceil(5);
        (count, (length + 1).saturating_sub(count))
    };
    match length {
        ..FEWEST => {
            let (count, digits) = tail(length - 2);
            format!("::{}", groups(count, digits))
        }
        FEWEST..=34 => {
            let (count, digits) = tail(length - FEWEST);
            format!("2001:db8::{}", groups(count, digits))
        }
        35..=38 => format!("2001:db8:{}", groups(6, length - 14)),
        _ => {
            let rest = groups(6, 24);
            let pad = "0".repeat(length.saturating_sub(38).min(1));
            format!("2001:{pad}db8:{rest}")
        }
    }
}

fn in_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || b".:@_+-'!#$&*/?^`{|}~".contains(&byte)
}

/// Scrubs strings that end in NUL each (the last perhaps in none) by their number.
fn joined<'a>(data: &'a [u8], mut scrub: impl FnMut(usize, &'a [u8]) -> Vec<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    for (number, string) in data.split(|&byte| byte == 0).enumerate() {
        if number > 0 {
            out.push(0);
        }
        out.extend_from_slice(&scrub(number, string));
    }
    out
}

/// Letters become `x` and `X`, digits `9`, what is not ASCII `?`; the rest stays. Byte by byte, so
/// that a body may be cut anywhere.
fn plain(data: &[u8]) -> Vec<u8> {
    data.iter().map(|&byte| plain_byte(byte)).collect()
}

fn plain_byte(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => b'x',
        b'A'..=b'Z' => b'X',
        b'0'..=b'9' => b'9',
        0x80.. => b'?',
        other => other,
    }
}

/// The type and the parameters' names stay. A boundary loses its letters as the body does, and so
/// still is the body's.
fn content_type(value: &[u8]) -> Vec<u8> {
    let mut quoted = false;
    let parts = value.split(|&byte| {
        quoted ^= byte == b'"';
        byte == b';' && !quoted
    });
    let mut out = Vec::with_capacity(value.len());
    for (number, part) in parts.enumerate() {
        if number == 0 {
            out.extend_from_slice(&before_comment(part));
            continue;
        }
        out.push(b';');
        let Some(equals) = part.iter().position(|&byte| byte == b'=') else {
            out.extend_from_slice(&plain(part));
            continue;
        };
        let (name, value) = part.split_at(equals);
        let bare = name.trim_ascii();
        let is_name = bare
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || b"-*".contains(&byte));
        let is_kept = KEPT_PARAMETERS
            .iter()
            .any(|kept| bare.eq_ignore_ascii_case(kept));
        out.extend_from_slice(&if is_name { name.to_vec() } else { plain(name) });
        out.extend_from_slice(&if is_kept {
            before_comment(value)
        } else {
            plain(value)
        });
    }
    out
}

fn before_comment(value: &[u8]) -> Vec<u8> {
    let end = value.iter().position(|&byte| byte == b'(');
    let (kept, comment) = value.split_at(end.unwrap_or(value.len()));
    [kept, &plain(comment)[..]].concat()
}

/// An SMTP reply: the codes of each line stay.
fn reply(data: &[u8]) -> Vec<u8> {
    data.split_inclusive(|&byte| byte == b'\n')
        .flat_map(|line| {
            let (codes, text) = line.split_at(codes_end(line));
            [codes, &plain(text)[..]].concat()
        })
        .collect()
}

fn codes_end(line: &[u8]) -> usize {
    let is_code = |code: &[u8]| code.len() == 3 && code.iter().all(u8::is_ascii_digit);
    if !line.get(..3).is_some_and(is_code) {
        return 0;
    }
    let rest = line.get(4..).unwrap_or_default();
    let enhanced = rest.split(|&byte| byte == b' ').next().unwrap_or_default();
    let numbers: Vec<_> = enhanced.split(|&byte| byte == b'.').collect();
    let is_enhanced = numbers.len() == 3
        && numbers
            .iter()
            .all(|number| (1..=3).contains(&number.len()) && number.iter().all(u8::is_ascii_digit));
    line.len().min(4) + if is_enhanced { enhanced.len() } else { 0 }
}

#[cfg(test)]
mod tests;
