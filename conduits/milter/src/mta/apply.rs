//! What mail servers make of header edits.

use bytes::{BufMut, Bytes, BytesMut};

use super::Flavour;
use crate::reply::Response;

/// A header as the mail server keeps it while edits come in.
struct Kept {
    name: Bytes,
    /// `None`: deleted.
    value: Option<Bytes>,
}

/// The headers of the message that goes out, after a filter's edits. Names and
/// values with all that stands behind the colon; the mail server's own Received
/// stands first and is not in the list that comes back, but is counted as it
/// counts it.
#[must_use]
pub fn apply_to_headers(
    flavour: Flavour,
    leading_space: bool,
    headers: &[(Bytes, Bytes)],
    edits: &[Response],
) -> Vec<(Bytes, Bytes)> {
    let mut kept: Vec<Kept> = headers
        .iter()
        .map(|(name, value)| Kept {
            name: name.clone(),
            value: Some(value.clone()),
        })
        .collect();
    // Where the mail server's own Received stands in the list.
    let mut received = 0;
    for edit in edits {
        match edit {
            Response::AddHeader { name, value } => {
                let value = written(value, leading_space);
                add(flavour, &mut kept, name, value);
            }
            Response::InsertHeader { index, name, value } => {
                let header = Kept {
                    name: name.clone(),
                    value: Some(written(value, leading_space)),
                };
                insert(flavour, &mut kept, &mut received, *index, header);
            }
            Response::ChangeHeader { index, name, value } => {
                let new = (!value.is_empty()).then(|| written(value, leading_space));
                change(flavour, &mut kept, (*index).max(1), name, new);
            }
            _ => {}
        }
    }
    kept.into_iter()
        .filter_map(|header| Some((header.name, header.value?)))
        .collect()
}

fn written(value: &Bytes, leading_space: bool) -> Bytes {
    if leading_space {
        return value.clone();
    }
    let mut spaced = BytesMut::with_capacity(value.len() + 1);
    spaced.put_u8(b' ');
    spaced.put_slice(value);
    spaced.freeze()
}

fn add(flavour: Flavour, kept: &mut Vec<Kept>, name: &Bytes, value: Bytes) {
    let header = Kept {
        name: name.clone(),
        value: Some(value),
    };
    let namesake = kept
        .iter()
        .position(|known| known.name.eq_ignore_ascii_case(name));
    match (flavour, namesake) {
        (Flavour::Sendmail | Flavour::Minimal, Some(at)) => kept.insert(at, header),
        _ => kept.push(header),
    }
}

/// The index counts all headers as edited so far, the own Received too.
/// Sendmail's list has that on top as well, but what it inserts at the first
/// places goes above it.
fn insert(flavour: Flavour, kept: &mut Vec<Kept>, received: &mut usize, index: u32, header: Kept) {
    let at = index as usize;
    match flavour {
        Flavour::Postfix => {
            // Deleted headers are not counted.
            let mut position = 0;
            let mut left = at;
            let mut passed_received = false;
            while left > 0 && (position < kept.len() || !passed_received) {
                if position == *received && !passed_received {
                    passed_received = true;
                    left -= 1;
                    continue;
                }
                if position >= kept.len() {
                    break;
                }
                left -= usize::from(kept[position].value.is_some());
                position += 1;
            }
            if position <= *received && !passed_received {
                *received += 1;
            }
            kept.insert(position.min(kept.len()), header);
        }
        Flavour::Sendmail | Flavour::Minimal => kept.insert(at.min(kept.len()), header),
    }
}

fn change(flavour: Flavour, kept: &mut Vec<Kept>, index: u32, name: &Bytes, value: Option<Bytes>) {
    let counts_deleted = flavour != Flavour::Postfix;
    let found = kept
        .iter()
        .enumerate()
        .filter(|(_, header)| {
            header.name.eq_ignore_ascii_case(name) && (counts_deleted || header.value.is_some())
        })
        .map(|(at, _)| at)
        .nth(index as usize - 1);
    match (found, value) {
        (Some(at), value) => kept[at].value = value,
        (None, Some(value)) => add(flavour, kept, name, value),
        (None, None) => {}
    }
}
