//! One more sender on a list of a policy's folder. The policy with the change is compiled first: what does not compile,
//! and what no list would read, is not written.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{Policy, PolicyErrors};

/// What is put where.
#[derive(Debug, Clone, Copy)]
pub struct SenderListEdit<'a> {
    /// The policy's folder.
    pub folder: &'a Path,
    /// The list, as the policy names it: below the folder.
    pub list: &'a str,
    /// The sender's whole domain, instead of the address.
    pub whole_domain: bool,
    /// Why, for whoever reads the list.
    pub comment: &'a str,
}

/// Why the list stays as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SenderListError {
    /// The null sender.
    #[error("a bounce has no sender that could be on a list")]
    Bounce,
    /// What a list reads as more than one address would do more than was asked for.
    #[error(
        "the sender has characters that mean something else in a list: write the entry by hand"
    )]
    Unfit,
    /// It is on the list.
    #[error("{entry} is on {list} already")]
    There {
        /// The entry.
        entry: String,
        /// The list.
        list: String,
    },
    /// The list cannot be read.
    #[error("the list {} cannot be read: name another with --list: {source}", path.display())]
    Read {
        /// Its file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The policy is refused already.
    #[error("the policy does not compile as it is:\n{0}")]
    Before(PolicyErrors),
    /// The policy would be refused with the entry.
    #[error("the policy would not compile:\n{0}")]
    After(PolicyErrors),
    /// The entry would have no effect.
    #[error("no list of the policy reads {0}: name the file of a list with --list")]
    Idle(String),
    /// The list cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// Its file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl SenderListEdit<'_> {
    /// Puts the sender's address or domain on the list; the entry.
    ///
    /// # Errors
    /// The list stays as it was.
    pub fn put(&self, sender: &str) -> Result<String, SenderListError> {
        let entry = self.entry(sender)?;
        let path = self.folder.join(self.list);
        // Two people at once: the second one's list is to have the first one's entry. Ends with the file.
        let folder = File::open(self.folder).and_then(|folder| folder.lock().map(|()| folder));
        let _lock = folder.map_err(|source| SenderListError::Write {
            path: self.folder.to_owned(),
            source,
        })?;
        let text = std::fs::read_to_string(&path).map_err(|source| SenderListError::Read {
            path: path.clone(),
            source,
        })?;
        let there = text.lines().any(|line| {
            let line = line.split('#').next().unwrap_or_default().trim();
            line.eq_ignore_ascii_case(&entry)
        });
        if there {
            return Err(SenderListError::There {
                entry,
                list: self.list.to_owned(),
            });
        }
        let mut changed = text;
        if !changed.is_empty() && !changed.ends_with('\n') {
            changed.push('\n');
        }
        let comment: String = self.comment.chars().filter(|c| !c.is_control()).collect();
        changed.push_str(&format!("# {comment}\n{entry}\n"));
        self.compile(&changed)?;
        write(&path, &changed).map_err(|source| SenderListError::Write { path, source })?;
        Ok(entry)
    }

    fn entry(&self, sender: &str) -> Result<String, SenderListError> {
        let (local, domain) = sender.rsplit_once('@').ok_or(SenderListError::Bounce)?;
        let entry = if self.whole_domain { domain } else { sender };
        let plain =
            |c: char| !c.is_control() && !c.is_whitespace() && !"*?[]#<>\\\u{fffd}".contains(c);
        if domain.is_empty() || local.is_empty() || !entry.chars().all(plain) {
            return Err(SenderListError::Unfit);
        }
        Ok(entry.to_owned())
    }

    fn compile(&self, changed: &str) -> Result<(), SenderListError> {
        let before = Policy::load(self.folder).map_err(SenderListError::Before)?;
        let after =
            Policy::load_with(self.folder, self.list, changed).map_err(SenderListError::After)?;
        if before.revision() == after.revision() {
            return Err(SenderListError::Idle(self.list.to_owned()));
        }
        Ok(())
    }
}

/// Whoever reads the file finds the old text or the new one.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let file = file.canonicalize()?;
    let folder = file.parent().unwrap_or(Path::new("/"));
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
    beside.write_all(text.as_bytes())?;
    let permissions = std::fs::metadata(&file)?.permissions();
    beside.as_file().set_permissions(permissions)?;
    beside.as_file().sync_all()?;
    beside.persist(&file).map_err(|error| error.error)?;
    Ok(())
}
