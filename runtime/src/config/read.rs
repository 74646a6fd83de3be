//! Reading a TOML file into a type, with the parser's errors turned into [`ConfigError`]s.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::{ConfigError, locate, remedy};

/// Reads `path` and parses it into `T`.
///
/// # Errors
/// When the file cannot be read, is not UTF-8, is not TOML, or does not fit `T`. Give `T` and the types inside
/// it `#[serde(deny_unknown_fields)]`, so that a misspelt key is refused and not ignored.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    parse(path, &read(path)?)
}

/// The text of a configuration file.
///
/// # Errors
/// When the file cannot be read or is not UTF-8; the error then names the line of the first invalid byte.
pub fn read(path: &Path) -> Result<String, ConfigError> {
    let bytes = std::fs::read(path).map_err(|error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound => "name a file that exists",
            std::io::ErrorKind::PermissionDenied => {
                "let the user that this process runs as read it"
            }
            _ => "name a readable file",
        };
        ConfigError::in_file(path, format!("cannot be read: {error}"), remedy)
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let prefix = String::from_utf8_lossy(&error.as_bytes()[..valid]);
        let (line, column) = locate::position(&prefix, valid);
        ConfigError::at_line(
            path,
            line,
            Some(column),
            "is not UTF-8",
            "save the file in UTF-8",
        )
    })
}

/// Parses `text`, the content of `file`, into `T`.
///
/// # Errors
/// When `text` is not TOML or does not fit `T`.
pub fn parse<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| from_toml(file, text, &error))
}

fn from_toml(file: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let advice = remedy::of(error.message());
    let (line, column) = error
        .span()
        .map_or((1, 1), |span| locate::position(text, span.start));
    ConfigError {
        line: Some(super::counted(line)),
        column: Some(super::counted(column)),
        key: locate::key(text, error.span(), advice.missing.as_deref()),
        ..ConfigError::in_file(file, advice.problem, advice.remedy)
    }
}
