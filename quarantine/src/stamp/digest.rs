//! A message's digest: what stays the same on its way through mail servers, and nothing that a reader would see
//! changed without it.
//!
//! Fields that people and their programs go by, and the body. Mail servers fold fields anew, add Received and the
//! like, change line endings, and drop empty lines at the end: none of it counts (as in RFC 6376 §3.4, header
//! `relaxed`, body `simple`).

use sha2::{Digest as _, Sha256};

/// The fields that count.
const COVERED: [&str; 14] = [
    "from",
    "to",
    "date",
    "message-id",
    "sender",
    "reply-to",
    "cc",
    "subject",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "content-disposition",
    "in-reply-to",
    "references",
];
/// The first of them: mail servers add these where they are missing (RFC 6409 §8).
const ADDED_BY_SERVERS: u16 = 0b1111;

/// Which of the covered fields a message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fields(u16);

/// A message's digest.
#[derive(Debug)]
pub(super) struct Covered {
    /// The covered fields that the message has.
    pub(super) fields: Fields,
    pub(super) digest: [u8; 32],
}

impl Fields {
    /// All that are covered.
    pub(super) const ALL: Self = Self(u16::MAX);

    pub(super) fn bits(self) -> u16 {
        self.0
    }

    pub(super) fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Whether a message that had `before` can have these now.
    pub(super) fn may_have_become(self, before: Self) -> bool {
        let added = self.0 & !before.0;
        before.0 & !self.0 == 0 && added & !ADDED_BY_SERVERS == 0
    }
}

/// The digest over those of the covered fields that are in `counted`, each as often as it is there, and the body.
pub(super) fn of(content: &[u8], counted: Fields) -> Covered {
    let mut found = 0;
    let mut hash = Sha256::new();
    let mut rest = content;
    while let Some((name, value, after)) = field(rest) {
        rest = after;
        let Some(name) = name else {
            // No field, yet some mail servers and readers take it for the body's beginning.
            update(&mut hash, b"", value);
            continue;
        };
        let covered = COVERED
            .iter()
            .position(|covered| name.eq_ignore_ascii_case(covered.as_bytes()));
        if let Some(at) = covered {
            found |= 1 << at;
            if counted.0 & 1 << at != 0 {
                update(&mut hash, COVERED[at].as_bytes(), &relaxed(value));
            }
        }
    }
    hash.update([0xff]);
    body(&mut hash, rest);
    Covered {
        fields: Fields(found),
        digest: hash.finalize().into(),
    }
}

/// The values of the fields of this name, unfolded, from the top.
pub(super) fn values<'a>(content: &'a [u8], name: &'a str) -> impl Iterator<Item = Vec<u8>> + 'a {
    let mut rest = content;
    std::iter::from_fn(move || {
        let (found, value, after) = field(rest)?;
        rest = after;
        Some((found, value))
    })
    .filter(move |(found, _)| {
        found.is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
    })
    .map(|(_, value)| relaxed(value))
}

fn update(hash: &mut Sha256, name: &[u8], value: &[u8]) {
    for part in [name, value] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
}

/// A name (`None` for lines that are no field), a value with its folds, and what comes after.
type Field<'a> = (Option<&'a [u8]>, &'a [u8], &'a [u8]);

/// The first field.
/// `None` at the end of the header, which is skipped by whoever goes on with the body.
fn field(content: &[u8]) -> Option<Field<'_>> {
    let mut end = line_end(content)?;
    while matches!(content.get(end), Some(b' ' | b'\t')) {
        end += line_end(&content[end..]).unwrap_or(0);
    }
    let (field, after) = content.split_at(end);
    let name = field.iter().position(|&byte| byte == b':').map(|colon| {
        let name = field[..colon].trim_ascii_end();
        (name, &field[colon + 1..])
    });
    match name {
        Some((name, value)) if !name.is_empty() && name.iter().all(u8::is_ascii_graphic) => {
            Some((Some(name), value, after))
        }
        _ => Some((None, field, after)),
    }
}

/// Where the line ends that begins here; `None` where it is empty or there is none.
fn line_end(content: &[u8]) -> Option<usize> {
    if content.is_empty() || content.starts_with(b"\n") || content.starts_with(b"\r\n") {
        return None;
    }
    Some(memchr::memchr(b'\n', content).map_or(content.len(), |at| at + 1))
}

/// Unfolded, runs of white space as one blank, none at the ends.
fn relaxed(value: &[u8]) -> Vec<u8> {
    let mut relaxed = Vec::with_capacity(value.len());
    for word in value
        .split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
        .filter(|word| !word.is_empty())
    {
        if !relaxed.is_empty() {
            relaxed.push(b' ');
        }
        relaxed.extend_from_slice(word);
    }
    relaxed
}

/// Every line with LF alone, without the empty ones at the end.
fn body(hash: &mut Sha256, content: &[u8]) {
    let content = content
        .strip_prefix(b"\r\n")
        .or_else(|| content.strip_prefix(b"\n"))
        .unwrap_or(content);
    let mut empty = 0;
    let mut rest = content;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest);
        let line = &rest[..end.unwrap_or(rest.len())];
        rest = &rest[end.map_or(rest.len(), |end| end + 1)..];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            empty += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut empty) {
            hash.update(b"\n");
        }
        hash.update(line);
        hash.update(b"\n");
    }
}
