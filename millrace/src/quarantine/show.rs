//! A copy as people read it: nothing of a message reaches the terminal as it is.

use std::fmt::Write as _;

use millrace_quarantine::{Copy, Record};
use millrace_runtime::printable;
use mpd_node::request::{Limits, Message, Part};

use super::{line, safe};
use crate::output::{Format, Output, OutputError};

/// Lines of text that are shown.
const TEXT_LINES: usize = 60;
/// Columns of a line that are shown.
const COLUMNS: usize = 400;
/// Header fields that are shown.
const FIELDS: usize = 200;

/// What it is, what was found, its header decoded, its structure, and its text.
pub(super) fn show(
    record: &Record,
    copy: &Copy,
    format: Format,
    output: &mut Output,
) -> Result<(), OutputError> {
    let message = Message::parse(copy.content.clone(), &Limits::default());
    if format == Format::Json {
        return output.json(&serde_json::json!({
            "record": record,
            "peer": copy.transaction.connection.peer.to_string(),
            "findings": copy.verdict.findings.iter().map(|finding| serde_json::json!({
                "symbol": &*finding.symbol,
                "score": finding.score,
                "detail": finding.detail,
            })).collect::<Vec<_>>(),
            "headers": message.headers().iter().take(FIELDS).map(|header| serde_json::json!({
                "name": String::from_utf8_lossy(&header.name),
                "value": unfolded(&message.decoded_value(header)),
            })).collect::<Vec<_>>(),
            "parts": message.parts().iter().map(|part| serde_json::json!({
                "depth": part.depth,
                "type": kind(part),
                "name": part.file_name(),
                "bytes": part.body.len(),
            })).collect::<Vec<_>>(),
            "text": text(&message),
        }));
    }
    output.line(&line(record))?;
    output.line(&about(record, copy))?;
    output.line("Header, decoded:")?;
    for header in message.headers().iter().take(FIELDS) {
        let value = cut(&safe(&unfolded(&message.decoded_value(header))));
        output.line(&format!("  {}: {value}", printable(&header.name)))?;
    }
    if message.headers().len() > FIELDS {
        output.line("  …")?;
    }
    output.line("\nStructure:")?;
    for part in message.parts() {
        let name = part
            .file_name()
            .map(|name| format!("  \"{}\"", cut(&safe(name))));
        output.line(&format!(
            "  {}{}{}  {} bytes",
            "  ".repeat(part.depth.min(20)),
            safe(&kind(part)),
            name.unwrap_or_default(),
            part.body.len()
        ))?;
    }
    let text = text(&message);
    if !text.is_empty() {
        output.line("\nText:")?;
        let mut lines = text.lines();
        for line in lines.by_ref().take(TEXT_LINES) {
            output.line(&format!("  {}", cut(&safe(line))))?;
        }
        if lines.next().is_some() {
            output.line("  … (--raw has all)")?;
        }
    }
    Ok(())
}

fn about(record: &Record, copy: &Copy) -> String {
    let mut about = String::new();
    let connection = &copy.transaction.connection;
    let helo = connection.helo.as_deref().unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = writeln!(about, "  from {} ({})", connection.peer, printable(helo));
    if !record.kept_for.is_empty() {
        let all = safe(&record.recipients.join(" "));
        let _ = writeln!(about, "  of a message to {all}");
    }
    if !record.reason.is_empty() {
        let _ = writeln!(about, "  held: {}", safe(&record.reason));
    }
    for finding in &copy.verdict.findings {
        let detail = printable(finding.detail.as_bytes());
        let _ = writeln!(about, "  {} {} {detail}", finding.symbol, finding.score);
    }
    about
}

/// A fold is white space of any kind, and reads as a blank.
fn unfolded(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn kind(part: &Part) -> String {
    format!("{}/{}", part.content_type.main, part.content_type.sub)
}

/// What a reader sees of the text parts.
fn text(message: &Message) -> String {
    message.text().visible().collect::<Vec<_>>().join("\n")
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(COLUMNS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
