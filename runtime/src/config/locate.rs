//! From a byte span of a TOML document to line, column and dotted key.

use std::ops::Range;

use toml::de::{DeArray, DeTable, DeValue};

/// Line and column (in characters) of a byte offset, both counted from 1.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    (line, column)
}

/// The dotted key that `span` is in; with `missing`, the key that the table at `span` lacks.
///
/// `None` when the document is not TOML at all, as there are no keys then.
pub(super) fn key(text: &str, span: Option<Range<usize>>, missing: Option<&str>) -> Option<String> {
    let document = DeTable::parse(text).ok()?;
    let mut path = Vec::new();
    if let Some(span) = span {
        let wanted = match missing {
            Some(_) => Wanted::Table(span),
            None => Wanted::Offset(span.start),
        };
        in_table(document.get_ref(), &wanted, &mut path);
    }
    path.extend(missing.map(str::to_owned));
    if path.is_empty() {
        return None;
    }
    Some(path.join(".").replace(".[", "["))
}

enum Wanted {
    /// The innermost key or value around an offset.
    Offset(usize),
    /// The table with exactly this span: a document's own table has its first key's offset too.
    Table(Range<usize>),
}

impl Wanted {
    fn is_at(&self, key: Option<Range<usize>>, value: &Range<usize>) -> bool {
        match self {
            Self::Offset(offset) => {
                key.is_some_and(|key| key.contains(offset)) || value.contains(offset)
            }
            Self::Table(span) => value == span,
        }
    }
}

fn in_table(table: &DeTable<'_>, wanted: &Wanted, path: &mut Vec<String>) -> bool {
    table.iter().any(|(key, value)| {
        path.push(segment(key.get_ref()));
        let found = in_value(value.get_ref(), wanted, path)
            || wanted.is_at(Some(key.span()), &value.span());
        if !found {
            path.pop();
        }
        found
    })
}

fn in_array(array: &DeArray<'_>, wanted: &Wanted, path: &mut Vec<String>) -> bool {
    array.iter().enumerate().any(|(n, value)| {
        path.push(format!("[{n}]"));
        let found = in_value(value.get_ref(), wanted, path) || wanted.is_at(None, &value.span());
        if !found {
            path.pop();
        }
        found
    })
}

fn in_value(value: &DeValue<'_>, wanted: &Wanted, path: &mut Vec<String>) -> bool {
    match value {
        DeValue::Table(table) => in_table(table, wanted, path),
        DeValue::Array(array) => in_array(array, wanted, path),
        _ => false,
    }
}

/// A key as it must be written: quoted when it is not a bare key.
fn segment(key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare {
        key.to_owned()
    } else {
        format!("{key:?}")
    }
}
