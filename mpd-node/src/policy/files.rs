//! The files of a policy: where they are read from, and the revision that they make.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use millrace_cluster::policy::{Manifest, PolicyFiles};
use millrace_proto::Revision;
use millrace_runtime::config::{self, ConfigError};

/// The main file of a policy.
pub(crate) const MAIN: &str = "policy.toml";
/// The largest file, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// Files of a policy, read as they are asked for.
#[derive(Debug)]
pub(crate) struct Files {
    place: Place,
    /// A file that is to be as it would be after a change.
    instead: Option<(String, String)>,
    /// What was read, by its path as the policy has it.
    read: PolicyFiles,
}

#[derive(Debug)]
enum Place {
    Folder(PathBuf),
    Memory(PolicyFiles),
}

impl Files {
    /// The files of a folder.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self {
            place: Place::Folder(folder.to_owned()),
            instead: None,
            read: PolicyFiles::new(),
        }
    }

    /// The files of a folder, but one of them with another text.
    pub(crate) fn in_folder_with(folder: &Path, name: &str, text: &str) -> Self {
        Self {
            instead: Some((name.to_owned(), text.to_owned())),
            ..Self::in_folder(folder)
        }
    }

    /// Files in memory.
    pub(crate) fn in_memory(files: PolicyFiles) -> Self {
        Self {
            place: Place::Memory(files),
            instead: None,
            read: PolicyFiles::new(),
        }
    }

    /// The path by which errors name a file.
    pub(crate) fn shown(&self, name: &str) -> PathBuf {
        match &self.place {
            Place::Folder(folder) => folder.join(name),
            Place::Memory(_) => PathBuf::from(name),
        }
    }

    /// Reads a file; its content counts for the revision.
    ///
    /// # Errors
    /// The name leads out of the folder, or the file cannot be read, is too large or is not UTF-8.
    pub(crate) fn read(&mut self, name: &str) -> Result<Arc<str>, ConfigError> {
        if let Some(text) = self.read.get(name) {
            return Ok(text.clone());
        }
        let shown = self.shown(name);
        let inside = !name.is_empty()
            && Path::new(name)
                .components()
                .all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            return Err(ConfigError::in_file(
                &shown,
                "is not below the policy's folder",
                "name a file beside policy.toml, such as lists/blocked.txt",
            ));
        }
        let instead = self.instead.as_ref().filter(|(of, _)| of == name);
        let text: Arc<str> = match (&self.place, instead) {
            (_, Some((_, text))) => text.as_str().into(),
            (Place::Folder(_), None) => {
                let length = std::fs::metadata(&shown).map_or(0, |file| file.len());
                if length > MAX_FILE {
                    return Err(ConfigError::in_file(
                        &shown,
                        "is larger than 64 MiB",
                        "split it",
                    ));
                }
                config::read(&shown)?.into()
            }
            (Place::Memory(files), None) => files.get(name).cloned().ok_or_else(|| {
                ConfigError::in_file(
                    &shown,
                    "cannot be read: there is no such file",
                    "name a file that exists",
                )
            })?,
        };
        self.read.insert(name.to_owned(), text.clone());
        Ok(text)
    }

    /// The hash over the manifest of all that was read.
    pub(crate) fn revision(&self) -> Revision {
        let read = self.read.iter();
        Manifest::of(read.map(|(name, text)| (name.as_str(), text.as_ref()))).revision()
    }

    /// What was read.
    pub(crate) fn into_read(self) -> PolicyFiles {
        self.read
    }

    /// The paths of what was read.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.read.keys().map(|name| self.shown(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(files: &[(&str, &str)]) -> Revision {
        let mut source = Files::in_memory(
            files
                .iter()
                .map(|(n, t)| ((*n).to_owned(), (*t).into()))
                .collect(),
        );
        for (name, _) in files.iter().rev() {
            source.read(name).unwrap();
        }
        source.revision()
    }

    #[test]
    fn a_revision_is_of_names_and_contents() {
        let one = revision(&[("policy.toml", "a"), ("list", "b")]);
        assert_eq!(one.as_str().len(), 64);
        assert_eq!(one, revision(&[("list", "b"), ("policy.toml", "a")]));
        assert_ne!(one, revision(&[("policy.toml", "a"), ("list", "c")]));
        assert_ne!(one, revision(&[("policy.toml", "a"), ("list2", "b")]));
    }

    #[test]
    fn files_are_below_the_folder() {
        for name in ["../secret", "/etc/passwd", "a/../../b", "", "./x/../y"] {
            let error = Files::in_memory(PolicyFiles::new()).read(name).unwrap_err();
            assert_eq!(error.problem, "is not below the policy's folder", "{name}");
        }
    }
}
