//! Reads recorded milter sessions.

use millrace_milter::Frame;

/// A recorded scenario.
pub(crate) struct Transcript {
    /// What happened on the milter connection.
    pub(crate) lines: Vec<Line>,
    /// Messages as they arrived at the sink; cut ones are left out.
    pub(crate) delivered: Vec<Delivered>,
    /// Messages that arrived, the cut ones too.
    pub(crate) delivered_count: usize,
    /// Whether a frame is recorded in part; what is missing is dots.
    pub(crate) cut: bool,
}

/// One event on the milter connection.
#[derive(Debug)]
pub(crate) enum Line {
    /// A frame of the mail server.
    FromMta(Frame),
    /// A frame of the recorded filter.
    FromFilter(Frame),
    /// One of the two hung up.
    End,
}

/// A message at the sink.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) sender: Vec<u8>,
    pub(crate) recipients: Vec<Vec<u8>>,
    pub(crate) content: Vec<u8>,
}

impl Transcript {
    pub(crate) fn parse(text: &str) -> Self {
        let mut lines = Vec::new();
        let mut delivered = Vec::new();
        let mut delivered_count = 0;
        let mut left = 0;
        let mut cut = false;
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                if let Some(count) = comment.strip_prefix("--- delivered (at the SMTP sink): ") {
                    delivered_count = count.parse().expect("a count");
                    left = delivered_count;
                } else if left > 0 {
                    left -= 1;
                    delivered.extend(parse_delivered(comment));
                }
                continue;
            }
            let mut fields = line.splitn(3, ' ');
            let (Some(_time), Some(direction), Some(rest)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            cut |= rest.contains("...b");
            match direction {
                "->" => lines.push(Line::FromMta(parse_frame(rest))),
                "<-" => lines.push(Line::FromFilter(parse_frame(rest))),
                "--" => lines.push(Line::End),
                _ => {}
            }
        }
        Self {
            lines,
            delivered,
            delivered_count,
            cut,
        }
    }
}

/// `len=15 M b'...'`
fn parse_frame(text: &str) -> Frame {
    let mut fields = text.splitn(3, ' ');
    let length = fields.next().and_then(|field| field.strip_prefix("len="));
    let length: usize = length.expect("a length").parse().expect("a number");
    let command = fields.next().expect("a letter").as_bytes()[0];
    let mut payload = fields.next().expect("a payload");
    let mut data = parse_literal(&mut payload);
    if let Some(mut end) = payload.strip_prefix("...") {
        let end = parse_literal(&mut end);
        data.resize(length - 1 - end.len(), b'.');
        data.extend(end);
    }
    assert_eq!(data.len() + 1, length, "{text}");
    Frame {
        command,
        data: data.into(),
    }
}

/// `b'MAIL From:<...> SIZE=82' [b'RCPT To:<...>', ...] b'Received: ...'`
fn parse_delivered(mut text: &str) -> Option<Delivered> {
    let sender = path(&parse_literal(&mut text));
    text = text.strip_prefix(" [").expect("recipients");
    let mut recipients = Vec::new();
    while !text.starts_with(']') {
        text = text.trim_start_matches(", ");
        recipients.push(path(&parse_literal(&mut text)));
    }
    text = text.strip_prefix("] ").expect("content");
    let content = parse_literal(&mut text);
    text.is_empty().then_some(Delivered {
        sender,
        recipients,
        content,
    })
}

/// What is from the first `<` to the `>` after it.
fn path(command: &[u8]) -> Vec<u8> {
    let start = command
        .iter()
        .position(|&byte| byte == b'<')
        .expect("a path");
    let end = command
        .iter()
        .rposition(|&byte| byte == b'>')
        .expect("a path");
    command[start..=end].to_vec()
}

/// Takes a Python bytes literal off the front.
fn parse_literal(text: &mut &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    assert_eq!(bytes[0], b'b', "{text}");
    let quote = bytes[1];
    let mut out = Vec::new();
    let mut at = 2;
    while bytes[at] != quote {
        if bytes[at] != b'\\' {
            out.push(bytes[at]);
            at += 1;
            continue;
        }
        at += 2;
        match bytes[at - 1] {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'x' => {
                let digits = &text[at..at + 2];
                out.push(u8::from_str_radix(digits, 16).expect("a byte"));
                at += 2;
            }
            other => out.push(other),
        }
    }
    *text = &text[at + 1..];
    out
}
