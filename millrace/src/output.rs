//! Standard output: for people or for programs, and no panic when the reader goes away.

use std::io::{self, BufWriter, Write};

use clap::ValueEnum;
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
        serde_json::to_writer(&mut self.0, value).map_err(io::Error::from)?;
        self.text("\n")
    }

    /// Writes one JSON value, indented.
    pub(crate) fn pretty_json<T: Serialize>(&mut self, value: &T) -> Result<(), OutputError> {
        serde_json::to_writer_pretty(&mut self.0, value).map_err(io::Error::from)?;
        self.text("\n")
    }

    /// Hands on what is buffered.
    pub(crate) fn flush(&mut self) -> Result<(), OutputError> {
        Ok(self.0.flush()?)
    }
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Gone,
            _ => Self::Io(error),
        }
    }
}
