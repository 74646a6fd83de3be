//! Configuration files in TOML, and errors that name file, line, column, key and what to do.
//!
//! Every program's `--config` file and every policy document is refused with a [`ConfigError`]: one shape for
//! what a parser found ([`load`], [`parse`]) and for what a later, semantic check found ([`ConfigError::at`]).

mod locate;
mod read;
mod remedy;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde::Serialize;

pub use read::{load, parse, read};
pub use remedy::nearest;

use crate::escape::printable;

/// One thing that is wrong in a configuration file, and how to put it right.
///
/// Displayed as `FILE:LINE:COLUMN: key `x.y`: problem; remedy` on one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigError {
    /// The file as the user named it.
    pub file: String,
    /// Line, counted from 1; `None` when the whole file is meant (it cannot be read, say).
    pub line: Option<u32>,
    /// Column in characters, counted from 1.
    pub column: Option<u32>,
    /// Dotted path of the key that is meant, such as `listener[0].address`; `None` for plain syntax errors.
    pub key: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What the user should do about it.
    pub remedy: String,
}

impl ConfigError {
    /// An error about the file as a whole.
    pub fn in_file(file: &Path, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            file: file.display().to_string(),
            line: None,
            column: None,
            key: None,
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// An error at a byte span of `text`, the content of `file`, as `toml::Spanned` reports it.
    pub fn at(
        file: &Path,
        text: &str,
        span: Range<usize>,
        key: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (line, column) = locate::position(text, span.start);
        Self {
            line: Some(counted(line)),
            column: Some(counted(column)),
            key: Some(key.into()),
            ..Self::in_file(file, problem, remedy)
        }
    }

    /// An error at a line of a file that is not TOML (a list or a rule file); `column` counts from 1.
    pub fn at_line(
        file: &Path,
        line: usize,
        column: Option<usize>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            line: Some(counted(line)),
            column: column.map(counted),
            ..Self::in_file(file, problem, remedy)
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(self.file.as_bytes()))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        f.write_str(": ")?;
        if let Some(key) = &self.key {
            write!(f, "key `{}`: ", printable(key.as_bytes()))?;
        }
        f.write_str(&printable(self.problem.as_bytes()))?;
        if self.remedy.is_empty() {
            return Ok(());
        }
        write!(f, "; {}", printable(self.remedy.as_bytes()))
    }
}

impl std::error::Error for ConfigError {}

/// All that is wrong in a configuration, in the order of the files; displayed one error a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(transparent)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    /// `Ok(value)` when nothing was found wrong.
    ///
    /// # Errors
    /// The collected errors themselves, when there are any.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }

    /// The value, where there is one; else its errors are added.
    pub fn keep<T>(&mut self, result: Result<T, Self>) -> Option<T> {
        result.map_err(|errors| self.0.extend(errors.0)).ok()
    }

    /// Adds one error.
    pub fn push(&mut self, error: ConfigError) {
        self.0.push(error);
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// A line or column as it is shown; no file that is read has more than `u32` can count.
fn counted(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
