//! A copy of published policies on disk, so that a node starts while etcd is down, and fetches only what is new.
//!
//! `parts/HASH` is the content of a file, `manifest/REVISION` what a revision consists of, and `current` names the
//! last one that was good. Each file is written beside its place, made durable, and moved there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace_proto::Revision;

use super::manifest::{Manifest, PolicyFiles, hash, is_hash};

/// The copy in a folder. Its functions read and write files: not for a thread that serves mail.
#[derive(Debug, Clone)]
pub struct DiskCopy {
    folder: PathBuf,
}

const CURRENT: &str = "current";
const PARTS: &str = "parts";
const MANIFESTS: &str = "manifest";

impl DiskCopy {
    /// The copy in this folder, which is made if it is not there.
    ///
    /// # Errors
    /// It cannot be made, or nothing can be written there.
    pub fn open(folder: &Path) -> io::Result<Self> {
        for below in [PARTS, MANIFESTS] {
            fs::create_dir_all(folder.join(below))?;
        }
        let copy = Self {
            folder: folder.to_owned(),
        };
        // Said at the start, and not when etcd is down.
        copy.put("writable", b"")?;
        fs::remove_file(copy.folder.join("writable"))?;
        Ok(copy)
    }

    /// The last good policy; `None` when there is none that is whole.
    #[must_use]
    pub fn current(&self) -> Option<(Revision, PolicyFiles)> {
        let name = fs::read_to_string(self.folder.join(CURRENT)).ok()?;
        let revision = Revision::new(name.trim())?;
        let files = self.files(&revision)?;
        Some((revision, files))
    }

    /// The files of a revision; `None` when not all of them are here.
    #[must_use]
    pub fn files(&self, revision: &Revision) -> Option<PolicyFiles> {
        let text = fs::read_to_string(self.folder.join(MANIFESTS).join(revision.as_str())).ok()?;
        let manifest = Manifest::parse(&text).ok()?;
        if manifest.revision() != *revision {
            return None;
        }
        manifest
            .files()
            .map(|(name, hash)| Some((name.to_owned(), self.part(hash)?)))
            .collect()
    }

    /// A content by its hash; `None` when it is not here, or is another.
    #[must_use]
    pub fn part(&self, wanted: &str) -> Option<Arc<str>> {
        let content = fs::read_to_string(self.folder.join(PARTS).join(wanted)).ok()?;
        (is_hash(wanted) && hash(content.as_bytes()) == wanted).then(|| content.into())
    }

    /// Keeps a policy as the last good one, and those of `others` that are here; the rest is removed.
    ///
    /// # Errors
    /// Something cannot be written. What was here before is still whole then.
    pub fn keep(&self, files: &PolicyFiles, others: &[Revision]) -> io::Result<()> {
        let manifest = Manifest::of(
            files
                .iter()
                .map(|(name, text)| (name.as_str(), text.as_ref())),
        );
        let revision = manifest.revision();
        for ((_, hash), content) in manifest.files().zip(files.values()) {
            let path = Path::new(PARTS).join(hash);
            let there = self.part(hash).is_some();
            if !there {
                self.put(path, content.as_bytes())?;
            }
        }
        self.put(
            Path::new(MANIFESTS).join(revision.as_str()),
            manifest.to_string().as_bytes(),
        )?;
        self.put(CURRENT, format!("{revision}\n").as_bytes())?;
        self.clean(&revision, others)
    }

    /// Writes a file so that it is there whole, or not at all.
    fn put(&self, name: impl AsRef<Path>, content: &[u8]) -> io::Result<()> {
        let path = self.folder.join(name);
        let beside = path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        // The name too is to be there after a crash.
        File::open(path.parent().unwrap_or(&self.folder))?.sync_all()
    }

    fn clean(&self, current: &Revision, others: &[Revision]) -> io::Result<()> {
        let mut needed = BTreeSet::new();
        for entry in fs::read_dir(self.folder.join(MANIFESTS))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let kept = name == current.as_str() || others.iter().any(|one| one.as_str() == name);
            let manifest = fs::read_to_string(&path)
                .ok()
                .and_then(|text| Manifest::parse(&text).ok())
                .filter(|_| kept);
            match manifest {
                Some(manifest) => needed.extend(manifest.files().map(|(_, hash)| hash.to_owned())),
                None => fs::remove_file(&path)?,
            }
        }
        for entry in fs::read_dir(self.folder.join(PARTS))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !needed.contains(&*name) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> PolicyFiles {
        PolicyFiles::from([
            ("policy.toml".to_owned(), text.into()),
            ("lists/a.txt".to_owned(), "same".into()),
        ])
    }

    fn revision(files: &PolicyFiles) -> Revision {
        Manifest::of(
            files
                .iter()
                .map(|(name, text)| (name.as_str(), text.as_ref())),
        )
        .revision()
    }

    #[test]
    fn what_is_kept_is_found_by_another_process() {
        let folder = tempfile::tempdir().unwrap();
        let copy = DiskCopy::open(folder.path()).unwrap();
        assert!(copy.current().is_none());
        let (first, second, third) = (files("1"), files("2"), files("3"));
        copy.keep(&first, &[]).unwrap();
        copy.keep(&second, &[revision(&first)]).unwrap();

        let copy = DiskCopy::open(folder.path()).unwrap();
        assert_eq!(copy.current().unwrap(), (revision(&second), second.clone()));
        assert_eq!(copy.files(&revision(&first)).unwrap(), first);

        copy.keep(&third, &[revision(&second)]).unwrap();
        assert!(copy.files(&revision(&first)).is_none(), "too old");
        assert_eq!(copy.files(&revision(&second)).unwrap(), second);
    }

    #[test]
    fn what_is_damaged_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let copy = DiskCopy::open(folder.path()).unwrap();
        let some = files("1");
        copy.keep(&some, &[]).unwrap();
        let part = folder.path().join("parts").join(hash(b"1"));
        fs::write(&part, "2").unwrap();
        assert!(copy.current().is_none());
        assert_eq!(copy.part(&hash(b"1")), None);
        assert!(copy.part(&hash(b"same")).is_some());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_told_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(DiskCopy::open(&file).is_err());
    }
}
