//! What a mail server is given to send.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use millrace_proto::Peer;

use crate::command::{Command, RawPath};

/// An SMTP client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its name, or its address in brackets.
    pub host: Bytes,
    /// Where from.
    pub peer: Peer,
    /// What it says at HELO.
    pub helo: Bytes,
    /// Macros that are known of it beyond those (TLS and AUTH, for example);
    /// sent at the stages that list them.
    pub macros: Vec<(String, Bytes)>,
}

/// A message with its envelope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The sender.
    pub sender: RawPath,
    /// The recipients.
    pub recipients: Vec<RawPath>,
    /// Names, and values with all that stands behind the colon; folds are LF
    /// and white space.
    pub headers: Vec<(Bytes, Bytes)>,
    /// All that comes after the empty line, lines ending in CR LF.
    pub body: Bytes,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            host: Bytes::from_static(b"client.example"),
            peer: Peer::Ip(SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 40_000))),
            helo: Bytes::from_static(b"client.example"),
            macros: Vec::new(),
        }
    }
}

impl Message {
    /// From a message as it is in a file; line ends are LF or CR LF. The
    /// envelope is `<sender@example.org>` to `<recipient@example.net>`.
    ///
    /// The headers end at the first line that can be none; a message that has
    /// no empty line there loses nothing.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let mut headers: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let line = without_line_end(&rest[..end]);
            if line.is_empty() {
                rest = &rest[end..];
                break;
            }
            match (line[0], headers.last_mut()) {
                (b' ' | b'\t', Some((_, value))) => {
                    value.push(b'\n');
                    value.extend_from_slice(line);
                }
                _ => {
                    let Some(colon) = memchr::memchr(b':', line).filter(|&at| is_name(&line[..at]))
                    else {
                        break;
                    };
                    headers.push((line[..colon].to_vec(), line[colon + 1..].to_vec()));
                }
            }
            rest = &rest[end..];
        }
        Self {
            sender: RawPath::new(&b"<sender@example.org>"[..]),
            recipients: vec![RawPath::new(&b"<recipient@example.net>"[..])],
            headers: headers
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            body: with_crlf(rest),
        }
    }

    pub(super) fn put_commands(
        &self,
        commands: &mut VecDeque<Command>,
        leading_space: bool,
        chunk: usize,
    ) {
        commands.push_back(Command::Mail(self.sender.clone()));
        commands.extend(self.recipients.iter().cloned().map(Command::Rcpt));
        commands.push_back(Command::Data);
        for (name, value) in &self.headers {
            // One blank (no tab) is taken away.
            let stripped = !leading_space && value.first() == Some(&b' ');
            commands.push_back(Command::Header {
                name: name.clone(),
                value: if stripped {
                    value.slice(1..)
                } else {
                    value.clone()
                },
            });
        }
        commands.push_back(Command::EndOfHeaders);
        for start in (0..self.body.len()).step_by(chunk) {
            let end = self.body.len().min(start + chunk);
            commands.push_back(Command::Body(self.body.slice(start..end)));
        }
        commands.push_back(Command::EndOfBody(Bytes::new()));
    }
}

fn is_name(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_graphic)
}

fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn with_crlf(text: &[u8]) -> Bytes {
    let bare = memchr::memchr_iter(b'\n', text).any(|at| at == 0 || text[at - 1] != b'\r');
    if !bare {
        return Bytes::copy_from_slice(text);
    }
    let mut out = Vec::with_capacity(text.len() + text.len() / 32);
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let bare = without_line_end(line);
        out.extend_from_slice(bare);
        if line.ends_with(b"\n") {
            out.extend_from_slice(b"\r\n");
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_becomes_headers_and_a_body_with_crlf() {
        let message = Message::parse(b"Subject: a\n b\nX:\n\nbody\n.dot\n");
        assert_eq!(
            message.headers,
            [
                (Bytes::from("Subject"), Bytes::from(" a\n b")),
                (Bytes::from("X"), Bytes::new())
            ]
        );
        assert_eq!(message.body, &b"body\r\n.dot\r\n"[..]);
    }

    #[test]
    fn what_cannot_be_a_header_begins_the_body() {
        let message = Message::parse(b"A: 1\r\nno header\r\n\r\nrest");
        assert_eq!(message.headers.len(), 1);
        assert_eq!(message.body, &b"no header\r\n\r\nrest"[..]);
        assert_eq!(Message::parse(b"").headers, []);
    }
}
