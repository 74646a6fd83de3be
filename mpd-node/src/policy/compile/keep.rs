//! Finds `keep = true` where it has no meaning: everywhere but in an action.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// The places of every `keep = true`, with the dotted key.
pub(super) fn misplaced(text: &str) -> Vec<(Range<usize>, String)> {
    let mut found = Vec::new();
    if let Ok(document) = DeTable::parse(text) {
        in_table(document.get_ref(), "", &mut found);
    }
    found
}

fn in_table(table: &DeTable<'_>, path: &str, found: &mut Vec<(Range<usize>, String)>) {
    for (key, value) in table {
        let name: &str = key.get_ref();
        let here = if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        };
        if name == "keep" && path.starts_with("action[") {
            continue;
        }
        if name == "keep" && !matches!(value.get_ref(), DeValue::Boolean(false)) {
            found.push((key.span(), here));
            continue;
        }
        in_value(value.get_ref(), &here, found);
    }
}

fn in_value(value: &DeValue<'_>, path: &str, found: &mut Vec<(Range<usize>, String)>) {
    match value {
        DeValue::Table(table) => in_table(table, path, found),
        DeValue::Array(array) => {
            for (at, value) in array.iter().enumerate() {
                in_value(value.get_ref(), &format!("{path}[{at}]"), found);
            }
        }
        _ => {}
    }
}
