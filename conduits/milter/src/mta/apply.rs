//! What mail servers make of header edits.

use bytes::{BufMut, Bytes, BytesMut};

use super::Flavour;
use crate::reply::Response;

/// A header as the mail server keeps it while edits come in.
struct Kept {
    name: Bytes,
    /// `None`: deleted.
    value: Option<Bytes>,
    /// The mail server's own Received: inserts count it, filters see it not.
    own: bool,
}

/// The headers of the message that goes out, after a filter's edits: names, and
/// values with all that stands behind the colon. The mail server's own Received
/// is left out.
#[must_use]
pub fn apply_to_headers(
    flavour: Flavour,
    leading_space: bool,
    headers: &[(Bytes, Bytes)],
    edits: &[Response],
) -> Vec<(Bytes, Bytes)> {
    let mut kept = vec![Kept {
        own: true,
        ..Kept::new(&Bytes::from_static(b"Received"), Bytes::new())
    }];
    kept.extend(
        headers
            .iter()
            .map(|(name, value)| Kept::new(name, value.clone())),
    );
    for edit in edits {
        match edit {
            Response::AddHeader { name, value } => {
                add(
                    flavour,
                    &mut kept,
                    Kept::new(name, written(value, leading_space)),
                );
            }
            Response::InsertHeader { index, name, value } => {
                let at = insert_position(flavour, &kept, *index as usize);
                kept.insert(at, Kept::new(name, written(value, leading_space)));
            }
            Response::ChangeHeader { index, name, value } => {
                let new = (!value.is_empty()).then(|| written(value, leading_space));
                change(flavour, &mut kept, *index, name, new);
            }
            _ => {}
        }
    }
    kept.into_iter()
        .filter(|header| !header.own)
        .filter_map(|header| Some((header.name, header.value?)))
        .collect()
}

impl Kept {
    fn new(name: &Bytes, value: Bytes) -> Self {
        Self {
            name: name.clone(),
            value: Some(value),
            own: false,
        }
    }
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

/// Sendmail puts a header above its first namesake, Postfix to the end.
fn add(flavour: Flavour, kept: &mut Vec<Kept>, header: Kept) {
    let namesake = kept
        .iter()
        .position(|known| !known.own && known.name.eq_ignore_ascii_case(&header.name));
    match (flavour, namesake) {
        (Flavour::Sendmail | Flavour::Minimal, Some(at)) => kept.insert(at, header),
        _ => kept.push(header),
    }
}

/// From 0, over the list as edited so far. Sendmail keeps deleted headers in
/// it, Postfix does not.
fn insert_position(flavour: Flavour, kept: &[Kept], index: usize) -> usize {
    kept.iter()
        .enumerate()
        .filter(|(_, header)| flavour != Flavour::Postfix || header.value.is_some())
        .map(|(at, _)| at)
        .nth(index)
        .unwrap_or(kept.len())
}

/// From 1 (0 is 1), among those of the name. Sendmail counts deleted ones, and
/// brings them back. Beyond the last, a header is added.
fn change(flavour: Flavour, kept: &mut Vec<Kept>, index: u32, name: &Bytes, value: Option<Bytes>) {
    let found = kept
        .iter_mut()
        .filter(|header| !header.own && header.name.eq_ignore_ascii_case(name))
        .filter(|header| flavour != Flavour::Postfix || header.value.is_some())
        .nth(index.max(1) as usize - 1);
    match (found, value) {
        (Some(header), value) => header.value = value,
        (None, Some(value)) => add(flavour, kept, Kept::new(name, value)),
        (None, None) => {}
    }
}
