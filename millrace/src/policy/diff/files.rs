//! The files of two policies, line by line.

use std::collections::BTreeSet;
use std::time::Duration;

use millrace_runtime::printable;
use serde_json::json;
use similar::{ChangeTag, TextDiff};

use super::Side;
use crate::exit::Exit;
use crate::output::{Format, Output};

/// A long list that has nothing in common with the other is not compared for ever.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tells of the files that differ.
pub(super) fn run(
    before: &Side,
    after: &Side,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let names: BTreeSet<&String> = before.files.keys().chain(after.files.keys()).collect();
    let mut changed = Vec::new();
    for name in names {
        let (old, new) = (before.files.get(name), after.files.get(name));
        if old == new {
            continue;
        }
        let kind = match (old, new) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        let (old, new) = (old.map_or("", |t| &**t), new.map_or("", |t| &**t));
        let difference = TextDiff::configure().timeout(PATIENCE).diff_lines(old, new);
        let count = |tag| {
            difference
                .iter_all_changes()
                .filter(|change| change.tag() == tag)
                .count()
        };
        changed.push(json!({
            "file": name,
            "change": kind,
            "lines_added": count(ChangeTag::Insert),
            "lines_removed": count(ChangeTag::Delete),
        }));
        if matches!(format, Format::Human) {
            let shown = |side: &Side| printable(format!("{}: {name}", side.name).as_bytes());
            let unified = difference
                .unified_diff()
                .context_radius(3)
                .header(&shown(before), &shown(after))
                .to_string();
            output.text(&unified)?;
        }
    }
    let same = changed.is_empty();
    match format {
        Format::Human if same => output.line("no difference")?,
        Format::Human => {}
        Format::Json => output.pretty_json(&json!({
            "before": before.policy.revision().as_str(),
            "after": after.policy.revision().as_str(),
            "files": changed,
        }))?,
    }
    Ok(if same { Exit::Good } else { Exit::Bad })
}
