//! A kept copy's sender, put on a list of the policy.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use millrace_quarantine::Record;
use mpd_node::policy::Policy;

/// What is put where.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// The policy's folder.
    pub(super) policy: &'a Path,
    /// The list, below the folder.
    pub(super) list: &'a Path,
    /// The whole domain.
    pub(super) domain: bool,
    /// Who does it.
    pub(super) who: &'a str,
}

impl Entry<'_> {
    /// Puts the sender's address or domain on the list. The policy as it would be is compiled first; what does not
    /// compile, or what no list of the policy has, is not written.
    pub(super) fn put(&self, record: &Record) -> anyhow::Result<String> {
        let Some((local, domain)) = record.sender.rsplit_once('@') else {
            bail!("a bounce has no sender that could be on a list");
        };
        let entry = if self.domain {
            domain.to_owned()
        } else {
            format!("{local}@{domain}")
        };
        // What a list reads as more than one address would do more than was asked for.
        let plain =
            |c: char| !c.is_control() && !c.is_whitespace() && !"*?[]#<>\\\u{fffd}".contains(c);
        if domain.is_empty() || local.is_empty() || !entry.chars().all(plain) {
            bail!(
                "the sender has characters that mean something else in a list: write the entry by hand"
            );
        }
        let file = self.policy.join(self.list);
        let text = std::fs::read_to_string(&file).with_context(|| {
            format!(
                "the list {} cannot be read: name another with --list",
                file.display()
            )
        })?;
        let there = text.lines().any(|line| {
            let line = line.split('#').next().unwrap_or_default().trim();
            line.eq_ignore_ascii_case(&entry)
        });
        if there {
            bail!("{entry} is on {} already", self.list.display());
        }
        let mut changed = text;
        if !changed.is_empty() && !changed.ends_with('\n') {
            changed.push('\n');
        }
        let who: String = self.who.chars().filter(|c| !c.is_control()).collect();
        changed.push_str(&format!(
            "# {who}, because of kept copy {}\n{entry}\n",
            record.id
        ));
        self.compile(&changed)?;
        write(&file, &changed).with_context(|| format!("{} cannot be written", file.display()))?;
        Ok(entry)
    }

    fn compile(&self, changed: &str) -> anyhow::Result<()> {
        let before = Policy::load(self.policy).context("the policy does not compile as it is")?;
        let trial = tempfile::tempdir().context("no temporary folder")?;
        copy_folder(self.policy, trial.path()).context("the policy cannot be copied")?;
        std::fs::write(trial.path().join(self.list), changed).context("no temporary file")?;
        let after = Policy::load(trial.path()).context("the policy would not compile")?;
        if before.revision() == after.revision() {
            bail!(
                "no list of the policy reads {}: name the file of a list with --list",
                self.list.display()
            );
        }
        Ok(())
    }
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let into = to.join(entry.file_name());
        // What is linked is what is read.
        if std::fs::metadata(entry.path())?.is_dir() {
            std::fs::create_dir(&into)?;
            copy_folder(&entry.path(), &into)?;
        } else {
            std::fs::copy(entry.path(), into)?;
        }
    }
    Ok(())
}

/// Whoever reads the file finds the old text or the new one.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let file = file.canonicalize()?;
    let folder = file
        .parent()
        .map_or_else(|| PathBuf::from("/"), Path::to_owned);
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
    beside.write_all(text.as_bytes())?;
    beside
        .as_file()
        .set_permissions(std::fs::metadata(&file)?.permissions())?;
    beside.as_file().sync_all()?;
    beside.persist(&file).map_err(|error| error.error)?;
    Ok(())
}
