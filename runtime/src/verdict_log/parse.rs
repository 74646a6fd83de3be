//! Reading verdict lines of both log formats, bare or behind a prefix of syslog or the journal.

use serde_json::Value;

use super::{Finding, TARGET, Unscanned, VerdictRecord};
use crate::escape::unescape;

/// The verdict in a line of a log, whichever format it was written in; `None` for any other line.
#[must_use]
pub fn parse_line(line: &str) -> Option<VerdictRecord> {
    let line = line.trim_end_matches(['\r', '\n']);
    parse_json(line).or_else(|| parse_human(line))
}

fn parse_json(line: &str) -> Option<VerdictRecord> {
    let object: Value = serde_json::from_str(line.get(line.find('{')?..)?).ok()?;
    if object.get("target")?.as_str()? != TARGET {
        return None;
    }
    let mut record = VerdictRecord {
        timestamp: object.get("timestamp")?.as_str()?.to_owned(),
        ..Default::default()
    };
    for (key, value) in object.as_object()? {
        match value {
            Value::String(value) => set_text(&mut record, key, value),
            Value::Number(value) => set_number(&mut record, key, &value.to_string()),
            Value::Array(items) => set_json_list(&mut record, key, items),
            _ => {}
        }
    }
    Some(record)
}

fn parse_human(line: &str) -> Option<VerdictRecord> {
    let (timestamp, mut rest) = our_head(line)?;
    let mut record = VerdictRecord {
        timestamp: timestamp.to_owned(),
        ..Default::default()
    };
    while let Some((key, after)) = rest.trim_start_matches(' ').split_once('=') {
        let (value, after) = split_value(after);
        set_text(&mut record, key, value);
        set_number(&mut record, key, value);
        set_list(&mut record, key, value);
        rest = after;
    }
    Some(record)
}

/// The time and the fields of a line that begins `TIME INFO millrace::verdict:`.
///
/// The first of our times with a level after it is the line's own: what a stranger put into a field of another
/// line comes after that line's own level and target.
fn our_head(line: &str) -> Option<(&str, &str)> {
    let mut rest = line;
    loop {
        let (token, after) = rest.split_once(' ')?;
        let (level, fields) = after.split_once(' ').unwrap_or((after, ""));
        if is_time(token) && ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level) {
            return Some((token, fields.strip_prefix(TARGET)?.strip_prefix(':')?));
        }
        rest = after;
    }
}

fn is_time(token: &str) -> bool {
    token.len() >= 20
        && token.ends_with('Z')
        && token.as_bytes()[0].is_ascii_digit()
        && token.as_bytes()[10] == b'T'
}

/// A value, quoted or not, still escaped; and what comes after it.
fn split_value(text: &str) -> (&str, &str) {
    match text.strip_prefix('"') {
        Some(quoted) => match find_bare(quoted, "\"") {
            Some(end) => (&quoted[..end], &quoted[end + 1..]),
            None => (quoted, ""),
        },
        None => text.split_once(' ').unwrap_or((text, "")),
    }
}

/// Where the first of `wanted` is that has no backslash before it.
fn find_bare(text: &str, wanted: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if wanted.contains(c) {
            return Some(at);
        }
    }
    None
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = (!list.is_empty()).then_some(list);
    std::iter::from_fn(move || {
        let list = rest?;
        match find_bare(list, ",") {
            Some(comma) => {
                rest = Some(&list[comma + 1..]);
                Some(&list[..comma])
            }
            None => rest.take(),
        }
    })
}

/// `value(score){detail}[source]`, each part but the first may be absent; all still escaped.
fn parts(item: &str) -> (&str, &str, &str, &str) {
    let (value, mut rest) = item.split_at(find_bare(item, "({[").unwrap_or(item.len()));
    let mut part = |open: char, close: &str| {
        let inside = rest.strip_prefix(open)?;
        let end = find_bare(inside, close)?;
        rest = &inside[end + 1..];
        Some(&inside[..end])
    };
    let score = part('(', ")").unwrap_or_default();
    let detail = part('{', "}").unwrap_or_default();
    let source = part('[', "]").unwrap_or_default();
    (value, score, detail, source)
}

fn set_text(record: &mut VerdictRecord, key: &str, value: &str) {
    match key {
        "queue_id" => record.queue_id = unescape(value),
        "transaction_id" => record.transaction_id = string(value),
        "client" => record.client = string(value),
        "direction" => record.direction = string(value),
        "conduit" => record.conduit = string(value),
        "stage" => record.stage = string(value),
        "peer" => record.peer = unescape(value),
        "helo" => record.helo = unescape(value),
        "sender" => record.sender = unescape(value),
        "revision" => record.revision = string(value),
        "disposition" => record.disposition = string(value),
        "kept" => record.kept = value == "yes",
        "reply" => record.reply = unescape(value),
        "node" => record.node = string(value),
        "outcome" => record.outcome = string(value),
        _ => {}
    }
}

fn set_number(record: &mut VerdictRecord, key: &str, value: &str) {
    match key {
        "recipients_total" => record.recipients_total = value.parse().unwrap_or_default(),
        "size" => record.size = value.parse().unwrap_or_default(),
        "duration_us" => record.duration_us = value.parse().unwrap_or_default(),
        "score" => record.score = value.parse().unwrap_or_default(),
        "threshold" => record.threshold = value.parse().unwrap_or_default(),
        _ => {}
    }
}

fn set_list(record: &mut VerdictRecord, key: &str, value: &str) {
    match key {
        "recipients" => record.recipients = items(value).map(unescape).collect(),
        "degradations" => record.degradations = items(value).map(string).collect(),
        "symbols" => record.symbols = items(value).map(finding).collect(),
        "unscanned" => {
            record.unscanned = items(value)
                .map(|item| {
                    let (check, _, reason, _) = parts(item);
                    Unscanned {
                        check: string(check),
                        reason: string(reason),
                    }
                })
                .collect();
        }
        _ => {}
    }
}

fn finding(item: &str) -> Finding {
    let (name, score, detail, source) = parts(item);
    Finding {
        name: string(name),
        score: score.parse().unwrap_or_default(),
        detail: unescape(detail),
        source: string(source),
    }
}

fn set_json_list(record: &mut VerdictRecord, key: &str, list: &[Value]) {
    let member = |item: &Value, name: &str| {
        item.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    match key {
        "recipients" => {
            record.recipients = list
                .iter()
                .filter_map(Value::as_str)
                .map(unescape)
                .collect();
        }
        "degradations" => {
            record.degradations = list.iter().filter_map(Value::as_str).map(string).collect();
        }
        "symbols" => {
            record.symbols = list
                .iter()
                .map(|item| Finding {
                    name: string(&member(item, "name")),
                    score: item
                        .get("score")
                        .and_then(Value::as_f64)
                        .unwrap_or_default(),
                    detail: unescape(&member(item, "detail")),
                    source: string(&member(item, "source")),
                })
                .collect();
        }
        "unscanned" => {
            record.unscanned = list
                .iter()
                .map(|item| Unscanned {
                    check: string(&member(item, "check")),
                    reason: string(&member(item, "reason")),
                })
                .collect();
        }
        _ => {}
    }
}

/// Unescaped text. What we logged as text was UTF-8; a line that was tampered with may be anything.
fn string(escaped: &str) -> String {
    String::from_utf8(unescape(escaped)).unwrap_or_else(|_| escaped.to_owned())
}
