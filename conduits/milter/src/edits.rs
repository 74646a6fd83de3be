//! From edits of the original message to the wire.
//!
//! Mail servers apply edits one after the other to what is there by then, and
//! count differently:
//! - Postfix counts headers of a name that are left, Sendmail those that were
//!   there: so changes and deletions go from the last to the first, and none
//!   touches a header twice.
//! - An added header shifts the count when it lands above its namesakes
//!   (Sendmail's ADDHEADER puts it there): so changes go before additions, and
//!   additions are inserts far below the last header, which both append.
//! - An insert counts the mail server's own Received, which the filter does not
//!   see: so inserts go to the very top, from 0 upwards.

use bytes::{BufMut, Bytes, BytesMut};
use millrace_proto::Edit;

use crate::flags::{Actions, Steps};
use crate::negotiate::Agreement;
use crate::reply::Response;

#[cfg(test)]
mod tests;

/// Below any header, and far from any integer's end.
const BELOW_THE_LAST: u32 = 0x3fff_ffff;
/// The largest piece of a body that every mail server takes.
const MAX_CHUNK: usize = 65_535;
/// Postfix cuts the reason of a hold here.
const MAX_REASON: usize = 100;

/// Why edits cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The mail server did not agree to this kind of edit.
    #[error("{0} was not negotiated")]
    NotNegotiated(&'static str),
    /// A header's name is empty or has bytes that no name has (RFC 5322 §2.2).
    #[error("'{0}' is no header name")]
    HeaderName(String),
    /// An address has a byte that breaks the protocol.
    #[error("'{0}' is no address")]
    Address(String),
    /// A recipient's index is not in the envelope.
    #[error("the envelope has no recipient {index}: it has {recipients}")]
    NoSuchRecipient {
        /// The index in the edit.
        index: u32,
        /// Recipients there are.
        recipients: usize,
    },
}

/// A header that gets another value, or, with `None`, goes.
struct Change<'a> {
    name: &'a Bytes,
    occurrence: u32,
    value: Option<&'a Bytes>,
}

/// The edits, in the order and form that mail servers carry out as meant.
/// `recipients` are the envelope's, as the RCPT commands had them.
pub(crate) fn in_wire_order(
    edits: &[Edit],
    agreement: &Agreement,
    recipients: &[Bytes],
) -> Result<Vec<Response>, EditError> {
    for edit in edits {
        check(edit, agreement)?;
    }
    // One more for a hold, one for the last answer.
    let mut wire = Vec::with_capacity(edits.len() + 2);
    changes(edits, agreement, &mut wire);
    additions(edits, agreement, &mut wire);
    envelope(edits, recipients, &mut wire)?;
    // Last and in one go: Postfix takes nothing else in between.
    if let Some(body) = edits.iter().rev().find_map(|edit| match edit {
        Edit::ReplaceBody { body } => Some(body),
        _ => None,
    }) {
        replace_body(body, &mut wire);
    }
    Ok(wire)
}

/// A reason that can stand in a NUL-terminated string and in a log.
pub(crate) fn hold_reason(text: &str) -> Bytes {
    let reason: String = text
        .chars()
        .take(MAX_REASON)
        .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
        .collect();
    if reason.trim().is_empty() {
        return Bytes::from_static(b"held by policy");
    }
    reason.into()
}

fn check(edit: &Edit, agreement: &Agreement) -> Result<(), EditError> {
    let needed = match edit {
        Edit::AddHeader { .. } | Edit::InsertHeader { .. } => Actions::ADD_HEADERS,
        Edit::ChangeHeader { .. } | Edit::DeleteHeader { .. } => Actions::CHANGE_HEADERS,
        Edit::ReplaceBody { .. } => Actions::CHANGE_BODY,
        Edit::ChangeSender { .. } => Actions::CHANGE_SENDER,
        Edit::AddRecipient { .. } => Actions::ADD_RECIPIENT,
        Edit::DeleteRecipient { .. } => Actions::DELETE_RECIPIENT,
    };
    if !agreement.actions.contains(needed) {
        return Err(EditError::NotNegotiated(edit.name()));
    }
    match edit {
        Edit::AddHeader { name, .. }
        | Edit::InsertHeader { name, .. }
        | Edit::ChangeHeader { name, .. }
        | Edit::DeleteHeader { name, .. } => {
            let sound = !name.is_empty()
                && name
                    .iter()
                    .all(|&byte| byte.is_ascii_graphic() && byte != b':');
            if sound {
                Ok(())
            } else {
                Err(EditError::HeaderName(shown(name)))
            }
        }
        Edit::ChangeSender { address } | Edit::AddRecipient { address } => {
            let sound = !address
                .iter()
                .any(|&byte| matches!(byte, 0 | b'\r' | b'\n'));
            if sound {
                Ok(())
            } else {
                Err(EditError::Address(shown(address)))
            }
        }
        Edit::ReplaceBody { .. } | Edit::DeleteRecipient { .. } => Ok(()),
    }
}

fn shown(text: &Bytes) -> String {
    text.escape_ascii().to_string()
}

fn changes(edits: &[Edit], agreement: &Agreement, wire: &mut Vec<Response>) {
    let mut changes: Vec<Change<'_>> = Vec::new();
    for edit in edits {
        let change = match edit {
            Edit::ChangeHeader {
                name,
                occurrence,
                value,
            } => Change {
                name,
                occurrence: (*occurrence).max(1),
                value: Some(value),
            },
            Edit::DeleteHeader { name, occurrence } => Change {
                name,
                occurrence: (*occurrence).max(1),
                value: None,
            },
            _ => continue,
        };
        // The last word on a header counts.
        match changes.iter_mut().find(|known| {
            known.occurrence == change.occurrence && known.name.eq_ignore_ascii_case(change.name)
        }) {
            Some(known) => *known = change,
            None => changes.push(change),
        }
    }
    changes.sort_by_key(|change| std::cmp::Reverse(change.occurrence));
    wire.extend(changes.into_iter().map(|change| Response::ChangeHeader {
        index: change.occurrence,
        name: change.name.clone(),
        value: match change.value {
            // An empty value would delete.
            Some(value) if value.is_empty() => Bytes::from_static(b" "),
            Some(value) => header_value(value, agreement),
            None => Bytes::new(),
        },
    }));
}

fn additions(edits: &[Edit], agreement: &Agreement, wire: &mut Vec<Response>) {
    let mut top = 0;
    for edit in edits {
        if let Edit::InsertHeader { name, value } = edit {
            wire.push(Response::InsertHeader {
                index: top,
                name: name.clone(),
                value: header_value(value, agreement),
            });
            top += 1;
        }
    }
    for edit in edits {
        if let Edit::AddHeader { name, value } = edit {
            wire.push(Response::InsertHeader {
                index: BELOW_THE_LAST,
                name: name.clone(),
                value: header_value(value, agreement),
            });
        }
    }
}

fn envelope(
    edits: &[Edit],
    recipients: &[Bytes],
    wire: &mut Vec<Response>,
) -> Result<(), EditError> {
    let mut sender = None;
    let mut added = Vec::new();
    let mut deleted = Vec::new();
    for edit in edits {
        match edit {
            Edit::ChangeSender { address } => sender = Some(address),
            Edit::AddRecipient { address } => added.push(address),
            Edit::DeleteRecipient { index } => {
                let raw = recipients
                    .get(*index as usize)
                    .ok_or(EditError::NoSuchRecipient {
                        index: *index,
                        recipients: recipients.len(),
                    })?;
                if !deleted.contains(&raw) {
                    deleted.push(raw);
                }
            }
            _ => {}
        }
    }
    if let Some(address) = sender {
        wire.push(Response::ChangeSender {
            address: bracketed(address),
            parameters: None,
        });
    }
    // Deletions first: an address that is both is meant to stay.
    wire.extend(deleted.into_iter().cloned().map(Response::DeleteRecipient));
    wire.extend(
        added
            .into_iter()
            .map(|address| Response::AddRecipient(bracketed(address))),
    );
    Ok(())
}

/// One empty piece empties the body.
fn replace_body(body: &Bytes, wire: &mut Vec<Response>) {
    if body.is_empty() {
        wire.push(Response::ReplaceBody(Bytes::new()));
        return;
    }
    for start in (0..body.len()).step_by(MAX_CHUNK) {
        let end = body.len().min(start + MAX_CHUNK);
        wire.push(Response::ReplaceBody(body.slice(start..end)));
    }
}

fn bracketed(address: &Bytes) -> Bytes {
    let mut text = BytesMut::with_capacity(address.len() + 2);
    text.put_u8(b'<');
    text.put_slice(address);
    text.put_u8(b'>');
    text.freeze()
}

/// A value that no mail server stumbles over: folds are LF and white space
/// (Sendmail doubles the CR of CR LF), no CR and no NUL. The blank after the
/// colon is ours to write when leading blanks were agreed on.
fn header_value(value: &Bytes, agreement: &Agreement) -> Bytes {
    let leading = agreement.steps.contains(Steps::LEADING_SPACE)
        && !matches!(value.first(), Some(b' ' | b'\t' | b'\n' | b'\r'));
    let sound = !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    if sound && !leading {
        return value.clone();
    }
    let mut text = BytesMut::with_capacity(value.len() + 8);
    if leading {
        text.put_u8(b' ');
    }
    let end = value
        .iter()
        .rposition(|byte| !matches!(byte, b'\r' | b'\n' | 0));
    let value = &value[..end.map_or(0, |last| last + 1)];
    let mut bytes = value
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b'\r' | 0))
        .peekable();
    while let Some(byte) = bytes.next() {
        text.put_u8(byte);
        if byte == b'\n' && !matches!(bytes.peek(), Some(b' ' | b'\t')) {
            text.put_u8(b' ');
        }
    }
    text.freeze()
}
