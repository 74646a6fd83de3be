//! The mbox format (RFC 4155, and mboxrd's quoting): messages one after another, each begun by a line
//! `From SENDER DATE`.

use std::io::{self, BufRead, BufReader, Read};

use bytes::Bytes;

/// An mbox that is being read.
pub(super) struct Mbox {
    input: BufReader<Box<dyn Read + Send>>,
    /// The `From ` line that begins the next message.
    separator: Option<Vec<u8>>,
    started: bool,
    count: u64,
}

/// One message of an mbox.
pub(super) struct MboxMessage {
    pub(super) number: u64,
    pub(super) sender: Option<Vec<u8>>,
    pub(super) content: io::Result<Bytes>,
}

impl std::fmt::Debug for Mbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mbox")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl Mbox {
    /// Whether what follows is an mbox. Takes nothing.
    pub(super) fn begins(input: &mut impl BufRead) -> io::Result<bool> {
        let start = loop {
            match input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        let line = start
            .split(|&byte| byte == b'\n')
            .next()
            .unwrap_or_default();
        Ok(is_separator(line))
    }

    pub(super) fn new(input: BufReader<Box<dyn Read + Send>>) -> Self {
        Self {
            input,
            separator: None,
            started: false,
            count: 0,
        }
    }

    /// The next message; a message over the limit is skipped and its content is an error.
    pub(super) fn next_message(&mut self, limit: u64) -> io::Result<Option<MboxMessage>> {
        if !self.started {
            self.started = true;
            let mut line = Vec::new();
            self.input.read_until(b'\n', &mut line)?;
            self.separator = Some(line);
        }
        let Some(separator) = self.separator.take() else {
            return Ok(None);
        };
        self.count += 1;
        let mut content = Vec::new();
        let mut too_large = false;
        let mut after_blank = false;
        let mut line = Vec::new();
        loop {
            line.clear();
            if self.read_line(&mut line, limit)? == 0 {
                break;
            }
            if after_blank && is_separator(&line) {
                self.separator = Some(std::mem::take(&mut line));
                break;
            }
            after_blank = matches!(&line[..], b"\n" | b"\r\n");
            let bare = unquoted(&line);
            if content.len() as u64 + bare.len() as u64 > limit {
                too_large = true;
                content = Vec::new();
            } else if !too_large {
                content.extend_from_slice(bare);
            }
        }
        // The empty line before the next separator (and at the end) is the mbox's, not the message's.
        if after_blank {
            let blank = if content.ends_with(b"\r\n") { 2 } else { 1 };
            content.truncate(content.len().saturating_sub(blank));
        }
        Ok(Some(MboxMessage {
            number: self.count,
            sender: separator_sender(&separator),
            content: if too_large {
                Err(super::too_large())
            } else {
                Ok(content.into())
            },
        }))
    }

    /// A line, or a piece of one that is longer than any message may be.
    fn read_line(&mut self, line: &mut Vec<u8>, limit: u64) -> io::Result<usize> {
        (&mut self.input).take(limit + 1).read_until(b'\n', line)
    }
}

/// `From sender Sat Sep  9 18:05:17 2000`: a line of body text that begins with "From " has no time of day in it.
fn is_separator(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"From ") else {
        return false;
    };
    line.len() < 1024
        && rest
            .windows(5)
            .any(|five| matches!(five, [a, b, b':', c, d]
                if (a.is_ascii_digit() || *a == b' ') && [b, c, d].iter().all(|x| x.is_ascii_digit())))
}

fn separator_sender(line: &[u8]) -> Option<Vec<u8>> {
    let sender = line
        .strip_prefix(b"From ")?
        .split(u8::is_ascii_whitespace)
        .find(|word| !word.is_empty())?;
    // Programs write this where there was none.
    (sender.contains(&b'@') || sender == b"<>").then(|| sender.to_vec())
}

/// mboxrd puts a `>` before each line that begins with any number of `>` and "From ".
fn unquoted(line: &[u8]) -> &[u8] {
    let quotes = line.iter().take_while(|&&byte| byte == b'>').count();
    if quotes > 0 && line[quotes..].starts_with(b"From ") {
        &line[1..]
    } else {
        line
    }
}
