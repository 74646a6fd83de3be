//! Recorded milter connections, as text that people can read and cut.
//!
//! ```text
//! # millrace transcript 1
//! 0.000000 -> O \x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff
//! 0.000412 <- O \x00\x00\x00\x06\x00\x00\x01\xff\x00\x00\x00\x00
//! 0.000655 -> H client.example\x00
//! ```
//!
//! One frame a line: seconds since the connection began, the direction (`->` from the mail server,
//! `<-` from the filter), the letter, and the data if there are any: printable ASCII but for the
//! backslash as it is, every other byte as `\xNN`. Lines that begin with `#` are comments, except
//! the first, which says what the file is; empty lines mean nothing.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::frame::Frame;

/// The first line of every transcript.
pub const FIRST_LINE: &str = "# millrace transcript 1";

/// Who sent a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// `->`: the mail server.
    FromMta,
    /// `<-`: the filter.
    FromFilter,
}

/// One recorded frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Since the connection began. Written in microseconds; finer parts are cut off.
    pub at: Duration,
    /// Who sent it.
    pub direction: Direction,
    /// What was sent.
    pub frame: Frame,
}

/// Why a text is no transcript.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct TranscriptError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: TranscriptProblem,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TranscriptProblem {
    /// The first line is another.
    #[error("not a transcript; the first line must be '{FIRST_LINE}'")]
    FirstLine,
    /// The time is no number of seconds such as `0.000412`.
    #[error("the time is not of the form SECONDS.MICROSECONDS")]
    Time,
    /// Neither `->` nor `<-`.
    #[error("the direction is neither -> nor <-")]
    Direction,
    /// Not exactly one letter.
    #[error("no letter of a frame")]
    Letter,
    /// A byte that must be escaped, or an escape that is not `\xNN`.
    #[error("column {0}: not printable ASCII, and not \\xNN")]
    Escape(usize),
}

impl Entry {
    /// Appends the entry as a line.
    pub fn write(&self, out: &mut Vec<u8>) {
        let arrow = match self.direction {
            Direction::FromMta => "->",
            Direction::FromFilter => "<-",
        };
        let (seconds, micros) = (self.at.as_secs(), self.at.subsec_micros());
        out.extend_from_slice(format!("{seconds}.{micros:06} {arrow} ").as_bytes());
        match self.frame.command {
            // A blank ends the word.
            b' ' => out.extend_from_slice(b"\\x20"),
            letter => escape(&[letter], out),
        }
        if !self.frame.data.is_empty() {
            out.push(b' ');
            escape(&self.frame.data, out);
        }
        out.push(b'\n');
    }

    fn parse(line: &[u8]) -> Result<Self, TranscriptProblem> {
        let mut words = line.splitn(4, |&byte| byte == b' ');
        let at = words
            .next()
            .and_then(parse_time)
            .ok_or(TranscriptProblem::Time)?;
        let direction = match words.next() {
            Some(b"->") => Direction::FromMta,
            Some(b"<-") => Direction::FromFilter,
            _ => return Err(TranscriptProblem::Direction),
        };
        let letter = words.next().ok_or(TranscriptProblem::Letter)?;
        let command = match unescape(letter, 0) {
            Ok(letter) if letter.len() == 1 => letter[0],
            _ => return Err(TranscriptProblem::Letter),
        };
        let data = words.next().unwrap_or_default();
        let data = unescape(data, line.len() - data.len())?;
        Ok(Self {
            at,
            direction,
            frame: Frame { command, data },
        })
    }
}

/// Reads a transcript: each entry with the number of its line, from 1.
///
/// # Errors
/// The first broken line; nothing is read beyond it.
pub fn parse(text: &[u8]) -> Result<Vec<(usize, Entry)>, TranscriptError> {
    let mut lines = text
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .zip(1..);
    if lines.next().map(|(line, _)| line) != Some(FIRST_LINE.as_bytes()) {
        return Err(TranscriptError {
            line: 1,
            problem: TranscriptProblem::FirstLine,
        });
    }
    lines
        .filter(|(line, _)| !line.is_empty() && line[0] != b'#')
        .map(|(bytes, line)| match Entry::parse(bytes) {
            Ok(entry) => Ok((line, entry)),
            Err(problem) => Err(TranscriptError { line, problem }),
        })
        .collect()
}

fn parse_time(word: &[u8]) -> Option<Duration> {
    let (seconds, micros) = std::str::from_utf8(word).ok()?.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(seconds) || !digits(micros) || micros.len() != 6 {
        return None;
    }
    Some(Duration::from_secs(seconds.parse().ok()?) + Duration::from_micros(micros.parse().ok()?))
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'\\'
}

fn escape(data: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(data.len());
    for &byte in data {
        if is_plain(byte) {
            out.push(byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            out.extend_from_slice(&[b'\\', b'x', HEX[high], HEX[low]]);
        }
    }
}

fn unescape(text: &[u8], offset: usize) -> Result<Bytes, TranscriptProblem> {
    let mut data = BytesMut::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if is_plain(text[at]) {
            data.extend_from_slice(&text[at..=at]);
            at += 1;
            continue;
        }
        let byte = match text.get(at..at + 4) {
            Some([b'\\', b'x', high, low]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        let Some((high, low)) = byte else {
            return Err(TranscriptProblem::Escape(offset + at + 1));
        };
        data.extend_from_slice(&[high << 4 | low]);
        at += 4;
    }
    Ok(data.freeze())
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests;
