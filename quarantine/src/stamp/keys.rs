//! The keys that stamps are made and checked with: a file that nodes and whoever releases share.

use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Keys. The first makes stamps, all of them check: a new key is put first, and the old one taken away when the last
/// stamp made with it has expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StampKeys(Vec<Key>);

/// One key.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key {
    id: String,
    secret: Vec<u8>,
}

/// Why a file of keys is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// It cannot be read or written.
    #[error("the key file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others can read it.
    #[error("the key file {} can be read by everybody (mode {mode:04o}): chmod o-rwx it", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A line is none.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// There is none in it.
    #[error("the key file {} has no key: `millrace quarantine key FILE` puts one in", .0.display())]
    Empty(PathBuf),
}

/// Bytes of a key that is made, and the least that is taken.
const SECRET: usize = 32;

impl StampKeys {
    /// Reads a file: a key a line, identifier and base64; `#` begins a comment.
    ///
    /// # Errors
    /// It cannot be read, can be read by everybody, or a line is no key.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let failed = |source| KeyFileError::Io {
            path: path.to_owned(),
            source,
        };
        let mode = std::fs::metadata(path).map_err(failed)?.mode() & 0o7777;
        if mode & 0o007 != 0 {
            return Err(KeyFileError::Open {
                path: path.to_owned(),
                mode,
            });
        }
        Self::parse(path, &std::fs::read_to_string(path).map_err(failed)?)
    }

    /// Puts a new key first into a file, which is made (mode 0600) when there is none; the identifier.
    ///
    /// # Errors
    /// The file has lines that are no keys, or cannot be written.
    pub fn add(path: &Path) -> Result<String, KeyFileError> {
        let failed = |source| KeyFileError::Io {
            path: path.to_owned(),
            source,
        };
        let known = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(error)),
        };
        if !known.trim().is_empty() {
            Self::load(path)?;
        }
        let mut random = [0; SECRET + 4];
        getrandom::fill(&mut random).map_err(|error| failed(io::Error::other(error)))?;
        let (secret, name) = random.split_at(SECRET);
        let id = super::hex(name);
        let secret = base64_simd::STANDARD.encode_to_string(secret);
        // Beside the file and then in its place: a reader has the old keys or the new ones.
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let mode = std::fs::metadata(path).map_or(0o600, |there| there.mode() & 0o770);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&beside)
            .map_err(failed)?;
        let written = file
            .write_all(format!("{id} {secret}\n{known}").as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::rename(&beside, path));
        if written.is_err() {
            // What is half there is of no use, and would be in the way.
            let _ = std::fs::remove_file(&beside);
        }
        written.map_err(failed)?;
        Ok(id)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, KeyFileError> {
        let mut keys: Vec<Key> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let wrong = |problem: String| KeyFileError::Line {
                path: path.to_owned(),
                line: at + 1,
                problem,
            };
            let (id, secret) = line
                .split_once(char::is_whitespace)
                .ok_or_else(|| wrong("a key is an identifier, a blank, and base64".to_owned()))?;
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if id.len() > 64 || !id.bytes().all(plain) {
                return Err(wrong(
                    "the identifier has other characters than letters, digits, '-', '_' and '.', or more than 64"
                        .to_owned(),
                ));
            }
            if keys.iter().any(|known| known.id == id) {
                return Err(wrong(format!("there is a key {id} already")));
            }
            let secret = base64_simd::STANDARD
                .decode_to_vec(secret.trim())
                .map_err(|_| wrong("the key is no base64".to_owned()))?;
            if secret.len() < SECRET {
                return Err(wrong(format!(
                    "the key has {} octets; {SECRET} is the least",
                    secret.len()
                )));
            }
            keys.push(Key {
                id: id.to_owned(),
                secret,
            });
        }
        if keys.is_empty() {
            return Err(KeyFileError::Empty(path.to_owned()));
        }
        Ok(Self(keys))
    }

    pub(super) fn first(&self) -> &Key {
        &self.0[0]
    }

    pub(super) fn find(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }
}

impl Key {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn secret(&self) -> &[u8] {
        &self.secret
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}
