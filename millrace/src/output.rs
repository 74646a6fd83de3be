//! Standard output: for people or for programs, and no panic when the reader goes away.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};

use clap::ValueEnum;
use millrace_runtime::is_hazardous;
use serde::Serialize;

/// Whom the output is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Text for people
    #[default]
    Human,
    /// JSON for programs
    Json,
}

/// Standard output, buffered.
#[derive(Debug)]
pub(crate) struct Output(BufWriter<io::Stdout>);

/// Why nothing more can be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    /// The reader closed its end.
    #[error("the reader of the output went away")]
    Gone,
    /// The disk is full, for example.
    #[error("standard output: {0}")]
    Io(io::Error),
}

impl Output {
    pub(crate) fn stdout() -> Self {
        Self(BufWriter::with_capacity(32 << 10, io::stdout()))
    }

    /// Writes text as it is: what comes from a mail must have been made printable.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), OutputError> {
        Ok(self.0.write_all(text.as_bytes())?)
    }

    /// Writes text and ends the line.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), OutputError> {
        self.text(text)?;
        self.text("\n")
    }

    /// Writes one JSON value on a line of its own.
    pub(crate) fn json<T: Serialize>(&mut self, value: &T) -> Result<(), OutputError> {
        let text = serde_json::to_string(value).map_err(io::Error::from)?;
        self.line(&harmless(&text))
    }

    /// Writes one JSON value, indented.
    pub(crate) fn pretty_json<T: Serialize>(&mut self, value: &T) -> Result<(), OutputError> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
        self.line(&harmless(&text))
    }

    /// Hands on what is buffered.
    pub(crate) fn flush(&mut self) -> Result<(), OutputError> {
        Ok(self.0.flush()?)
    }
}

/// JSON with the characters escaped that a terminal obeys, or that reorder or hide text: JSON leaves them as they are,
/// and people look at it too. Outside of strings it has none.
fn harmless(json: &str) -> Cow<'_, str> {
    let is_hazardous = |c: char| c != '\n' && is_hazardous(c);
    if !json.contains(is_hazardous) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len() + 32);
    for c in json.chars() {
        if is_hazardous(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        } else {
            text.push(c);
        }
    }
    Cow::Owned(text)
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Gone,
            _ => Self::Io(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_nothing_that_a_terminal_obeys_and_means_the_same() {
        let value =
            "\u{9b}31m \u{7f} \u{202e}gpj.exe \u{2066}x\u{2069} \u{200f} \u{e0041} \u{fc}\n\u{1b}";
        for json in [
            serde_json::to_string(value).expect("JSON"),
            serde_json::to_string_pretty(&[value]).expect("JSON"),
        ] {
            let text = harmless(&json);
            assert!(
                !text.contains(|c: char| c != '\n' && is_hazardous(c)),
                "{text}"
            );
            assert!(text.contains('\u{fc}'), "{text}");
            let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let read = read.as_str().or_else(|| read[0].as_str());
            assert_eq!(read, Some(value));
        }
        assert!(matches!(harmless("{\n  \"a\": 1\n}"), Cow::Borrowed(_)));
    }
}
