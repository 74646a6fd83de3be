//! The form of a log line, for people or as JSON; nothing in either can break out of its line.

use std::error::Error;
use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::LogFormat;
use crate::escape::{push_json_string, push_printable};
use crate::verdict_log;

/// Formats events as one line each.
pub(super) struct Lines {
    format: LogFormat,
}

impl Lines {
    pub(super) fn new(format: LogFormat) -> Self {
        Self { format }
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let meta = event.metadata();
        let mut line = Line {
            text: String::with_capacity(512),
            is_verdict: meta.target() == verdict_log::TARGET,
        };
        match self.format {
            LogFormat::Human => {
                SystemTime.format_time(&mut Writer::new(&mut line.text))?;
                write!(line.text, " {} {}:", meta.level(), meta.target())?;
                let head = line.text.len();
                event.record(&mut Human {
                    line: &mut line,
                    head,
                });
            }
            LogFormat::Json => {
                line.text.push_str("{\"timestamp\":\"");
                SystemTime.format_time(&mut Writer::new(&mut line.text))?;
                write!(line.text, "\",\"level\":\"{}\",\"target\":", meta.level())?;
                push_json_string(&mut line.text, meta.target());
                event.record(&mut Json(&mut line));
                line.text.push('}');
            }
        }
        line.text.push('\n');
        out.write_str(&line.text)
    }
}

struct Line {
    text: String,
    is_verdict: bool,
}

impl Line {
    /// The verdict's fields are rendered by their owner, in the form asked for.
    fn is_rendered(&self, field: &Field) -> bool {
        self.is_verdict && field.name() == verdict_log::FIELD
    }
}

/// ` message` and ` key=value`, with quotes around a value that has spaces.
struct Human<'a> {
    line: &'a mut Line,
    /// Where the message goes, before all fields, whenever it comes.
    head: usize,
}

impl Human<'_> {
    fn value(&mut self, field: &Field, value: &str) {
        let text = &mut self.line.text;
        if field.name() == "message" {
            let mut message = String::from(" ");
            push_printable(&mut message, value.as_bytes(), "");
            text.insert_str(self.head, &message);
            return;
        }
        text.push(' ');
        text.push_str(field.name());
        text.push('=');
        let quoted = value.is_empty() || value.contains(' ');
        if quoted {
            text.push('"');
        }
        push_printable(text, value.as_bytes(), "\"");
        if quoted {
            text.push('"');
        }
    }
}

impl Visit for Human<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.value(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.value(field, &chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.line.is_rendered(field) {
            let _ = write!(self.line.text, " {value:?}");
            return;
        }
        self.value(field, &format!("{value:?}"));
    }
}

/// `,"key":value`.
struct Json<'a>(&'a mut Line);

impl Json<'_> {
    fn key(&mut self, field: &Field) {
        self.0.text.push(',');
        push_json_string(&mut self.0.text, field.name());
        self.0.text.push(':');
    }

    fn text(&mut self, field: &Field, value: &str) {
        self.key(field);
        let mut printable = String::with_capacity(value.len());
        push_printable(&mut printable, value.as_bytes(), "");
        push_json_string(&mut self.0.text, &printable);
    }

    fn bare(&mut self, field: &Field, value: impl fmt::Display) {
        self.key(field);
        let _ = write!(self.0.text, "{value}");
    }
}

impl Visit for Json<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.bare(field, value);
        } else {
            self.text(field, &value.to_string());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.text(field, &chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.0.is_rendered(field) {
            let _ = write!(self.0.text, ",{value:#?}");
            return;
        }
        self.text(field, &format!("{value:?}"));
    }
}

/// An error and its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
