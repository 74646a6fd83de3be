//! Edits on a message with LF line ends, as it streams by: no more of it is in memory than the beginning of a line.

use std::collections::HashMap;
use std::io::{self, BufRead, Read, Write};

use bytes::Bytes;
use millrace_proto::Edit;

use crate::envelope::Envelope;

/// What becomes of a header field.
enum Fate<'a> {
    Keep,
    Delete,
    Change(&'a [u8]),
}

/// Of a line so much is looked at: a longer field name is none that an edit names.
const LINE_START: u64 = 1024;

/// Copies a message with its edits carried out. Inserted headers come first, so that they stand directly under the
/// Received line which the real qmail-queue writes; all bytes that no edit names stay as they are.
///
/// # Errors
/// Reading or writing fails.
pub fn apply(edits: &[Edit], message: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut message = io::BufReader::with_capacity(32 << 10, message);
    for edit in edits {
        if let Edit::InsertHeader { name, value } = edit {
            write_field(&mut to, name, value)?;
        }
    }
    let mut seen: HashMap<Vec<u8>, u32> = HashMap::new();
    let mut start = Vec::new();
    let mut dropping = false;
    let mut in_body = false;
    let mut unfinished = false;
    loop {
        start.clear();
        (&mut message)
            .take(LINE_START)
            .read_until(b'\n', &mut start)?;
        if start.is_empty() || start == b"\n" || start == b"\r\n" {
            break;
        }
        if !matches!(start[0], b' ' | b'\t') {
            let Some(name) = field_name(&start) else {
                // No field and no empty line: the body begins without one.
                in_body = true;
                break;
            };
            let count = seen.entry(name.to_ascii_lowercase()).or_default();
            *count += 1;
            dropping = match fate(edits, name, *count) {
                Fate::Keep => false,
                Fate::Delete => true,
                Fate::Change(value) => {
                    write_field(&mut to, name, value)?;
                    true
                }
            };
        }
        unfinished = copy_line(&start, &mut message, &mut to, dropping)? && !dropping;
    }
    let added = edits.iter().filter_map(|edit| match edit {
        Edit::AddHeader { name, value } => Some((name, value)),
        _ => None,
    });
    for (name, value) in added {
        if std::mem::take(&mut unfinished) {
            to.write_all(b"\n")?;
        }
        write_field(&mut to, name, value)?;
    }
    let body = edits.iter().rev().find_map(|edit| match edit {
        Edit::ReplaceBody { body } => Some(body),
        _ => None,
    });
    match body {
        Some(body) => {
            if unfinished {
                to.write_all(b"\n")?;
            }
            to.write_all(if in_body || start.is_empty() {
                b"\n"
            } else {
                &start
            })?;
            to.write_all(body)
        }
        None => {
            to.write_all(&start)?;
            io::copy(&mut message, &mut to).map(drop)
        }
    }
}

/// Whether an edit changes the message, and not its envelope alone.
#[must_use]
pub fn changes_message(edit: &Edit) -> bool {
    match edit {
        Edit::AddHeader { .. }
        | Edit::InsertHeader { .. }
        | Edit::ChangeHeader { .. }
        | Edit::DeleteHeader { .. }
        | Edit::ReplaceBody { .. } => true,
        Edit::ChangeSender { .. } | Edit::AddRecipient { .. } | Edit::DeleteRecipient { .. } => {
            false
        }
    }
}

/// The envelope with its edits carried out.
#[must_use]
pub fn edited_envelope(envelope: &Envelope, edits: &[Edit]) -> Envelope {
    let mut edited = envelope.clone();
    let mut removed = vec![false; envelope.recipients.len()];
    let mut added: Vec<Bytes> = Vec::new();
    for edit in edits {
        match edit {
            Edit::ChangeSender { address } => edited.sender = address.clone(),
            Edit::AddRecipient { address } => added.push(address.clone()),
            Edit::DeleteRecipient { index } => {
                if let Some(slot) = removed.get_mut(*index as usize) {
                    *slot = true;
                }
            }
            Edit::AddHeader { .. }
            | Edit::InsertHeader { .. }
            | Edit::ChangeHeader { .. }
            | Edit::DeleteHeader { .. }
            | Edit::ReplaceBody { .. } => {}
        }
    }
    let mut removed = removed.into_iter();
    edited
        .recipients
        .retain(|_| !removed.next().unwrap_or(false));
    edited.recipients.extend(added);
    edited
}

/// Copies the rest of a line whose start was read; whether it ends without a line end.
fn copy_line(
    start: &[u8],
    message: &mut impl BufRead,
    to: &mut impl Write,
    dropping: bool,
) -> io::Result<bool> {
    let mut ended = start.ends_with(b"\n");
    if !dropping {
        to.write_all(start)?;
    }
    while !ended {
        let buffer = message.fill_buf()?;
        if buffer.is_empty() {
            return Ok(true);
        }
        let end = memchr::memchr(b'\n', buffer);
        let length = end.map_or(buffer.len(), |at| at + 1);
        ended = end.is_some();
        if !dropping {
            to.write_all(&buffer[..length])?;
        }
        message.consume(length);
    }
    Ok(false)
}

/// The name before the colon (RFC 5322 §3.6.8; blanks before the colon are the obsolete form).
fn field_name(line: &[u8]) -> Option<&[u8]> {
    let colon = memchr::memchr(b':', line)?;
    let name = line[..colon].trim_ascii_end();
    let valid = !name.is_empty() && name.iter().all(|byte| matches!(byte, b'!'..=b'~'));
    valid.then_some(name)
}

fn fate<'a>(edits: &'a [Edit], wanted: &[u8], count: u32) -> Fate<'a> {
    for edit in edits {
        match edit {
            Edit::DeleteHeader { name, occurrence }
                if *occurrence == count && name.eq_ignore_ascii_case(wanted) =>
            {
                return Fate::Delete;
            }
            Edit::ChangeHeader {
                name,
                occurrence,
                value,
            } if *occurrence == count && name.eq_ignore_ascii_case(wanted) => {
                return Fate::Change(value);
            }
            _ => {}
        }
    }
    Fate::Keep
}

fn write_field(to: &mut impl Write, name: &[u8], value: &[u8]) -> io::Result<()> {
    to.write_all(name)?;
    to.write_all(b": ")?;
    // Folds are LF and white space; a CR would be a bare one in qmail's queue.
    for piece in value.split(|&byte| byte == b'\r') {
        to.write_all(piece)?;
    }
    to.write_all(b"\n")
}

#[cfg(test)]
mod tests;
