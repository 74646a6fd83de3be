//! A verdict line as text: `key=value` pairs under `{:?}`, the members of a JSON object under `{:#?}`.

use std::fmt::{self, Write as _};

use super::{MAX_RECIPIENTS, MAX_VALUE, VerdictLine};
use crate::escape::{push_json_string, push_printable};

/// What gets a backslash inside the items of a list of the human format.
const SEPARATORS: &str = "\",(){}[]";

pub(super) struct Rendered<'a>(pub(super) &'a VerdictLine<'a>);

impl fmt::Debug for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::with_capacity(1024);
        if f.alternate() {
            let mut json = Json { text };
            fields(self.0, &mut json);
            return f.write_str(&json.text);
        }
        let mut human = Human { text };
        fields(self.0, &mut human);
        f.write_str(&human.text)
    }
}

/// The line's fields in their order, for both forms.
fn fields(line: &VerdictLine<'_>, out: &mut impl Output) {
    out.text("queue_id", line.queue_id);
    out.text("transaction_id", line.transaction_id.as_bytes());
    out.text("client", line.client.as_bytes());
    out.text("direction", line.direction.as_bytes());
    out.text("conduit", line.conduit.as_bytes());
    out.text("stage", line.stage.as_bytes());
    out.text("peer", line.peer);
    out.text("helo", line.helo);
    out.text("sender", line.sender);
    out.list(
        "recipients",
        line.recipients
            .iter()
            .take(MAX_RECIPIENTS)
            .map(|recipient| Item::plain(recipient)),
    );
    out.number("recipients_total", line.recipients.len());
    out.number("size", line.size);
    out.text("revision", line.revision.as_bytes());
    out.text("disposition", line.disposition.as_bytes());
    out.text("kept", if line.kept { b"yes" } else { b"no" });
    out.text("reply", line.reply);
    out.points("score", line.score);
    out.points("threshold", line.threshold);
    out.list(
        "symbols",
        line.symbols.iter().map(|symbol| Item {
            value: symbol.name.as_bytes(),
            keys: ItemKeys::Symbol,
            score: Some(symbol.score),
            detail: symbol.detail,
            source: symbol.source,
        }),
    );
    out.list(
        "degradations",
        line.degradations
            .iter()
            .map(|text| Item::plain(text.as_bytes())),
    );
    out.list(
        "unscanned",
        line.unscanned.iter().map(|unscanned| Item {
            keys: ItemKeys::Unscanned,
            detail: unscanned.reason.as_bytes(),
            ..Item::plain(unscanned.check.as_bytes())
        }),
    );
    out.text("node", line.node.as_bytes());
    out.number("duration_us", line.duration_us);
    out.text("outcome", line.outcome.as_bytes());
}

struct Item<'a> {
    value: &'a [u8],
    keys: ItemKeys,
    score: Option<f64>,
    detail: &'a [u8],
    source: &'a str,
}

impl<'a> Item<'a> {
    fn plain(value: &'a [u8]) -> Self {
        Self {
            value,
            keys: ItemKeys::Plain,
            score: None,
            detail: b"",
            source: "",
        }
    }
}

/// What an item is in JSON: a string, or an object with these keys.
#[derive(Clone, Copy)]
enum ItemKeys {
    Plain,
    Symbol,
    Unscanned,
}

trait Output {
    fn text(&mut self, key: &str, value: &[u8]);
    fn number(&mut self, key: &str, value: impl fmt::Display);
    fn points(&mut self, key: &str, value: f64);
    fn list<'a>(&mut self, key: &str, items: impl Iterator<Item = Item<'a>>);
}

struct Human {
    text: String,
}

impl Human {
    fn key(&mut self, key: &str) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(key);
        self.text.push('=');
    }

    /// Puts what was written since `start` in quotes, if it is empty or has a space.
    fn quote_from(&mut self, start: usize) {
        if self.text.len() == start || self.text[start..].contains(' ') {
            self.text.insert(start, '"');
            self.text.push('"');
        }
    }
}

impl Output for Human {
    fn text(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        let start = self.text.len();
        push_cut(&mut self.text, value, "\"");
        self.quote_from(start);
    }

    fn number(&mut self, key: &str, value: impl fmt::Display) {
        self.key(key);
        let _ = write!(self.text, "{value}");
    }

    fn points(&mut self, key: &str, value: f64) {
        self.number(key, format_args!("{value:.2}"));
    }

    fn list<'a>(&mut self, key: &str, items: impl Iterator<Item = Item<'a>>) {
        self.key(key);
        let start = self.text.len();
        for (n, item) in items.enumerate() {
            if n > 0 {
                self.text.push(',');
            }
            push_cut(&mut self.text, item.value, SEPARATORS);
            if let Some(score) = item.score {
                let _ = write!(self.text, "({score:.2})");
            }
            if !item.detail.is_empty() {
                self.text.push('{');
                push_cut(&mut self.text, item.detail, SEPARATORS);
                self.text.push('}');
            }
            if !item.source.is_empty() {
                self.text.push('[');
                push_cut(&mut self.text, item.source.as_bytes(), SEPARATORS);
                self.text.push(']');
            }
        }
        self.quote_from(start);
    }
}

struct Json {
    text: String,
}

impl Json {
    fn key(&mut self, key: &str) {
        if !self.text.is_empty() && !self.text.ends_with('{') {
            self.text.push(',');
        }
        push_json_string(&mut self.text, key);
        self.text.push(':');
    }

    fn string(&mut self, value: &[u8]) {
        let mut printable = String::with_capacity(value.len());
        push_cut(&mut printable, value, "");
        push_json_string(&mut self.text, &printable);
    }
}

impl Output for Json {
    fn text(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        self.string(value);
    }

    fn number(&mut self, key: &str, value: impl fmt::Display) {
        self.key(key);
        let _ = write!(self.text, "{value}");
    }

    fn points(&mut self, key: &str, value: f64) {
        if value.is_finite() {
            self.number(key, format_args!("{value:.2}"));
        } else {
            self.number(key, "null");
        }
    }

    fn list<'a>(&mut self, key: &str, items: impl Iterator<Item = Item<'a>>) {
        self.key(key);
        self.text.push('[');
        for (n, item) in items.enumerate() {
            if n > 0 {
                self.text.push(',');
            }
            match item.keys {
                ItemKeys::Plain => self.string(item.value),
                ItemKeys::Symbol => {
                    self.text.push('{');
                    self.text("name", item.value);
                    self.points("score", item.score.unwrap_or_default());
                    self.text("detail", item.detail);
                    self.text("source", item.source.as_bytes());
                    self.text.push('}');
                }
                ItemKeys::Unscanned => {
                    self.text.push('{');
                    self.text("check", item.value);
                    self.text("reason", item.detail);
                    self.text.push('}');
                }
            }
        }
        self.text.push(']');
    }
}

/// Appends a value, cut to [`MAX_VALUE`] bytes.
fn push_cut(out: &mut String, value: &[u8], special: &str) {
    match value.get(..MAX_VALUE) {
        Some(shown) if value.len() > MAX_VALUE => {
            push_printable(out, shown, special);
            out.push('…');
        }
        _ => push_printable(out, value, special),
    }
}
