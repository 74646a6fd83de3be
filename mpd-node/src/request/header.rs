//! Header fields, split without copying.

use std::ops::Range;

use bytes::Bytes;
use memchr::memchr;

use super::{
    defect::{DefectKind, Defects},
    limits::{LimitHit, LimitSet, Limits},
};

/// One header field of the message, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The name, without the colon and without white space before it.
    pub name: Bytes,
    /// All after the colon up to the field's last line ending, which is left out: folds and leading space are kept.
    pub value: Bytes,
    /// Which one of its name this is, counted from 1, the case of the name ignored (as edits address fields).
    pub occurrence: u32,
    /// Where the whole field, with its last line ending, lies in the raw message.
    pub range: Range<usize>,
}

/// The lines of a header block.
pub(super) struct Fields<'a> {
    raw: &'a [u8],
    position: usize,
}

/// What one step over the header block found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A field: its whole range, and where its colon is.
    Field { range: Range<usize>, colon: usize },
    /// Lines that are no field.
    Junk(Range<usize>),
    /// The empty line that ends the block.
    Separator(Range<usize>),
}

/// A parsed header block: `..block_end` are the fields, `block_end..body_start` the empty line.
pub(super) struct Block {
    pub(super) headers: Vec<Header>,
    pub(super) block_end: usize,
    pub(super) body_start: usize,
}

impl Header {
    /// Whether this field's name is `name`, in any case.
    pub fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value with its folds undone: line endings removed, white space around trimmed.
    pub fn unfolded(&self) -> Vec<u8> {
        unfold(&self.value)
    }
}

impl<'a> Fields<'a> {
    pub(super) fn new(raw: &'a [u8], position: usize) -> Self {
        Fields { raw, position }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The next field with its folds, or `None` at the end of the input.
    pub(super) fn step(&mut self) -> Option<Line> {
        let start = self.position;
        let first = line_end(self.raw, start)?;
        let line = &self.raw[start..first];
        if matches!(line, b"\n" | b"\r\n") {
            self.position = first;
            return Some(Line::Separator(start..first));
        }
        let colon = memchr(b':', line).map(|at| start + at);
        let starts_with_space = matches!(line[0], b' ' | b'\t');
        let mut end = first;
        while let Some(b' ' | b'\t') = self.raw.get(end) {
            end = line_end(self.raw, end).unwrap_or(self.raw.len());
        }
        self.position = end;
        Some(match colon {
            Some(colon) if colon > start && !starts_with_space => Line::Field {
                range: start..end,
                colon,
            },
            _ => Line::Junk(start..end),
        })
    }
}

/// Splits the message's own header block.
pub(super) fn parse_block(
    raw: &Bytes,
    limits: &Limits,
    defects: &mut Defects,
    hits: &mut LimitSet,
) -> Block {
    let mut fields = Fields::new(raw, 0);
    let mut headers: Vec<Header> = Vec::with_capacity(32);
    let mut hashes: Vec<u32> = Vec::with_capacity(32);
    if raw.starts_with(b"From ") || raw.starts_with(b">From ") {
        defects.add(DefectKind::HeaderMboxFrom);
        fields.position = line_end(raw, 0).unwrap_or(raw.len());
    }
    loop {
        if fields.position > limits.header_bytes {
            hits.insert(LimitHit::HeaderBytes);
            break;
        }
        match fields.step() {
            None => {
                defects.add(DefectKind::HeaderNoSeparator);
                return Block {
                    headers,
                    block_end: raw.len(),
                    body_start: raw.len(),
                };
            }
            Some(Line::Separator(range)) => {
                return Block {
                    headers,
                    block_end: range.start,
                    body_start: range.end,
                };
            }
            Some(Line::Junk(_)) => defects.add(DefectKind::HeaderNoColon),
            Some(Line::Field { range, .. }) if headers.len() >= limits.headers => {
                hits.insert(LimitHit::Headers);
                fields.position = range.start;
                break;
            }
            Some(Line::Field { range, colon }) => {
                if range.len() > limits.header_line {
                    hits.insert(LimitHit::HeaderLine);
                }
                let header = field(raw, range, colon, &headers, &mut hashes);
                if !header.name.iter().all(u8::is_ascii_graphic) {
                    defects.add_header(DefectKind::HeaderBadName, &header.name);
                }
                headers.push(header);
            }
        }
    }
    let separator = find_separator(raw, fields.position);
    if separator.is_empty() {
        defects.add(DefectKind::HeaderNoSeparator);
    }
    Block {
        headers,
        block_end: separator.start,
        body_start: separator.end,
    }
}

/// `value` without the line endings of its folds and without white space at its ends.
pub(super) fn unfold(value: &[u8]) -> Vec<u8> {
    let value = value.trim_ascii();
    if memchr(b'\n', value).is_none() {
        return value.to_vec();
    }
    value
        .iter()
        .copied()
        .filter(|b| !matches!(b, b'\r' | b'\n'))
        .collect()
}

/// The end of the line at `start`, its LF included; `None` when there is no byte left.
pub(super) fn line_end(raw: &[u8], start: usize) -> Option<usize> {
    let rest = raw.get(start..).filter(|rest| !rest.is_empty())?;
    Some(memchr(b'\n', rest).map_or(raw.len(), |at| start + at + 1))
}

/// `range` without the line ending at its end.
pub(super) fn without_line_end(raw: &[u8], range: Range<usize>) -> Range<usize> {
    let mut end = range.end;
    if end > range.start && raw[end - 1] == b'\n' {
        end -= 1;
        if end > range.start && raw[end - 1] == b'\r' {
            end -= 1;
        }
    }
    range.start..end
}

fn field(
    raw: &Bytes,
    range: Range<usize>,
    colon: usize,
    earlier: &[Header],
    hashes: &mut Vec<u32>,
) -> Header {
    let name_len = raw[range.start..colon].trim_ascii_end().len();
    let name = raw.slice(range.start..range.start + name_len);
    let value = raw.slice(without_line_end(raw, colon + 1..range.end));
    // A hash finds the last field of the same name without comparing with each; equality still decides.
    let hash = name.iter().fold(0x811c_9dc5u32, |hash, byte| {
        (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    });
    let occurrence = hashes
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, other)| **other == hash)
        .find_map(|(at, _)| earlier[at].is(&name).then(|| earlier[at].occurrence + 1))
        .unwrap_or(1);
    hashes.push(hash);
    Header {
        name,
        value,
        occurrence,
        range,
    }
}

/// The empty line that ends a header block, looked for from `position`, which is the beginning of a line.
fn find_separator(raw: &[u8], position: usize) -> Range<usize> {
    let mut line = position;
    while let Some(end) = line_end(raw, line) {
        if matches!(&raw[line..end], b"\n" | b"\r\n") {
            return line..end;
        }
        line = end;
    }
    raw.len()..raw.len()
}
